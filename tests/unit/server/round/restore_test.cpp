// What a fresh process makes of what ledger and journal still know.
#include "tests/unit/server/round/machine_fixture.hpp"

namespace chorus::server::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

RestoredRound open_round() {
  RestoredRound round;
  round.round = RoundId{4};
  round.cohort = {id("a"), id("b"), id("c")};
  return round;
}

void add_accepted(RestoredRound& round, const std::string& name, bool folded) {
  round.accepted.push_back(id(name));
  round.examples[id(name)] = Examples{12};
  if (folded) round.folded.push_back(id(name));
}

RoundConfig ten_rounds() {
  RoundConfig config = three_devices();
  config.rounds = 10;
  return config;
}

struct Restored {
  explicit Restored(const RestoredJob& job, RoundConfig config = ten_rounds())
      : bench(std::move(config), job), lines(bench.first_actions) {}
  Bench bench;
  Lines lines;
};

TEST(RoundMachineRestore, AFreshJobWaits) {
  Restored fresh{RestoredJob{}};
  EXPECT_THAT(fresh.lines, IsEmpty());
  for (const char* name : {"a", "b"}) fresh.bench.ready(name);
  EXPECT_THAT(fresh.bench.ready("c"), ElementsAre("open 1: a b c"));
}

TEST(RoundMachineRestore, GoesOnAfterTheLastClosedRound) {
  RestoredJob job;
  job.last_round = RoundId{6};
  Restored restored(job);
  EXPECT_EQ(restored.bench.machine.rounds_done(), 6U);
  for (const char* name : {"a", "b"}) restored.bench.ready(name);
  EXPECT_THAT(restored.bench.ready("c"), ElementsAre("open 7: a b c"));
}

TEST(RoundMachineRestore, DrawsTheCohortThatWouldHaveBeenDrawn) {
  const auto cohort = [](bool restart) {
    RestoredJob job;
    if (restart) job.last_round = RoundId{1};
    Bench bench(ten_rounds(), job);
    if (!restart) {
      bench.collect();
      bench.command(JobVerb::abort_round);
      bench.abandoned();
    }
    bench.command(JobVerb::pause);
    for (int i = 0; i < 20; ++i) bench.ready("device-" + std::to_string(i));
    return bench.command(JobVerb::resume).back();
  };
  EXPECT_EQ(cohort(true), cohort(false));
}

TEST(RoundMachineRestore, AnOpenRoundWithoutUpdatesCollects) {
  RestoredJob job;
  job.last_round = RoundId{3};
  job.open = open_round();
  Restored restored(job);
  EXPECT_THAT(restored.lines, IsEmpty());
  EXPECT_EQ(restored.bench.phase(), RoundPhase::collecting);
  EXPECT_EQ(restored.bench.machine.goal(), 3U);
  EXPECT_THAT(restored.bench.ready("b"), ElementsAre("work b train 4"));
  EXPECT_THAT(restored.bench.offer("a", 4), ElementsAre("take a 4"));  // finished meanwhile
  EXPECT_THAT(restored.bench.ready("d"), IsEmpty());
}

TEST(RoundMachineRestore, DurableUpdatesAreFoldedUnlessTheLaneHasThem) {
  RestoredJob job;
  job.last_round = RoundId{3};
  job.open = open_round();
  add_accepted(*job.open, "a", true);
  add_accepted(*job.open, "b", false);
  Restored restored(job);
  EXPECT_THAT(restored.lines, ElementsAre("fold b"));
  EXPECT_EQ(restored.bench.machine.count(MemberState::accepted), 2U);
  EXPECT_EQ(restored.bench.machine.members().at(id("a")).examples, Examples{12});
  EXPECT_THAT(restored.bench.offer("a", 4), ElementsAre("accepted a train 4"));
  restored.bench.folded({"b"});
  restored.bench.offer("c", 4);
  restored.bench.complete("c", 4);
  EXPECT_THAT(restored.bench.committed({"c"}), ElementsAre("accepted c train 4", "fold c"));
  EXPECT_THAT(restored.bench.folded({"c"}), ElementsAre("finalise 4"));
}

TEST(RoundMachineRestore, ARoundThatHadReachedItsGoalIsClosed) {
  RestoredJob job;
  job.open = open_round();
  for (const char* name : {"a", "b", "c"}) add_accepted(*job.open, name, false);
  Restored restored(job);
  EXPECT_THAT(restored.lines, ElementsAre("fold a", "fold b", "fold c"));
  EXPECT_EQ(restored.bench.phase(), RoundPhase::folding);
  EXPECT_THAT(restored.bench.folded({"a", "b"}), IsEmpty());
  EXPECT_THAT(restored.bench.folded({"c"}), ElementsAre("finalise 4"));
}

