// How rounds end: by goal, by deadline, early, or without a version.
#include "tests/unit/server/round/machine_fixture.hpp"

namespace chorus::server::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

RoundConfig with_deadline() {
  RoundConfig config = three_devices();
  config.pace.deadline = 60s;
  config.pace.grace = 30s;
  return config;
}

TEST(RoundMachineClosing, TheGoalClosesTheRoundAndPublishesAfterTheLastFold) {
  Bench bench;
  bench.collect();
  bench.accept("a");
  bench.accept("b");
  bench.offer("c");
  bench.complete("c");
  EXPECT_THAT(bench.committed({"c"}), ElementsAre("accepted c train 1", "fold c"));
  EXPECT_EQ(bench.phase(), RoundPhase::folding);
  EXPECT_THAT(bench.folded({"c"}), ElementsAre("finalise 1"));
  EXPECT_THAT(bench.finalised(), ElementsAre("publish 1"));
  EXPECT_THAT(bench.published(), IsEmpty());
  EXPECT_EQ(bench.phase(), RoundPhase::waiting);
  EXPECT_EQ(bench.machine.rounds_done(), 1U);
}

TEST(RoundMachineClosing, TheVersionThatWasWrittenIsTheOnePublished) {
  Bench bench;
  bench.collect();
  for (const char* name : {"a", "b", "c"}) bench.accept(name);
  Sha256 version;
  version.bytes.fill(std::byte{0x5A});
  const auto actions = bench.machine.step(RoundFinalised{RoundId{1}, version}, bench.now);
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(std::get<PublishRound>(actions[0]).version, version);
}

TEST(RoundMachineClosing, TheGoalCancelsThoseWhoAreNotNeeded) {
  RoundConfig config = three_devices();
  config.pace.cohort = 2;
  config.pace.over_select = 2.0;
  config.pace.goal = 2;
  Bench bench(config);
  for (const char* name : {"a", "b", "c", "d"}) bench.ready(name);
  bench.opened();
  bench.offer("c");  // its upload has begun
  bench.left("d");
  bench.accept("a");
  bench.offer("b");
  bench.complete("b");
  EXPECT_THAT(bench.committed({"b"}),
              ElementsAre("accepted b train 1", "fold b", "cancel c train 1"));
  EXPECT_EQ(bench.state("c"), MemberState::discarded);
  EXPECT_EQ(bench.state("d"), MemberState::discarded);
  EXPECT_THAT(bench.complete("c"), ElementsAre("discard c 1"));
  EXPECT_THAT(bench.failed("c", true), IsEmpty());
  EXPECT_EQ(bench.state("c"), MemberState::discarded);
  EXPECT_THAT(bench.ready("d"), IsEmpty());
  EXPECT_EQ(bench.machine.ready_count(), 1U);
}

TEST(RoundMachineClosing, TheDeadlinePublishesWhatIsEnough) {
  Bench bench(with_deadline());
  bench.collect();
  EXPECT_EQ(bench.machine.next_wakeup(), bench.now + 60s);
  bench.accept("a");
  bench.accept("b");
  bench.pass(60s - 1ms);
  EXPECT_THAT(bench.tick(), IsEmpty());
  bench.pass(1ms);
  EXPECT_THAT(bench.tick(), ElementsAre("cancel c train 1", "finalise 1"));
}

TEST(RoundMachineClosing, TheDeadlineCountsFromWhenWorkWasHandedOut) {
  Bench bench(with_deadline());
  for (const char* name : {"a", "b", "c"}) bench.ready(name);
  EXPECT_EQ(bench.machine.next_wakeup(), std::nullopt);
  bench.pass(50s);
  bench.opened();
  EXPECT_EQ(bench.machine.next_wakeup(), bench.now + 60s);
}

