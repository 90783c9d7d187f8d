#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/server/store/ledger_fixture.hpp"

namespace chorus::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LedgerRounds : public LedgerTest {
 protected:
  LedgerRounds() {
    add_job("digits");
    for (const char* name : {"a", "b"}) {
      EXPECT_TRUE(ledger_->add_token(
          {.secret_sha256 = name, .device = name, .uses_left = 1, .expires_at = at(10'000)}));
      EXPECT_TRUE(ledger_->enroll(name, name, device_row(name)));
    }
  }

  const JobId job_{"digits"};
  const std::vector<ReceiptRow> receipts_{
      receipt_row("a", "accepted"), receipt_row("b", "rejected"), receipt_row("c", "discarded")};
};

TEST_F(LedgerRounds, OpensOneRoundAtATime) {
  EXPECT_FALSE(ledger_->open_round_of(job_)->has_value());
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 1)));
  reopen();
  const auto open = ledger_->open_round_of(job_).value();
  ASSERT_TRUE(open);
  EXPECT_EQ(open->round, RoundId{1});
  EXPECT_EQ(open->state, RoundState::open);
  EXPECT_THAT(open->cohort, ElementsAre(ClientId{"a"}, ClientId{"b"}, ClientId{"c"}));
  EXPECT_EQ(open->base_version, sha256("initial"));
  EXPECT_EQ(open->goal, 2U);
  EXPECT_EQ(open->opened_at, at(3000));
  EXPECT_FALSE(open->closed_at);
  EXPECT_FALSE(open->version);
  EXPECT_EQ(ledger_->open_round(round_row("digits", 1)).error().code, errc::already_exists);
  EXPECT_EQ(ledger_->open_round(round_row("digits", 2)).error().code, errc::wrong_state);
  EXPECT_EQ(ledger_->open_round(round_row("nothing", 1)).error().code, errc::not_found);
}

TEST_F(LedgerRounds, RefusesARoundThatIsNotOpen) {
  EXPECT_EQ(ledger_->open_round(closed_row(round_row("digits", 1))).error().code,
            errc::invalid_argument);
  for (const std::vector<ClientId>& cohort : {std::vector{ClientId{"b"}, ClientId{"a"}},
                                              std::vector{ClientId{"a"}, ClientId{"a"}},
                                              std::vector{ClientId{""}},
                                              std::vector{ClientId{"a\nb"}}}) {
    RoundRow round = round_row("digits", 1);
    round.cohort = cohort;
    EXPECT_EQ(ledger_->open_round(round).error().code, errc::invalid_argument);
  }
  RoundRow empty = round_row("digits", 1);
  empty.cohort.clear();
  ASSERT_TRUE(ledger_->open_round(empty));
  EXPECT_THAT(ledger_->round(job_, RoundId{1})->cohort, IsEmpty());
}

TEST_F(LedgerRounds, KnowsTheStepsToItsNewestVersions) {
  for (std::uint64_t round = 1; round <= 3; ++round) {
    ASSERT_TRUE(ledger_->open_round(round_row("digits", round)));
    VersionRow version = version_row("digits", round, "v" + std::to_string(round));
    if (round > 1) {
      version.change.bytes = 10 * round;
      version.change.rest = body_digest(bytes_of(std::to_string(round)));
    }
    ASSERT_TRUE(ledger_->publish_round(closed_row(round_row("digits", round)), version, {}));
  }
  reopen();
  const auto newest = ledger_->newest_versions(job_, 3).value();
  ASSERT_THAT(newest, SizeIs(3));
  EXPECT_EQ(newest[0].round, RoundId{1});
  EXPECT_EQ(newest[0].change, ChangeInfo{});
  EXPECT_EQ(newest[2].change, (ChangeInfo{30, body_digest(bytes_of("3"))}));
  EXPECT_THAT(ledger_->newest_versions(job_, 9).value(), SizeIs(4)) << "with the initial one";
}

TEST_F(LedgerRounds, KnowsSinceWhenDifferencesCountAndHowManyOfEach) {
  const auto since = [this](std::uint64_t round) {
    return ledger_->differences_since(job_, RoundId{round}).value().value;
  };
  const auto accepted = [this](std::uint64_t first) {
    return ledger_->accepted_since(job_, RoundId{first}).value();
  };
  EXPECT_EQ(since(1), 1U);
  EXPECT_TRUE(accepted(1).empty());
  for (std::uint64_t round = 1; round <= 3; ++round) {
    ASSERT_TRUE(ledger_->open_round(round_row("digits", round)));
    VersionRow version = version_row("digits", round, "v" + std::to_string(round));
    if (round == 3) version.sent = body_digest(bytes_of("sent"));
    ASSERT_TRUE(ledger_->publish_round(closed_row(round_row("digits", round)),
                                       version,
                                       round == 2 ? std::vector<ReceiptRow>{} : receipts_));
  }
  using Accepted = std::map<ClientId, AcceptedUpdates>;
  EXPECT_EQ(accepted(1), (Accepted{{ClientId{"a"}, {RoundId{1}, 2}}})) << "no others";
  EXPECT_EQ(accepted(2), (Accepted{{ClientId{"a"}, {RoundId{3}, 1}}}));
  EXPECT_TRUE(accepted(4).empty());
  ASSERT_TRUE(ledger_->begin_differences(job_, RoundId{4}));
  ASSERT_TRUE(ledger_->begin_differences(job_, RoundId{4}));
  ASSERT_TRUE(ledger_->begin_differences(job_, RoundId{7}));
  reopen();
  EXPECT_EQ(since(3), 1U) << "a round goes on as it began";
  EXPECT_EQ(since(4), 4U);
  EXPECT_EQ(since(6), 4U);
  EXPECT_EQ(since(9), 7U);
  EXPECT_FALSE(ledger_->begin_differences(JobId{"other"}, RoundId{1})) << "no such job";
  EXPECT_EQ(ledger_->differences_since(JobId{"other"}, RoundId{9}).value(), RoundId{1});
  const auto versions = ledger_->newest_versions(job_, 2).value();
  EXPECT_FALSE(versions[0].sent);
  EXPECT_EQ(versions[1].sent, body_digest(bytes_of("sent")));
}

TEST_F(LedgerRounds, PublishesEverythingAtOnce) {
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 1)));
  const RoundRow closed = closed_row(round_row("digits", 1));
  ASSERT_TRUE(ledger_->publish_round(closed, version_row("digits", 1, "one"), receipts_));
  reopen();
  const auto round = ledger_->round(job_, RoundId{1}).value();
  EXPECT_EQ(round.state, RoundState::published);
  EXPECT_EQ(round.version, sha256("one"));
  EXPECT_EQ(round.why, "goal reached");
  EXPECT_EQ(round.accepted, 2U);
  EXPECT_EQ(round.rejected, 1U);
  EXPECT_EQ(round.discarded, 1U);
  EXPECT_EQ(round.examples, Examples{500});
  EXPECT_EQ(round.bytes_up, 8000U);
  EXPECT_EQ(round.bytes_down, 12'000U);
  EXPECT_EQ(round.closed_at, at(4000));
  EXPECT_EQ(round.metrics, closed.metrics) << "in the order given";
  EXPECT_EQ(ledger_->job(job_)->current_version, sha256("one"));
  EXPECT_EQ(ledger_->job(job_)->last_round, RoundId{1});
  EXPECT_EQ(ledger_->job(job_)->initial_version, sha256("initial"));
  EXPECT_THAT(ledger_->versions(job_).value(), SizeIs(2));
  EXPECT_FALSE(ledger_->open_round_of(job_)->has_value());
  EXPECT_EQ(ledger_->device(ClientId{"a"})->updates_accepted, 1U);
  EXPECT_EQ(ledger_->device(ClientId{"a"})->updates_rejected, 0U);
  EXPECT_EQ(ledger_->device(ClientId{"b"})->updates_rejected, 1U);
  const auto receipts = ledger_->receipts(job_, RoundId{1}).value();
  ASSERT_THAT(receipts, SizeIs(3));
  EXPECT_EQ(receipts[1].client, ClientId{"b"});
  EXPECT_EQ(receipts[1].outcome, "rejected");
  EXPECT_EQ(receipts[1].why, "because");
  EXPECT_EQ(receipts[1].examples, Examples{100});
  EXPECT_EQ(receipts[1].bytes, 4000U);
  EXPECT_EQ(receipts[1].seconds, 1.5);
  EXPECT_EQ(receipts[1].digest, "00ff");
  const auto one = ledger_->receipt(job_, RoundId{1}, receipts[1].client).value();
  ASSERT_TRUE(one);
  EXPECT_EQ(one->outcome, receipts[1].outcome);
  EXPECT_EQ(one->digest, "00ff");
  EXPECT_FALSE(ledger_->receipt(job_, RoundId{2}, receipts[1].client).value());
  EXPECT_FALSE(ledger_->receipt(job_, RoundId{1}, ClientId{"nobody"}).value());
}

