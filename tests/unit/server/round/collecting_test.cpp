// Offers and uploads: who is taken, who is refused, and what an interrupted device may repeat.
#include "tests/unit/server/round/machine_fixture.hpp"

namespace chorus::server::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class RoundMachineCollecting : public testing::Test {
 protected:
  void SetUp() override { bench.collect(); }
  Bench bench;
};

TEST_F(RoundMachineCollecting, AnOfferIsTakenAndItsUpdateGoesTheWholeWay) {
  EXPECT_THAT(bench.offer("a"), ElementsAre("take a 1"));
  EXPECT_EQ(bench.state("a"), MemberState::uploading);
  EXPECT_THAT(bench.complete("a"), ElementsAre("commit a"));
  EXPECT_EQ(bench.state("a"), MemberState::committing);
  EXPECT_THAT(bench.committed({"a"}), ElementsAre("accepted a train 1", "fold a"));
  EXPECT_EQ(bench.state("a"), MemberState::accepted);
  EXPECT_FALSE(bench.machine.holds_task(id("a")));
  EXPECT_THAT(bench.folded({"a"}), IsEmpty());
  EXPECT_TRUE(bench.machine.members().at(id("a")).folded);
  EXPECT_EQ(bench.machine.members().at(id("a")).examples, Examples{10});
}

TEST_F(RoundMachineCollecting, NothingIsAcknowledgedBeforeItIsDurable) {
  bench.offer("a");
  for (const auto& line : bench.complete("a")) EXPECT_NE(line, "accepted a train 1");
  for (const auto& line : bench.tick()) EXPECT_NE(line, "accepted a train 1");
}

TEST_F(RoundMachineCollecting, ARepeatedOfferOfAnAcceptedUpdateGetsTheSameAnswer) {
  bench.accept("a");
  EXPECT_THAT(bench.offer("a"), ElementsAre("accepted a train 1"));
  EXPECT_THAT(bench.offer("a", 1, 99), ElementsAre("accepted a train 1"));
  EXPECT_EQ(bench.machine.members().at(id("a")).examples, Examples{10});
  EXPECT_EQ(bench.machine.count(MemberState::accepted), 1U);
}

TEST_F(RoundMachineCollecting, AnOfferRepeatedWhileCommittingIsAnsweredOnceWhenDurable) {
  bench.offer("a");
  bench.complete("a");
  EXPECT_THAT(bench.offer("a"), IsEmpty());
  EXPECT_THAT(bench.committed({"a"}), ElementsAre("accepted a train 1", "fold a"));
}

TEST_F(RoundMachineCollecting, AStrangerIsNotInvited) {
  EXPECT_THAT(bench.offer("stranger"), ElementsAre("refuse stranger train 1 not_invited"));
  EXPECT_FALSE(bench.machine.members().contains(id("stranger")));
}

TEST_F(RoundMachineCollecting, AFutureRoundIsNotInvited) {
  EXPECT_THAT(bench.offer("a", 2), ElementsAre("refuse a train 2 not_invited"));
  EXPECT_EQ(bench.state("a"), MemberState::invited);
}

TEST_F(RoundMachineCollecting, AClosedRoundIsClosed) {
  bench.command(JobVerb::abort_round);
  EXPECT_THAT(bench.offer("a"), ElementsAre("refuse a train 1 task_closed"));
  bench.abandoned();
  EXPECT_THAT(bench.offer("a"), ElementsAre("refuse a train 1 task_closed"));
  EXPECT_THAT(bench.offer("a", 0), ElementsAre("refuse a train 0 task_closed"));
  EXPECT_THAT(bench.offer("a", 2), ElementsAre("refuse a train 2 not_invited"));
  bench.collect();
  EXPECT_THAT(bench.offer("a", 1), ElementsAre("refuse a train 1 task_closed"));
  EXPECT_EQ(bench.state("a"), MemberState::invited);
}

TEST_F(RoundMachineCollecting, AFailedConnectionMayOfferAgain) {
  bench.offer("a");
  EXPECT_THAT(bench.failed("a", false), IsEmpty());
  EXPECT_EQ(bench.state("a"), MemberState::invited);
  EXPECT_THAT(bench.offer("a"), ElementsAre("take a 1"));
  EXPECT_THAT(bench.complete("a"), ElementsAre("commit a"));
}

TEST_F(RoundMachineCollecting, ADeviceThatLeavesWhileUploadingMayResume) {
  bench.offer("a");
  EXPECT_THAT(bench.left("a"), IsEmpty());
  EXPECT_EQ(bench.state("a"), MemberState::invited);
  EXPECT_THAT(bench.offer("a"), ElementsAre("take a 1"));  // resumes without a new Work
  bench.left("a");
  EXPECT_THAT(bench.ready("a"), ElementsAre("work a train 1"));  // or begins anew
}

TEST_F(RoundMachineCollecting, ARejectedUpdateIsOutOfTheRound) {
  bench.offer("a");
  EXPECT_THAT(bench.failed("a", true), IsEmpty());
  EXPECT_EQ(bench.state("a"), MemberState::rejected);
  EXPECT_THAT(bench.offer("a"), ElementsAre("refuse a train 1 task_closed"));
  EXPECT_EQ(bench.state("a"), MemberState::rejected);
  EXPECT_THAT(bench.ready("a"), IsEmpty());  // free, but not for this round
  EXPECT_EQ(bench.machine.ready_count(), 1U);
}

