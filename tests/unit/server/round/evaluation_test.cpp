// Devices measure the new version.
#include "tests/unit/server/round/machine_fixture.hpp"

namespace chorus::server::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

RoundConfig evaluated() {
  RoundConfig config = three_devices();
  config.evaluation.fraction = 1.0;
  config.evaluation.deadline = 20s;
  return config;
}

TEST(RoundMachineEvaluation, FreeDevicesAreAskedAtOnceTheOthersWhenTheyAreReady) {
  Bench bench(evaluated());
  bench.play_round();
  bench.ready("b");
  EXPECT_THAT(bench.published(), ElementsAre("work b evaluate 1"));
  EXPECT_EQ(bench.phase(), RoundPhase::evaluating);
  EXPECT_TRUE(bench.machine.holds_task(id("a")));
  EXPECT_THAT(bench.ready("a"), ElementsAre("work a evaluate 1"));
  EXPECT_THAT(bench.ready("d"), IsEmpty());  // it took no part
  EXPECT_EQ(bench.machine.rounds_done(), 1U);
}

TEST(RoundMachineEvaluation, ReportsBecomeMeansWeightedByExamples) {
  Bench bench(evaluated());
  bench.play_round();
  bench.published();
  EXPECT_THAT(bench.report("a", {{"loss", 1.0}, {"accuracy", 0.5}}, 10),
              ElementsAre("accepted a evaluate 1"));
  EXPECT_THAT(bench.report("b", {{"loss", 4.0}, {"accuracy", 0.9}}, 30),
              ElementsAre("accepted b evaluate 1"));
  EXPECT_EQ(bench.machine.evaluated(), 2U);
  // loss: (10·1 + 30·4 + 60·2) / 100; accuracy: (10·0.5 + 30·0.9) / 40; only c measured f1
  EXPECT_THAT(bench.report("c", {{"loss", 2.0}, {"f1", 0.25}}, 60),
              ElementsAre("accepted c evaluate 1",
                          "evaluation 1 of 3 eval.accuracy=0.800000 eval.f1=0.250000 "
                          "eval.loss=2.500000"));
  EXPECT_EQ(bench.phase(), RoundPhase::waiting);
}

TEST(RoundMachineEvaluation, AReportWithoutExamplesCountsForNothing) {
  Bench bench(evaluated());
  bench.play_round();
  bench.published();
  bench.left("b");
  bench.left("c");
  EXPECT_THAT(bench.report("a", {{"loss", 1.0}}, 0),
              ElementsAre("accepted a evaluate 1", "evaluation 1 of 1"));
}

TEST(RoundMachineEvaluation, ARepeatedReportGetsTheSameAnswerAndCountsOnce) {
  Bench bench(evaluated());
  bench.play_round();
  bench.published();
  bench.report("a", {{"loss", 1.0}});
  EXPECT_THAT(bench.report("a", {{"loss", 9.0}}), ElementsAre("accepted a evaluate 1"));
  bench.left("b");
  EXPECT_THAT(bench.left("c"), ElementsAre("evaluation 1 of 1 eval.loss=1.000000"));
}

TEST(RoundMachineEvaluation, StrangersAndLateReportsAreRefused) {
  Bench bench(evaluated());
  bench.play_round();
  bench.published();
  EXPECT_THAT(bench.report("d", {}), ElementsAre("refuse d evaluate 1 task_closed"));
  EXPECT_THAT(bench.step(EvaluationReported{id("a"), RoundId{2}, Examples{1}, {}}),
              ElementsAre("refuse a evaluate 2 task_closed"));
  for (const char* name : {"a", "b", "c"}) bench.left(name);
  EXPECT_EQ(bench.phase(), RoundPhase::waiting);
  EXPECT_THAT(bench.report("a", {}), ElementsAre("refuse a evaluate 1 task_closed"));
}

TEST(RoundMachineEvaluation, TheDeadlineEndsIt) {
  Bench bench(evaluated());
  bench.play_round();
  bench.published();
  EXPECT_EQ(bench.machine.next_wakeup(), bench.now + 20s);
  bench.report("a", {{"loss", 3.0}});
  bench.pass(20s - 1ms);
  EXPECT_THAT(bench.tick(), IsEmpty());
  bench.pass(1ms);
  EXPECT_THAT(
      bench.tick(),
      ElementsAre(
          "cancel b evaluate 1", "cancel c evaluate 1", "evaluation 1 of 1 eval.loss=3.000000"));
}

TEST(RoundMachineEvaluation, DevicesThatLeaveOrDeclineAreNotWaitedFor) {
  Bench bench(evaluated());
  bench.play_round();
  bench.published();
  EXPECT_THAT(bench.left("a"), IsEmpty());
  EXPECT_THAT(bench.ready("a"), IsEmpty());  // it is free again, not asked again
  EXPECT_THAT(bench.declined("b", TaskKind::evaluate), IsEmpty());
  EXPECT_THAT(bench.left("c"), ElementsAre("evaluation 1 of 0"));
}