TEST_F(LedgerRounds, VersionsBeyondTheNewestFewAreSurplus) {
  publish("digits", 1, "one");
  publish("digits", 2, "two");
  publish("digits", 3, "one");  // the same bytes again
  const auto rounds_of = [](const std::vector<VersionRow>& rows) {
    std::vector<std::uint64_t> rounds;
    for (const VersionRow& row : rows) rounds.push_back(row.round.value);
    return rounds;
  };
  EXPECT_THAT(rounds_of(ledger_->surplus_versions(job_, 4).value()), IsEmpty());
  EXPECT_THAT(rounds_of(ledger_->surplus_versions(job_, 3).value()), ElementsAre(0));
  const auto surplus = ledger_->surplus_versions(job_, 1).value();
  EXPECT_THAT(rounds_of(surplus), ElementsAre(0, 1, 2));
  EXPECT_FALSE(ledger_->shares_file(surplus[0]).value());
  EXPECT_TRUE(ledger_->shares_file(surplus[1]).value()) << "with the third round's";
  EXPECT_FALSE(ledger_->shares_file(surplus[2]).value());

  for (const unsigned round : {0U, 2U, 2U}) {
    ASSERT_TRUE(ledger_->set_version_removed(job_, RoundId{round}));
  }
  EXPECT_THAT(rounds_of(ledger_->surplus_versions(job_, 1).value()), ElementsAre(1));
  std::vector<bool> kept;
  const auto rows = ledger_->versions(job_).value();
  for (const VersionRow& row : rows) kept.push_back(row.kept);
  EXPECT_THAT(kept, ElementsAre(false, true, false, true));
  EXPECT_FALSE(ledger_->find_version(job_, hex(sha256("two")))->kept);
  EXPECT_TRUE(ledger_->find_version(job_, hex(sha256("one")))->kept);
}

