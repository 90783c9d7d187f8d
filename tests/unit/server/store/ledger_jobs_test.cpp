#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "tests/unit/server/store/ledger_fixture.hpp"

namespace chorus::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using LedgerJobs = LedgerTest;

TEST_F(LedgerJobs, AddsAJobWithItsInitialVersion) {
  add_job("digits");
  reopen();
  const auto job = ledger_->job(JobId{"digits"});
  ASSERT_TRUE(job);
  EXPECT_EQ(job->state, JobState::running);
  EXPECT_EQ(job->why, "submitted");
  EXPECT_EQ(job->job_toml, "name = 'digits'\n");
  EXPECT_EQ(job->initial_version, sha256("initial"));
  EXPECT_EQ(job->current_version, sha256("initial"));
  EXPECT_EQ(job->last_round, RoundId{0});
  EXPECT_EQ(job->created_at, at(2000));
  const auto versions = ledger_->versions(JobId{"digits"}).value();
  ASSERT_THAT(versions, SizeIs(1));
  EXPECT_EQ(versions[0].sha256, sha256("initial"));
  EXPECT_EQ(versions[0].round, RoundId{0});
  EXPECT_EQ(versions[0].bytes, 4096U);
  EXPECT_EQ(versions[0].parameters, 1000U);
}

TEST_F(LedgerJobs, ATakenNameChangesNothing) {
  add_job("digits");
  JobRow other = job_row("digits");
  other.job_toml = "other";
  const auto done = ledger_->add_job(other, version_row("digits", 0, "initial"));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, errc::already_exists);
  EXPECT_THAT(done.error().detail, HasSubstr("digits"));
  EXPECT_EQ(ledger_->job(JobId{"digits"})->job_toml, "name = 'digits'\n");
  EXPECT_THAT(ledger_->jobs().value(), SizeIs(1));
}

TEST_F(LedgerJobs, TwoJobsMayBeginWithTheSameVersion) {
  add_job("one");
  add_job("two");
  EXPECT_THAT(ledger_->jobs().value(), SizeIs(2));
}

TEST_F(LedgerJobs, AForeignInitialVersionIsRefused) {
  const JobRow job = job_row("digits");
  const auto code = [&](const VersionRow& version) {
    return ledger_->add_job(job, version).error().code;
  };
  EXPECT_EQ(code(version_row("other", 0, "initial")), errc::invalid_argument);
  EXPECT_EQ(code(version_row("digits", 1, "initial")), errc::invalid_argument);
  EXPECT_EQ(code(version_row("digits", 0, "else")), errc::invalid_argument);
  EXPECT_THAT(ledger_->jobs().value(), IsEmpty());
}

TEST_F(LedgerJobs, StateChangesAndStays) {
  add_job("digits");
  for (const JobState state : {JobState::paused,
                               JobState::finished,
                               JobState::stopped,
                               JobState::degraded,
                               JobState::running}) {
    ASSERT_TRUE(ledger_->set_job_state(JobId{"digits"}, state, "reason"));
    reopen();
    EXPECT_EQ(ledger_->job(JobId{"digits"})->state, state);
    EXPECT_EQ(ledger_->job(JobId{"digits"})->why, "reason");
  }
  EXPECT_EQ(ledger_->set_job_state(JobId{"x"}, JobState::paused, "").error().code, errc::not_found);
  EXPECT_EQ(ledger_->job(JobId{"x"}).error().code, errc::not_found);
}

TEST_F(LedgerJobs, AnImpossibleRowIsCorruptData) {
  add_job("digits");
  tamper("UPDATE job SET state = 6");
  EXPECT_EQ(ledger_->job(JobId{"digits"}).error().code, errc::corrupt_data);
  EXPECT_EQ(ledger_->jobs().error().code, errc::corrupt_data);
  tamper("UPDATE job SET state = 1, current_version = x'00'");
  EXPECT_EQ(ledger_->job(JobId{"digits"}).error().code, errc::corrupt_data);
}

// -- find_version --

class FindVersion : public LedgerTest {
 protected:
  FindVersion() {
    add_job("digits");
    publish("digits", 1, "one");
  }
  Result<VersionRow> find(const std::string& prefix) {
    return ledger_->find_version(JobId{"digits"}, prefix);
  }
};

TEST_F(FindVersion, TakesTheWholeDigestOrAPrefix) {
  const std::string digest = hex(sha256("one"));
  for (std::size_t digits = 8; digits <= 64; ++digits) {
    const auto found = find(digest.substr(0, digits));
    ASSERT_TRUE(found) << digits;
    EXPECT_EQ(found->sha256, sha256("one"));
    EXPECT_EQ(found->round, RoundId{1});
  }
  std::string upper = digest.substr(0, 13);
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_TRUE(find(upper));
}