TEST_F(RoundMachineCollecting, ADeclinedTaskFreesTheDevice) {
  EXPECT_THAT(bench.declined("a"), IsEmpty());
  EXPECT_EQ(bench.state("a"), MemberState::declined);
  EXPECT_FALSE(bench.machine.holds_task(id("a")));
  EXPECT_THAT(bench.ready("a"), IsEmpty());
  EXPECT_EQ(bench.machine.ready_count(), 1U);
  EXPECT_THAT(bench.offer("a"), ElementsAre("refuse a train 1 task_closed"));
}

TEST_F(RoundMachineCollecting, DecliningWhatIsAcceptedChangesNothing) {
  bench.accept("a");
  bench.declined("a");
  EXPECT_EQ(bench.state("a"), MemberState::accepted);
  bench.step(TaskDeclined{id("b"), TaskKind::train, RoundId{9}, "cannot"});
  EXPECT_EQ(bench.state("b"), MemberState::invited);
}

TEST_F(RoundMachineCollecting, WhatAnOldOrUnknownUploadSaysIsIgnored) {
  EXPECT_THAT(bench.failed("a", true), IsEmpty());  // it was not uploading
  EXPECT_EQ(bench.state("a"), MemberState::invited);
  EXPECT_THAT(bench.failed("stranger", true), IsEmpty());
  EXPECT_THAT(bench.failed("a", true, 9), IsEmpty());
  EXPECT_THAT(bench.complete("a"), ElementsAre("discard a 1"));
  EXPECT_THAT(bench.complete("stranger"), ElementsAre("discard stranger 1"));
  bench.offer("a");
  EXPECT_THAT(bench.complete("a", 9), ElementsAre("discard a 9"));
  EXPECT_EQ(bench.state("a"), MemberState::uploading);
}

TEST_F(RoundMachineCollecting, TwoUploadsCompleteInOneCommit) {
  bench.offer("a");
  bench.offer("b");
  bench.complete("a");
  bench.complete("b");
  EXPECT_THAT(bench.committed({"b", "a"}),
              ElementsAre("accepted b train 1", "fold b", "accepted a train 1", "fold a"));
}

TEST_F(RoundMachineCollecting, AReadyMemberGetsItsWorkAgain) {
  EXPECT_THAT(bench.ready("a"), ElementsAre("work a train 1"));
  EXPECT_EQ(bench.machine.ready_count(), 0U);
}

TEST_F(RoundMachineCollecting, AnAcceptedMemberThatIsReadyWaitsForTheNextRound) {
  bench.accept("a");
  EXPECT_THAT(bench.ready("a"), IsEmpty());
  EXPECT_EQ(bench.machine.ready_count(), 1U);
}

TEST(RoundMachineOverSelection, OffersBeyondTheGoalAreRefused) {
  RoundConfig config = three_devices();
  config.pace.cohort = 2;
  config.pace.over_select = 1.5;
  config.pace.goal = 2;
  config.pace.min_reports = 1;
  Bench bench(config);
  bench.collect();
  bench.offer("a");
  bench.offer("b");
  EXPECT_THAT(bench.offer("c"), ElementsAre("take c 1"));  // begun is not promised
  bench.complete("a");
  bench.complete("b");
  EXPECT_THAT(bench.complete("c"), ElementsAre("discard c 1"));
  EXPECT_EQ(bench.state("c"), MemberState::discarded);
  EXPECT_THAT(bench.offer("c"), ElementsAre("refuse c train 1 task_closed"));
}

TEST(RoundMachineOverSelection, AnOfferThatFindsTheGoalCommittingIsRefused) {
  RoundConfig config = three_devices();
  config.pace.cohort = 2;
  config.pace.over_select = 1.5;
  config.pace.goal = 2;
  config.pace.min_reports = 1;
  Bench bench(config);
  bench.collect();
  for (const char* name : {"a", "b"}) bench.offer(name);
  for (const char* name : {"a", "b"}) bench.complete(name);
  EXPECT_THAT(bench.offer("c"), ElementsAre("refuse c train 1 task_closed"));
  EXPECT_THAT(bench.committed({"a", "b"}),
              ElementsAre("accepted a train 1", "fold a", "accepted b train 1", "fold b"));
  EXPECT_EQ(bench.phase(), RoundPhase::folding);
}

TEST(RoundMachineDeath, CommittingWhatWasNeverUploadedIsABug) {
  Bench bench;
  bench.collect();
  EXPECT_DEATH(bench.committed({"a"}), "committing");
}

TEST(RoundMachineDeath, FoldingTwiceIsABug) {
  Bench bench;
  bench.collect();
  bench.accept("a");
  EXPECT_DEATH(bench.folded({"a"}), "folded");
}

TEST(RoundMachineDeath, AnswersThatNobodyAskedForAreBugs) {
  Bench bench;
  EXPECT_DEATH(bench.opened(), "opening");
  EXPECT_DEATH(bench.finalised(), "finalising");
  EXPECT_DEATH(bench.published(), "publishing");
  EXPECT_DEATH(bench.abandoned(), "abandoning");
}

}  // namespace
}  // namespace chorus::server::test