TEST_F(LedgerRounds, APlanOfCodecsHoldsUntilTheNextAndNeverChanges) {
  const auto at = [this](std::uint64_t round) {
    const auto row = ledger_->codec_plan(job_, RoundId{round}).value();
    return row ? std::to_string(row->first_round.value) + row->plan : "none";
  };
  EXPECT_EQ(at(99), "none");
  ASSERT_TRUE(ledger_->add_codec_plan({job_, RoundId{11}, "a"}));
  ASSERT_TRUE(ledger_->add_codec_plan({job_, RoundId{21}, "b"}));
  ASSERT_TRUE(ledger_->add_codec_plan({job_, RoundId{21}, "c"}));
  EXPECT_EQ(at(10), "none");
  EXPECT_EQ(at(11), "11a");
  EXPECT_EQ(at(20), "11a");
  EXPECT_EQ(at(99), "21b") << "the round may have begun with it";
  EXPECT_FALSE(ledger_->codec_plan(JobId{"other"}, RoundId{99}).value());
  EXPECT_FALSE(ledger_->add_codec_plan({JobId{"other"}, RoundId{1}, "a"})) << "no such job";
}

TEST_F(LedgerRounds, ABasisComesAndGoesWithItsVersion) {
  const auto bytes = [this](const JobId& job) { return ledger_->round_basis(job)->size(); };
  const auto publish = [this](std::uint64_t round, const std::string& name, std::size_t size) {
    VersionRow version = version_row("digits", round, name);
    version.next_basis.assign(size, std::byte{1});
    return ledger_->publish_round(closed_row(round_row("digits", round)), version, {});
  };
  EXPECT_EQ(bytes(job_), 0U);
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 1)));
  EXPECT_FALSE(publish(1, "one", 3)) << "no basis is so short";
  EXPECT_EQ(bytes(job_), 0U);
  EXPECT_EQ(ledger_->round(job_, RoundId{1})->state, RoundState::open) << "all or nothing";
  ASSERT_TRUE(publish(1, "one", 4));
  EXPECT_EQ(bytes(job_), 4U);
  ASSERT_TRUE(publish(1, "one", 5)) << "published already";
  EXPECT_EQ(bytes(job_), 4U);
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 2)));
  ASSERT_TRUE(ledger_->abandon_round(closed_row(round_row("digits", 2)), {}));
  EXPECT_EQ(bytes(job_), 4U);
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 3)));
  ASSERT_TRUE(publish(3, "three", 9));
  EXPECT_EQ(bytes(job_), 9U);
  EXPECT_EQ(bytes(JobId{"other"}), 0U);
  ASSERT_TRUE(ledger_->remove_round_basis(job_));
  EXPECT_EQ(bytes(job_), 0U);
}