TEST(RoundMachineClosing, ADeadlineWithTooFewAbandonsAndSaysWhy) {
  Bench bench(with_deadline());
  bench.collect();
  bench.accept("a");
  bench.pass(60s);
  EXPECT_THAT(bench.tick(),
              ElementsAre("cancel b train 1",
                          "cancel c train 1",
                          "abandon 1: the deadline passed with 1 of 2 required updates"));
  EXPECT_EQ(bench.machine.rounds_done(), 0U);
  EXPECT_THAT(bench.abandoned(), IsEmpty());
  EXPECT_EQ(bench.machine.rounds_done(), 1U);  // the number is used up
  EXPECT_THAT(bench.ready("a"), IsEmpty());
  bench.ready("b");
  EXPECT_THAT(bench.ready("c"), ElementsAre("open 2: a b c"));
}

TEST(RoundMachineClosing, OffersAfterTheDeadlineAreRefused) {
  Bench bench(with_deadline());
  bench.collect();
  bench.offer("a");  // keeps the round open for the grace
  bench.pass(60s);
  EXPECT_THAT(bench.offer("b"), ElementsAre("refuse b train 1 task_closed"));
  EXPECT_EQ(bench.state("b"), MemberState::discarded);
  EXPECT_THAT(bench.ready("b"), IsEmpty());
  EXPECT_THAT(bench.ready("c"), IsEmpty());  // too late to begin: no work
  EXPECT_EQ(bench.state("c"), MemberState::discarded);
}

TEST(RoundMachineClosing, UploadsBegunBeforeTheDeadlineHaveTheGrace) {
  Bench bench(with_deadline());
  bench.collect();
  bench.accept("a");
  bench.offer("b");
  bench.pass(60s);
  EXPECT_THAT(bench.tick(), IsEmpty());
  EXPECT_EQ(bench.machine.next_wakeup(), bench.now + 30s);
  bench.pass(29s);
  EXPECT_THAT(bench.complete("b"), ElementsAre("commit b"));
  bench.pass(10s);
  EXPECT_THAT(bench.tick(), IsEmpty());  // what is being made durable is waited for
  EXPECT_THAT(bench.committed({"b"}),
              ElementsAre("accepted b train 1", "fold b", "cancel c train 1"));
  EXPECT_THAT(bench.folded({"b"}), ElementsAre("finalise 1"));
}

TEST(RoundMachineClosing, TheGraceEnds) {
  Bench bench(with_deadline());
  bench.collect();
  bench.accept("a");
  bench.accept("b");
  bench.offer("c");
  bench.pass(90s - 1ms);
  EXPECT_THAT(bench.tick(), IsEmpty());
  bench.pass(1ms);
  EXPECT_THAT(bench.tick(), ElementsAre("cancel c train 1", "finalise 1"));
  EXPECT_THAT(bench.complete("c"), ElementsAre("discard c 1"));
}

TEST(RoundMachineClosing, AnUploadThatFailsInTheGraceEndsTheWait) {
  Bench bench(with_deadline());
  bench.collect();
  bench.accept("a");
  bench.accept("b");
  bench.offer("c");
  bench.pass(61s);
  EXPECT_THAT(bench.failed("c", false), ElementsAre("cancel c train 1", "finalise 1"));
}

TEST(RoundMachineClosing, WhenEveryDeviceHasAnsweredNobodyWaitsForTheDeadline) {
  Bench bench(with_deadline());
  bench.collect();
  bench.accept("a");
  bench.accept("b");
  EXPECT_THAT(bench.declined("c"), ElementsAre("finalise 1"));
}

TEST(RoundMachineClosing, WhenEveryDeviceHasAnsweredWithTooLittleTheRoundIsAbandoned) {
  Bench bench(with_deadline());
  bench.collect();
  bench.accept("a");
  bench.declined("b");
  bench.offer("c");
  EXPECT_THAT(
      bench.failed("c", true),
      ElementsAre("abandon 1: every invited device has answered with 1 of 2 required updates"));
}