TEST_F(FindVersion, RefusesWhatIsNoPrefix) {
  const std::string digest = hex(sha256("one"));
  EXPECT_EQ(find("").error().code, errc::invalid_argument);
  EXPECT_EQ(find(digest.substr(0, 7)).error().code, errc::invalid_argument);
  EXPECT_EQ(find(digest + "0").error().code, errc::invalid_argument);
  EXPECT_EQ(find(digest.substr(0, 8) + "g").error().code, errc::invalid_argument);
  EXPECT_EQ(find("12345678%").error().code, errc::invalid_argument);
}

TEST_F(FindVersion, OtherVersionsAreNotFound) {
  std::string digest = hex(sha256("one"));
  digest[63] = digest[63] == '0' ? '1' : '0';
  EXPECT_EQ(find(digest).error().code, errc::not_found);
  EXPECT_EQ(find("00000000").error().code, errc::not_found);
  EXPECT_EQ(ledger_->find_version(JobId{"x"}, hex(sha256("one"))).error().code, errc::not_found);
}

TEST_F(FindVersion, AnAmbiguousPrefixIsRefused) {
  VersionRow near = version_row("digits", 2, "one");
  near.sha256.bytes[31] ^= std::byte{1};
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 2)));
  ASSERT_TRUE(ledger_->publish_round(closed_row(round_row("digits", 2)), near, {}));
  const std::string digest = hex(near.sha256);
  EXPECT_EQ(find(digest.substr(0, 8)).error().code, errc::invalid_argument);
  EXPECT_EQ(find(digest.substr(0, 63)).error().code, errc::invalid_argument);
  EXPECT_EQ(find(digest)->round, RoundId{2});
}

TEST_F(FindVersion, EqualVersionsOfTwoRoundsAreOne) {
  publish("digits", 2, "one");
  const auto found = find(hex(sha256("one")).substr(0, 8));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->round, RoundId{2});
  EXPECT_THAT(ledger_->versions(JobId{"digits"}).value(), SizeIs(3));
}

// -- audit --

using LedgerAudit = LedgerTest;

AuditRow audit_row(std::int64_t time, const std::string& who) {
  return {.at = at(time), .who = who, .what = "update_rejected", .detail = "not finite"};
}

TEST_F(LedgerAudit, GivesTheNewestInOrder) {
  ASSERT_TRUE(ledger_->add_audit({audit_row(1, "a"), audit_row(2, "b"), audit_row(3, "a")}));
  ASSERT_TRUE(ledger_->add_audit({}));
  reopen();
  const auto rows = ledger_->audit(2).value();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].who, "b");
  EXPECT_EQ(rows[1].at, at(3));
  EXPECT_EQ(rows[1].what, "update_rejected");
  EXPECT_EQ(rows[1].detail, "not finite");
  EXPECT_THAT(ledger_->audit_of("a", 10).value(), SizeIs(2));
  EXPECT_THAT(ledger_->audit_of("a", 1).value(), SizeIs(1));
  EXPECT_EQ(ledger_->audit_of("a", 1).value()[0].at, at(3));
  EXPECT_THAT(ledger_->audit_of("nobody", 10).value(), IsEmpty());
}

TEST_F(LedgerAudit, KeepsTheNewestRowsOnly) {
  std::vector<AuditRow> rows(limits::kAuditRowsMax, audit_row(1, "a"));
  ASSERT_TRUE(ledger_->add_audit(rows));
  EXPECT_THAT(ledger_->audit(limits::kAuditRowsMax + 10).value(), SizeIs(limits::kAuditRowsMax));
  ASSERT_TRUE(ledger_->add_audit({audit_row(2, "one too many")}));
  const auto kept = ledger_->audit(limits::kAuditRowsMax + 10).value();
  ASSERT_THAT(kept, SizeIs(limits::kAuditRowsMax));
  EXPECT_EQ(kept.back().who, "one too many");
}

TEST_F(LedgerAudit, CutsLongTextsBetweenCharacters) {
  AuditRow row = audit_row(1, "a");
  row.detail = std::string(limits::kDetailBytesMax - 1, 'x') + "é and more";
  row.what = std::string("zero\0byte", 9);
  ASSERT_TRUE(ledger_->add_audit({row}));
  const auto stored = ledger_->audit(1).value()[0];
  EXPECT_EQ(stored.detail, std::string(limits::kDetailBytesMax - 1, 'x'));
  EXPECT_EQ(stored.what, row.what);
}

}  // namespace
}  // namespace chorus::server