TEST(RoundMachineEvaluation, DecliningAnotherRoundsEvaluationIsIgnored) {
  Bench bench(evaluated());
  bench.play_round();
  bench.published();
  bench.left("b");
  bench.left("c");
  EXPECT_THAT(bench.step(TaskDeclined{id("a"), TaskKind::evaluate, RoundId{9}, "cannot"}),
              IsEmpty());
  EXPECT_TRUE(bench.machine.holds_task(id("a")));
}

TEST(RoundMachineEvaluation, OnlyConnectedDevicesWhoseUpdateCountedAreAsked) {
  Bench bench(evaluated());
  bench.collect();
  bench.accept("a");
  bench.accept("b");
  bench.declined("c");
  bench.left("b");
  bench.finalised();
  bench.published();
  EXPECT_TRUE(bench.machine.holds_task(id("a")));
  EXPECT_FALSE(bench.machine.holds_task(id("b")));
  EXPECT_FALSE(bench.machine.holds_task(id("c")));
}

TEST(RoundMachineEvaluation, WithNobodyThereItIsLeftOut) {
  Bench bench(evaluated());
  bench.play_round();
  for (const char* name : {"a", "b", "c"}) bench.left(name);
  EXPECT_THAT(bench.published(), IsEmpty());
  EXPECT_EQ(bench.phase(), RoundPhase::waiting);
}

TEST(RoundMachineEvaluation, AFractionIsRoundedUpAndDrawnBySeed) {
  RoundConfig config = evaluated();
  config.evaluation.fraction = 0.34;  // ceil(1.02)
  std::vector<std::string> asked;
  for (int repeat = 0; repeat < 2; ++repeat) {
    Bench bench(config);
    bench.play_round();
    bench.published();
    int count = 0;
    for (const char* name : {"a", "b", "c"}) {
      if (!bench.machine.holds_task(id(name))) continue;
      asked.emplace_back(name);
      ++count;
    }
    EXPECT_EQ(count, 2);
  }
  EXPECT_EQ(asked[0] + asked[1], asked[2] + asked[3]);
}

TEST(RoundMachineEvaluation, HappensEverySoManyRoundsAndAfterTheLast) {
  RoundConfig config = evaluated();
  config.rounds = 5;
  config.evaluation.every = 2;
  Bench bench(config);
  std::vector<std::uint64_t> evaluated_rounds;
  for (std::uint64_t round = 1; round <= 5; ++round) {
    bench.play_round();
    bench.published();
    if (bench.phase() == RoundPhase::evaluating) {
      evaluated_rounds.push_back(round);
      for (const char* name : {"a", "b", "c"}) bench.left(name);
    }
  }
  EXPECT_THAT(evaluated_rounds, ElementsAre(2, 4, 5));
}

TEST(RoundMachineEvaluation, AFractionOfZeroSwitchesItOff) {
  RoundConfig config = evaluated();
  config.evaluation.fraction = 0.0;
  config.rounds = 1;
  Bench bench(config);
  bench.play_round();
  EXPECT_THAT(bench.published(), ElementsAre("job finished: all rounds are done"));
}

TEST(RoundMachineEvaluation, ReachingTheTargetFinishesTheJob) {
  RoundConfig config = evaluated();
  config.target = Target{"accuracy", 0.9};
  Bench bench(config);
  bench.play_round();
  bench.published();
  for (const char* name : {"a", "b"}) bench.report(name, {{"accuracy", 0.89}});
  bench.report("c", {{"accuracy", 0.8999}});
  EXPECT_EQ(bench.machine.job_phase(), JobPhase::running);
  bench.play_round();
  bench.published();
  for (const char* name : {"a", "b"}) bench.report(name, {{"accuracy", 0.9}});
  const auto lines = bench.report("c", {{"accuracy", 0.9}});
  EXPECT_EQ(lines.back(), "job finished: reached its target for accuracy");
  EXPECT_EQ(bench.machine.rounds_done(), 2U);
}

TEST(RoundMachineEvaluation, AnotherMetricIsNoTarget) {
  RoundConfig config = evaluated();
  config.target = Target{"accuracy", 0.9};
  Bench bench(config);
  bench.play_round();
  bench.published();
  for (const char* name : {"a", "b", "c"}) bench.report(name, {{"loss", 5.0}});
  EXPECT_EQ(bench.machine.job_phase(), JobPhase::running);
}

TEST(RoundMachineEvaluation, AStoppedJobIsNotEvaluated) {
  Bench bench(evaluated());
  bench.play_round();
  bench.command(JobVerb::stop);
  EXPECT_THAT(bench.published(), ElementsAre("job stopped: stopped by an administrator"));
}

TEST(RoundMachineEvaluation, TheNextRoundWaitsForIt) {
  Bench bench(evaluated());
  bench.play_round();
  bench.published();
  for (const char* name : {"d", "e", "f"}) EXPECT_THAT(bench.ready(name), IsEmpty());
  bench.left("a");
  bench.left("b");
  EXPECT_THAT(bench.left("c"), ElementsAre("evaluation 1 of 0", "open 2: d e f"));
}

}  // namespace
}  // namespace chorus::server::test