TEST(RoundMachineRestore, ARoundWhoseLaneIsCompleteIsFinalisedAtOnce) {
  RestoredJob job;
  job.open = open_round();
  for (const char* name : {"a", "b", "c"}) add_accepted(*job.open, name, true);
  Restored restored(job);
  EXPECT_THAT(restored.lines, ElementsAre("finalise 4"));
}

TEST(RoundMachineRestore, TheDeadlineBeginsAnew) {
  RoundConfig config = ten_rounds();
  config.pace.deadline = 60s;
  RestoredJob job;
  job.open = open_round();
  Restored restored(job, config);
  EXPECT_EQ(restored.bench.machine.next_wakeup(), restored.bench.now + 60s);
}

TEST(RoundMachineRestore, AFewerCohortThanWantedKeepsItsGoal) {
  RestoredJob job;
  job.open = open_round();
  job.open->cohort.pop_back();  // opened by the selection deadline
  Restored restored(job);
  EXPECT_EQ(restored.bench.machine.goal(), 2U);
}

TEST(RoundMachineRestore, ADegradedJobRunsAgain) {
  RestoredJob job;
  job.phase = JobPhase::degraded;
  job.why = "disk on fire";
  Restored restored(job);
  EXPECT_EQ(restored.bench.machine.job_phase(), JobPhase::running);
}

TEST(RoundMachineRestore, APausedJobStaysPaused) {
  RestoredJob job;
  job.phase = JobPhase::paused;
  job.last_round = RoundId{2};
  Restored restored(job);
  for (const char* name : {"a", "b", "c"}) EXPECT_THAT(restored.bench.ready(name), IsEmpty());
  EXPECT_THAT(restored.bench.command(JobVerb::resume),
              ElementsAre("job running: ", "open 3: a b c"));
}

TEST(RoundMachineRestore, APauseThatWaitedForTheRoundIsNotForgotten) {
  RestoredJob job;
  job.phase = JobPhase::paused;
  job.open = open_round();
  for (const char* name : {"a", "b", "c"}) add_accepted(*job.open, name, true);
  Restored restored(job);
  EXPECT_EQ(restored.bench.machine.job_phase(), JobPhase::running);
  EXPECT_TRUE(restored.bench.machine.pausing());
  restored.bench.finalised();
  EXPECT_THAT(restored.bench.published(), ElementsAre("job paused: paused by an administrator"));
}

TEST(RoundMachineRestore, AStopThatWaitedIsNotForgotten) {
  RestoredJob job;
  job.phase = JobPhase::stopped;
  job.open = open_round();
  Restored restored(job);
  EXPECT_THAT(restored.lines, ElementsAre("abandon 4: the job was stopped"));
  EXPECT_THAT(restored.bench.abandoned(), ElementsAre("job stopped: stopped by an administrator"));
}

TEST(RoundMachineRestore, AFinishedJobStaysFinished) {
  RestoredJob job;
  job.phase = JobPhase::finished;
  job.last_round = RoundId{10};
  Restored restored(job);
  EXPECT_THAT(restored.lines, IsEmpty());
  for (const char* name : {"a", "b", "c"}) EXPECT_THAT(restored.bench.ready(name), IsEmpty());
}

TEST(RoundMachineRestore, AJobWhoseLastWordWasLostFinishes) {
  RestoredJob job;
  job.last_round = RoundId{10};
  Restored restored(job);
  EXPECT_THAT(restored.lines, ElementsAre("job finished: all rounds are done"));
}

TEST(RoundMachineRestore, AMissingEvaluationIsMadeUpFor) {
  RoundConfig config = ten_rounds();
  config.evaluation.fraction = 1.0;
  RestoredJob job;
  job.last_round = RoundId{4};
  job.to_evaluate = {id("a"), id("b")};
  Restored restored(job, config);
  EXPECT_EQ(restored.bench.phase(), RoundPhase::evaluating);
  EXPECT_EQ(restored.bench.machine.rounds_done(), 4U);
  EXPECT_THAT(restored.bench.ready("a"), ElementsAre("work a evaluate 4"));
  EXPECT_THAT(restored.bench.report("a", {{"loss", 2.0}}), ElementsAre("accepted a evaluate 4"));
  restored.bench.pass(60s);
  EXPECT_THAT(restored.bench.tick(),
              ElementsAre("cancel b evaluate 4", "evaluation 4 of 1 eval.loss=2.000000"));
  EXPECT_EQ(restored.bench.machine.typical_round(), Duration{});  // its length is not known
}

TEST(RoundMachineRestore, AnEvaluationThatWasNotDueIsNotMadeUpFor) {
  RoundConfig config = ten_rounds();
  config.evaluation.fraction = 1.0;
  config.evaluation.every = 5;
  RestoredJob job;
  job.last_round = RoundId{4};
  job.to_evaluate = {id("a"), id("b")};
  Restored restored(job, config);
  EXPECT_EQ(restored.bench.phase(), RoundPhase::waiting);
}

}  // namespace
}  // namespace chorus::server::test