TEST(RoundMachineClosing, ADeviceThatOnlyLeftHasNotAnswered) {
  Bench bench;
  bench.collect();
  bench.accept("a");
  bench.accept("b");
  EXPECT_THAT(bench.left("c"), IsEmpty());
  EXPECT_EQ(bench.phase(), RoundPhase::collecting);
}

TEST(RoundMachineClosing, WithoutADeadlineARoundWaitsForEver) {
  Bench bench;
  bench.collect();
  bench.accept("a");
  bench.accept("b");
  bench.pass(24h * 365);
  EXPECT_THAT(bench.tick(), IsEmpty());
  EXPECT_EQ(bench.machine.next_wakeup(), std::nullopt);
}

TEST(RoundMachineClosing, WhatBecomesDurableAfterAnAbortIsConfirmedButNotFolded) {
  Bench bench;
  bench.collect();
  bench.offer("a");
  bench.complete("a");
  EXPECT_THAT(
      bench.command(JobVerb::abort_round),
      ElementsAre(
          "cancel b train 1", "cancel c train 1", "abandon 1: aborted by an administrator"));
  EXPECT_THAT(bench.committed({"a"}), ElementsAre("accepted a train 1"));
  EXPECT_THAT(bench.abandoned(), IsEmpty());
}

TEST(RoundMachineClosing, WhatBecomesDurableAfterTheRoundIsGoneIsDiscarded) {
  Bench bench;
  bench.collect();
  bench.offer("a");
  bench.complete("a");
  bench.command(JobVerb::abort_round);
  bench.abandoned();
  EXPECT_THAT(bench.committed({"a"}), ElementsAre("discard a 1"));
  EXPECT_THAT(bench.folded({"a"}), IsEmpty());
}

TEST(RoundMachineClosing, TheLastRoundFinishesTheJob) {
  RoundConfig config = three_devices();
  config.rounds = 2;
  Bench bench(config);
  bench.play_round();
  EXPECT_THAT(bench.published(), IsEmpty());
  bench.play_round();
  EXPECT_THAT(bench.published(), ElementsAre("job finished: all rounds are done"));
  for (const char* name : {"a", "b", "c"}) EXPECT_THAT(bench.ready(name), IsEmpty());
  EXPECT_EQ(bench.machine.job_phase(), JobPhase::finished);
  EXPECT_EQ(bench.machine.rounds_done(), 2U);
  EXPECT_THAT(bench.command(JobVerb::resume), IsEmpty());
  EXPECT_THAT(bench.command(JobVerb::stop), IsEmpty());
}

TEST(RoundMachineClosing, AnAbandonedLastRoundFinishesTheJobToo) {
  RoundConfig config = three_devices();
  config.rounds = 1;
  Bench bench(config);
  bench.collect();
  bench.command(JobVerb::abort_round);
  EXPECT_THAT(bench.abandoned(), ElementsAre("job finished: all rounds are done"));
}

TEST(RoundMachineClosing, LearnsHowLongRoundsTake) {
  Bench bench;
  EXPECT_EQ(bench.machine.typical_round(), Duration{});
  bench.collect();
  bench.pass(8s);
  bench.command(JobVerb::abort_round);
  bench.abandoned();
  EXPECT_EQ(bench.machine.typical_round(), 8s);
  bench.collect();
  bench.pass(16s);
  bench.command(JobVerb::abort_round);
  bench.abandoned();
  EXPECT_EQ(bench.machine.typical_round(), 10s);  // (3 · 8 + 16) / 4
}

TEST(RoundMachineClosing, TimeNeverStepsBack) {
  Bench bench(with_deadline());
  bench.collect();
  bench.accept("a");
  bench.accept("b");
  bench.pass(60s);
  bench.now -= 120s;
  EXPECT_THAT(bench.tick(), IsEmpty());
  bench.now += 120s;
  EXPECT_THAT(bench.tick(), ElementsAre("cancel c train 1", "finalise 1"));
}

}  // namespace
}  // namespace chorus::server::test
