#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/server/store/ledger_fixture.hpp"

namespace chorus::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LedgerDevices : public LedgerTest {
 protected:
  void add_token(const std::string& secret, const std::string& device, std::uint32_t uses) {
    ASSERT_TRUE(ledger_->add_token(
        {.secret_sha256 = secret, .device = device, .uses_left = uses, .expires_at = at(10'000)}));
  }
  Result<void> enroll(const std::string& token, const std::string& key, const std::string& name) {
    return ledger_->enroll(token, key, device_row(name));
  }
  errc refusal(const std::string& token, const std::string& key, const std::string& name) {
    const auto done = enroll(token, key, name);
    return done ? errc::internal : done.error().code;
  }
};

TEST_F(LedgerDevices, EnrolsAndRemembers) {
  add_token("t", "", 1);
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  reopen();
  const auto row = ledger_->device(ClientId{"a"});
  ASSERT_TRUE(row);
  EXPECT_EQ(row->state, DeviceState::enrolled);
  EXPECT_EQ(row->certificate_sha256, "certificate of a");
  EXPECT_EQ(row->enrolled_at, at(1000));
  EXPECT_EQ(row->certificate_expires_at, at(50'000));
  EXPECT_EQ(row->updates_accepted, 0U);
}

TEST_F(LedgerDevices, RefusesUnknownUsedUpAndExpiredTokens) {
  EXPECT_EQ(refusal("t", "key-a", "a"), errc::token_invalid);
  add_token("t", "", 1);
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  EXPECT_EQ(refusal("t", "key-b", "b"), errc::token_invalid);
  add_token("late", "", 1);
  DeviceRow device = device_row("c");
  device.enrolled_at = at(9'999);
  ASSERT_TRUE(ledger_->enroll("late", "key-c", device));
  device = device_row("d");
  device.enrolled_at = at(10'000);
  add_token("later", "", 1);
  EXPECT_EQ(ledger_->enroll("later", "key-d", device).error().code, errc::token_invalid);
  EXPECT_EQ(ledger_->device(ClientId{"d"}).error().code, errc::not_found);
}

TEST_F(LedgerDevices, ATokenWithSeveralUsesCountsDown) {
  add_token("t", "", 2);
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  ASSERT_TRUE(enroll("t", "key-b", "b"));
  EXPECT_EQ(refusal("t", "key-c", "c"), errc::token_invalid);
}

TEST_F(LedgerDevices, TheSameKeyMayRepeatItsEnrolment) {
  add_token("t", "", 1);
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  DeviceRow again = device_row("a");
  again.certificate_sha256 = "second";
  again.enrolled_at = at(2000);
  ASSERT_TRUE(ledger_->enroll("t", "key-a", again)) << "the reply was lost";
  const auto row = ledger_->device(ClientId{"a"}).value();
  EXPECT_EQ(row.certificate_sha256, "second");
  EXPECT_EQ(row.enrolled_at, at(1000));
  EXPECT_EQ(refusal("t", "key-a", "b"), errc::already_exists) << "but not under another name";
}

TEST_F(LedgerDevices, ARepetitionUsesNothingUp) {
  add_token("t", "", 2);
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  ASSERT_TRUE(enroll("t", "key-b", "b"));
}

TEST_F(LedgerDevices, ANameBelongsToItsKey) {
  add_token("t", "", 5);
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  EXPECT_EQ(refusal("t", "key-b", "a"), errc::already_exists);
  EXPECT_TRUE(enroll("t", "key-b", "b")) << "the refusal used nothing up";
  add_token("u", "", 1);
  EXPECT_TRUE(enroll("u", "key-a", "a")) << "the same device with a new token";
}

TEST_F(LedgerDevices, ABoundTokenFitsItsNameOnly) {
  add_token("t", "a", 1);
  EXPECT_EQ(refusal("t", "key-b", "b"), errc::token_invalid);
  EXPECT_TRUE(enroll("t", "key-a", "a"));
}

TEST_F(LedgerDevices, ARevokedDeviceStaysOut) {
  add_token("t", "", 5);
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  ASSERT_TRUE(ledger_->revoke(ClientId{"a"}));
  ASSERT_TRUE(ledger_->revoke(ClientId{"a"})) << "idempotent";
  EXPECT_EQ(refusal("t", "key-a", "a"), errc::revoked);
  EXPECT_EQ(refusal("t", "key-x", "a"), errc::revoked);
  EXPECT_EQ(refusal("t", "key-a", "z"), errc::already_exists) << "this token knows the key as a";
  add_token("u", "", 1);
  EXPECT_EQ(refusal("u", "key-a", "z"), errc::revoked) << "the key gives it away";
  EXPECT_EQ(ledger_->renew(ClientId{"a"}, "new", at(1)).error().code, errc::revoked);
  EXPECT_THAT(ledger_->revoked().value(), ElementsAre(ClientId{"a"}));
  EXPECT_EQ(ledger_->device(ClientId{"a"})->state, DeviceState::revoked);
}

TEST_F(LedgerDevices, RenewalReplacesTheCertificate) {
  add_token("t", "", 1);
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  ASSERT_TRUE(ledger_->renew(ClientId{"a"}, "new", at(99'000)));
  const auto row = ledger_->device(ClientId{"a"}).value();
  EXPECT_EQ(row.certificate_sha256, "new");
  EXPECT_EQ(row.certificate_expires_at, at(99'000));
}

TEST_F(LedgerDevices, UnknownNamesAreNotFound) {
  const ClientId nobody{"nobody"};
  EXPECT_EQ(ledger_->device(nobody).error().code, errc::not_found);
  EXPECT_EQ(ledger_->renew(nobody, "x", at(1)).error().code, errc::not_found);
  EXPECT_EQ(ledger_->revoke(nobody).error().code, errc::not_found);
  EXPECT_EQ(ledger_->touch(nobody, at(1)).error().code, errc::not_found);
  EXPECT_THAT(ledger_->revoked().value(), IsEmpty());
}

TEST_F(LedgerDevices, TouchNeverMovesBack) {
  add_token("t", "", 1);
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  ASSERT_TRUE(ledger_->touch(ClientId{"a"}, at(7000)));
  ASSERT_TRUE(ledger_->touch(ClientId{"a"}, at(6000)));
  EXPECT_EQ(ledger_->device(ClientId{"a"})->last_seen_at, at(7000));
}

TEST_F(LedgerDevices, ListsByPages) {
  add_token("t", "", 5);
  for (const char* name : {"c", "a", "b"}) ASSERT_TRUE(enroll("t", name, name));
  const auto names = [this](const std::string& after, std::size_t limit) {
    std::vector<std::string> found;
    const auto rows = ledger_->devices(after, limit);
    for (const DeviceRow& row : rows.value()) {
      found.push_back(row.client.value);
    }
    return found;
  };
  EXPECT_THAT(names("", 2), ElementsAre("a", "b"));
  EXPECT_THAT(names("b", 2), ElementsAre("c"));
  EXPECT_THAT(names("c", 2), IsEmpty());
  EXPECT_THAT(names("", ~std::size_t{0}), ElementsAre("a", "b", "c"));
}

TEST_F(LedgerDevices, RefusesSenselessTokens) {
  const auto code = [this](const TokenRow& token) {
    return ledger_->add_token(token).error().code;
  };
  EXPECT_EQ(code({.secret_sha256 = "t", .device = "", .uses_left = 0, .expires_at = at(1)}),
            errc::invalid_argument);
  EXPECT_EQ(code({.secret_sha256 = "t", .device = "a", .uses_left = 2, .expires_at = at(1)}),
            errc::invalid_argument);
  add_token("t", "", 1);
  EXPECT_EQ(code({.secret_sha256 = "t", .device = "", .uses_left = 1, .expires_at = at(1)}),
            errc::already_exists);
}

TEST_F(LedgerDevices, AnImpossibleStateIsCorruptData) {
  add_token("t", "", 1);
  ASSERT_TRUE(enroll("t", "key-a", "a"));
  for (const char* value : {"0", "3", "-1"}) {
    tamper(std::string("UPDATE device SET state = ") + value);
    const auto row = ledger_->device(ClientId{"a"});
    ASSERT_FALSE(row);
    EXPECT_EQ(row.error().code, errc::corrupt_data);
    EXPECT_THAT(row.error().detail, HasSubstr(file().string()));
    EXPECT_EQ(ledger_->devices("", 10).error().code, errc::corrupt_data);
    EXPECT_EQ(ledger_->renew(ClientId{"a"}, "x", at(1)).error().code, errc::corrupt_data);
  }
  tamper("UPDATE device SET state = 1, updates_accepted = -5");
  EXPECT_EQ(ledger_->device(ClientId{"a"}).error().code, errc::corrupt_data);
}

}  // namespace
}  // namespace chorus::server
