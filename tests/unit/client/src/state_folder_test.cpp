#include "client/src/state_folder.hpp"

#include <filesystem>
#include <string>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.hpp"
#include "tests/support/messages.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::client {
namespace {

using ::testing::HasSubstr;

class StateFolderTest : public ::testing::Test {
 protected:
  StateFolder open() {
    auto state = StateFolder::open(path_);
    if (!state) throw std::runtime_error(state.error().to_string());
    return std::move(*state);
  }
  static DeviceIdentity some_identity() {
    return {"example.org:7440", "device-1", "certificate", "key", "ca"};
  }
  static mode_t mode_of(const std::filesystem::path& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 0777U;
  }
  static std::vector<std::byte> body() { return std::vector<std::byte>(400, std::byte{7}); }
  static void store_upload(const StateFolder& state) {
    auto writer = state.write_upload();
    ASSERT_TRUE(writer);
    const auto bytes = body();
    ASSERT_TRUE(writer->append(std::span(bytes).first(100)));
    ASSERT_TRUE(writer->append(std::span(bytes).subspan(100)));
    ASSERT_TRUE(writer->commit(test::some_offer()));
  }

  test::TempFolder folder_;
  std::filesystem::path path_ = folder_.path() / "a" / "device";
  std::string damage_;
};

TEST_F(StateFolderTest, IsMadeForItsOwnerOnly) {
  const auto state = open();
  EXPECT_EQ(mode_of(path_), 0700U);
  ASSERT_TRUE(state.store_key("secret"));
  EXPECT_EQ(mode_of(path_ / "key.pem"), 0600U);
  EXPECT_EQ(state.key_pem().value(), "secret");
}

TEST_F(StateFolderTest, BelongsToOneProcessAtATime) {
  {
    const auto state = open();
    const auto second = StateFolder::open(path_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, errc::busy);
    EXPECT_THAT(second.error().detail, HasSubstr(path_.string()));
  }
  EXPECT_TRUE(StateFolder::open(path_));
}

TEST_F(StateFolderTest, CannotBeAFile) {
  ASSERT_TRUE(write_durably(folder_.path() / "file", std::string_view("x")));
  EXPECT_FALSE(StateFolder::open(folder_.path() / "file"));
}

TEST_F(StateFolderTest, KeepsTheIdentity) {
  const auto state = open();
  EXPECT_FALSE(state.has_identity());
  EXPECT_EQ(state.key_pem().value(), "");
  EXPECT_EQ(state.identity().error().code, errc::not_found);
  ASSERT_TRUE(state.store_key("key"));
  ASSERT_TRUE(state.store_identity(some_identity()));
  EXPECT_TRUE(state.has_identity());
  const auto identity = state.identity().value();
  EXPECT_EQ(identity.server, "example.org:7440");
  EXPECT_EQ(identity.name, "device-1");
  EXPECT_EQ(identity.certificate_pem, "certificate");
  EXPECT_EQ(identity.key_pem, "key");
  EXPECT_EQ(identity.ca_pem, "ca");
  ASSERT_TRUE(state.store_certificate("renewed"));
  EXPECT_EQ(state.identity()->certificate_pem, "renewed");
}

TEST_F(StateFolderTest, RefusesADamagedIdentity) {
  const auto state = open();
  ASSERT_TRUE(state.store_key("key"));
  ASSERT_TRUE(state.store_identity(some_identity()));
  for (const char* text : {"",
                           "{",
                           "[]",
                           "{}",
                           R"({"format":"chorus-identity-2","server":"s","name":"n"})",
                           R"({"format":"chorus-identity-1","name":"n"})",
                           R"({"format":"chorus-identity-1","server":1,"name":"n"})",
                           R"({"format":"chorus-identity-1","server":"s"})"}) {
    ASSERT_TRUE(write_durably(path_ / "identity.json", std::string_view(text)));
    const auto identity = state.identity();
    ASSERT_FALSE(identity) << text;
    EXPECT_EQ(identity.error().code, errc::malformed_file) << text;
    EXPECT_THAT(identity.error().detail, HasSubstr("identity.json")) << text;
  }
}

TEST_F(StateFolderTest, MissingPartsOfAnIdentityAreNamed) {
  for (const char* part : {"key.pem", "certificate.pem", "ca.pem"}) {
    std::filesystem::remove_all(path_);
    const auto state = open();
    ASSERT_TRUE(state.store_key("key"));
    ASSERT_TRUE(state.store_identity(some_identity()));
    std::filesystem::remove(path_ / part);
    const auto identity = state.identity();
    ASSERT_FALSE(identity) << part;
    EXPECT_THAT(identity.error().detail, HasSubstr(part));
  }
}

TEST_F(StateFolderTest, KeepsAnUploadUntilItIsDropped) {
  {
    const auto state = open();
    store_upload(state);
  }
  const auto state = open();
  const auto offer = state.unfinished_upload(&damage_);
  ASSERT_TRUE(offer);
  ASSERT_TRUE(offer->has_value());
  EXPECT_EQ(**offer, test::some_offer());
  std::vector<std::byte> bytes(400);
  ASSERT_TRUE(state.read_upload(bytes));
  EXPECT_EQ(bytes, body());
  ASSERT_TRUE(state.drop_upload());
  ASSERT_TRUE(state.drop_upload());
  EXPECT_FALSE(state.unfinished_upload(&damage_).value());
  EXPECT_EQ(damage_, "");
  EXPECT_FALSE(std::filesystem::exists(path_ / "upload.body"));
}

TEST_F(StateFolderTest, ABodyWithoutItsOfferIsNoUpload) {
  const auto state = open();
  {
    auto writer = state.write_upload().value();
    ASSERT_TRUE(writer.append(body()));
  }
  EXPECT_FALSE(state.unfinished_upload(&damage_).value());
  EXPECT_EQ(damage_, "");
  EXPECT_FALSE(std::filesystem::exists(path_ / "upload.body"));
}

TEST_F(StateFolderTest, ANewUploadReplacesTheOld) {
  const auto state = open();
  store_upload(state);
  auto writer = state.write_upload().value();
  EXPECT_FALSE(std::filesystem::exists(path_ / "upload.offer"));
  EXPECT_FALSE(state.unfinished_upload(&damage_).value());
}

TEST_F(StateFolderTest, ADamagedUploadIsDroppedAndSaysWhy) {
  const auto state = open();
  const auto expect_damage = [&](const std::string& words) {
    damage_.clear();
    const auto offer = state.unfinished_upload(&damage_);
    ASSERT_TRUE(offer);
    EXPECT_FALSE(offer->has_value());
    EXPECT_THAT(damage_, HasSubstr(words));
    EXPECT_FALSE(std::filesystem::exists(path_ / "upload.offer"));
    EXPECT_FALSE(std::filesystem::exists(path_ / "upload.body"));
  };
  store_upload(state);
  std::filesystem::resize_file(path_ / "upload.body", 399);
  expect_damage("400 bytes");
  store_upload(state);
  std::filesystem::remove(path_ / "upload.body");
  expect_damage("400 bytes");

  const auto frame = wire::encode(test::some_offer()).value();
  for (std::size_t size = 0; size < frame.size(); ++size) {
    store_upload(state);
    std::filesystem::resize_file(path_ / "upload.offer", size);
    expect_damage(size < wire::kHeaderBytes ? "shorter" : "not the frame");
  }
  store_upload(state);
  const auto ping = wire::encode(wire::Ping{1}).value();
  ASSERT_TRUE(write_durably(path_ / "upload.offer", std::span<const std::byte>(ping)));
  expect_damage("not the frame");
}

}  // namespace
}  // namespace chorus::client