TEST_F(LedgerRounds, PublishingAgainChangesNothing) {
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 1)));
  const RoundRow closed = closed_row(round_row("digits", 1));
  const VersionRow version = version_row("digits", 1, "one");
  ASSERT_TRUE(ledger_->publish_round(closed, version, receipts_));
  ASSERT_TRUE(ledger_->publish_round(closed, version, receipts_));
  EXPECT_EQ(ledger_->device(ClientId{"a"})->updates_accepted, 1U);
  EXPECT_THAT(ledger_->versions(job_).value(), SizeIs(2));
  const auto other = ledger_->publish_round(closed, version_row("digits", 1, "two"), receipts_);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, errc::wrong_state);
  EXPECT_EQ(ledger_->abandon_round(closed, {}).error().code, errc::wrong_state);
  EXPECT_EQ(ledger_->job(job_)->current_version, sha256("one"));
}

TEST_F(LedgerRounds, NothingIsWrittenWhenOneReceiptIsDouble) {
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 1)));
  std::vector<ReceiptRow> twice = receipts_;
  twice.push_back(receipt_row("a", "accepted"));
  const auto done = ledger_->publish_round(
      closed_row(round_row("digits", 1)), version_row("digits", 1, "one"), twice);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, errc::already_exists);
  EXPECT_THAT(done.error().detail, HasSubstr("receipt of 'a'"));
  EXPECT_EQ(ledger_->round(job_, RoundId{1})->state, RoundState::open);
  EXPECT_THAT(ledger_->receipts(job_, RoundId{1}).value(), IsEmpty());
  EXPECT_THAT(ledger_->versions(job_).value(), SizeIs(1));
  EXPECT_EQ(ledger_->device(ClientId{"a"})->updates_accepted, 0U);
  EXPECT_EQ(ledger_->job(job_)->last_round, RoundId{0});
}

TEST_F(LedgerRounds, RefusesImpossiblePublications) {
  const RoundRow closed = closed_row(round_row("digits", 1));
  EXPECT_EQ(ledger_->publish_round(closed, version_row("digits", 1, "one"), {}).error().code,
            errc::not_found)
      << "it was never opened";
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 1)));
  EXPECT_EQ(ledger_->publish_round(closed, version_row("digits", 2, "one"), {}).error().code,
            errc::invalid_argument);
  EXPECT_EQ(ledger_->publish_round(closed, version_row("other", 1, "one"), {}).error().code,
            errc::invalid_argument);
  RoundRow contradicting = closed;
  contradicting.version = sha256("two");
  EXPECT_EQ(ledger_->publish_round(contradicting, version_row("digits", 1, "one"), {}).error().code,
            errc::invalid_argument);
  const std::vector<ReceiptRow> strange{receipt_row("a", "maybe")};
  EXPECT_EQ(ledger_->publish_round(closed, version_row("digits", 1, "one"), strange).error().code,
            errc::database_failed);
  RoundRow huge = closed;
  huge.bytes_up = 1ULL << 63U;
  EXPECT_EQ(ledger_->publish_round(huge, version_row("digits", 1, "one"), {}).error().code,
            errc::invalid_argument);
  EXPECT_EQ(ledger_->round(job_, RoundId{1})->state, RoundState::open);
}

TEST_F(LedgerRounds, AbandonsWithoutAVersion) {
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 1)));
  RoundRow closed = closed_row(round_row("digits", 1));
  closed.why = "too few reports";
  RoundRow endless = closed;
  endless.closed_at.reset();
  EXPECT_EQ(ledger_->abandon_round(endless, {}).error().code, errc::invalid_argument);
  ASSERT_TRUE(ledger_->abandon_round(closed, receipts_));
  ASSERT_TRUE(ledger_->abandon_round(closed, receipts_)) << "idempotent";
  const auto round = ledger_->round(job_, RoundId{1}).value();
  EXPECT_EQ(round.state, RoundState::abandoned);
  EXPECT_EQ(round.why, "too few reports");
  EXPECT_FALSE(round.version);
  EXPECT_EQ(ledger_->job(job_)->last_round, RoundId{1});
  EXPECT_EQ(ledger_->job(job_)->current_version, sha256("initial"));
  EXPECT_THAT(ledger_->receipts(job_, RoundId{1}).value(), SizeIs(3));
  EXPECT_EQ(ledger_->publish_round(closed, version_row("digits", 1, "one"), {}).error().code,
            errc::wrong_state);
  EXPECT_EQ(ledger_->abandon_round(round_row("digits", 7), {}).error().code, errc::not_found);
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 2)));
}

TEST_F(LedgerRounds, MetricsMayComeLater) {
  publish("digits", 1, "one");
  ASSERT_TRUE(ledger_->add_round_metrics(
      job_, RoundId{1}, 3, {{"eval.accuracy", 0.9}, {"train.loss", 0.4}}));
  const auto round = ledger_->round(job_, RoundId{1}).value();
  EXPECT_EQ(round.evaluated, 3U);
  const std::vector<Metric> expected{
      {"train.loss", 0.4}, {"accuracy", 0.25}, {"eval.accuracy", 0.9}};
  EXPECT_EQ(round.metrics, expected);
  EXPECT_EQ(ledger_->add_round_metrics(job_, RoundId{2}, 1, {}).error().code, errc::not_found);
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 2)));
  EXPECT_EQ(ledger_->add_round_metrics(job_, RoundId{2}, 1, {}).error().code, errc::wrong_state);
}

TEST_F(LedgerRounds, ADivergedLossIsKeptAsItIs) {
  publish("digits", 1, "one");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  ASSERT_TRUE(ledger_->add_round_metrics(
      job_, RoundId{1}, 1, {{"nan", std::nan("")}, {"infinite", -kInfinity}}));
  const auto metrics = ledger_->round(job_, RoundId{1})->metrics;
  ASSERT_THAT(metrics, SizeIs(4));
  EXPECT_TRUE(std::isnan(metrics[2].value));
  EXPECT_EQ(metrics[3].value, -kInfinity);
}

TEST_F(LedgerRounds, ListsTheNewestClosedRounds) {
  for (std::uint64_t number = 1; number <= 5; ++number) {
    publish("digits", number, std::to_string(number));
  }
  ASSERT_TRUE(ledger_->open_round(round_row("digits", 6)));
  const auto rounds = ledger_->rounds(job_, 3).value();
  ASSERT_THAT(rounds, SizeIs(3));
  EXPECT_EQ(rounds[0].round, RoundId{3});
  EXPECT_EQ(rounds[2].round, RoundId{5});
  EXPECT_THAT(rounds[2].metrics, SizeIs(2));
  EXPECT_THAT(ledger_->rounds(job_, ~std::size_t{0}).value(), SizeIs(5));
  EXPECT_THAT(ledger_->rounds(JobId{"x"}, 3).value(), IsEmpty());
  EXPECT_EQ(ledger_->round(job_, RoundId{7}).error().code, errc::not_found);
}

TEST_F(LedgerRounds, AnImpossibleRowIsCorruptData) {
  publish("digits", 1, "one");
  const auto code = [this](const std::string& assignment) {
    tamper("UPDATE round SET " + assignment);
    const auto round = ledger_->round(job_, RoundId{1});
    return round ? errc::internal : round.error().code;
  };
  EXPECT_EQ(code("state = 4"), errc::corrupt_data);
  EXPECT_EQ(code("state = 2, cohort = 'a'"), errc::corrupt_data);
  EXPECT_EQ(code("cohort = char(10)"), errc::corrupt_data);
  EXPECT_EQ(code("cohort = 'b' || char(10) || 'a' || char(10)"), errc::corrupt_data);
  EXPECT_EQ(code("cohort = '', version = x'0102'"), errc::corrupt_data);
  EXPECT_EQ(code("version = base_version, goal = -1"), errc::corrupt_data);
  EXPECT_EQ(code("goal = 1"), errc::internal) << "all is well again";
}

}  // namespace
}  // namespace chorus::server
