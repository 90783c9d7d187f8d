// What administrators and failing disks do to a job, in every phase.
#include "tests/unit/server/round/machine_fixture.hpp"

namespace chorus::server::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kPaused = "job paused: paused by an administrator";
constexpr const char* kStopped = "job stopped: stopped by an administrator";
constexpr const char* kDegraded = "job degraded: disk on fire";
constexpr const char* kRunning = "job running: ";
constexpr const char* kStopping = "job running: stopping";

/// Brings a bench to a phase with a, b, c invited; a and b accepted where the phase has updates.
void bring(Bench& bench, RoundPhase phase) {
  if (phase == RoundPhase::waiting) return;
  for (const char* name : {"a", "b", "c"}) bench.ready(name);
  if (phase == RoundPhase::opening) return;
  bench.opened();
  if (phase == RoundPhase::abandoning) {
    bench.command(JobVerb::abort_round);
    return;
  }
  bench.accept("a");
  bench.offer("b");
  bench.complete("b");
  bench.committed({"b"});
  if (phase == RoundPhase::collecting) return;
  bench.declined("c");
  if (phase == RoundPhase::folding) return;
  bench.folded({"b"});
  if (phase == RoundPhase::finalising) return;
  bench.finalised();
  if (phase == RoundPhase::publishing) return;
  bench.published();
}

RoundConfig with_evaluation() {
  RoundConfig config = three_devices();
  config.evaluation.fraction = 1.0;
  return config;
}

/// The store's answers from `phase` to the end of the round.
void finish(Bench& bench) {
  if (bench.phase() == RoundPhase::opening) bench.opened();
  if (bench.phase() == RoundPhase::collecting) {
    bench.folded({"b"});
    bench.declined("c");
  }
  if (bench.phase() == RoundPhase::folding) bench.folded({"b"});
  if (bench.phase() == RoundPhase::finalising) bench.finalised();
  if (bench.phase() == RoundPhase::publishing) bench.published();
  if (bench.phase() == RoundPhase::abandoning) bench.abandoned();
  if (bench.phase() == RoundPhase::evaluating) {
    for (const char* name : {"a", "b"}) bench.left(name);
  }
}

constexpr RoundPhase kPhases[] = {RoundPhase::waiting,
                                  RoundPhase::opening,
                                  RoundPhase::collecting,
                                  RoundPhase::folding,
                                  RoundPhase::finalising,
                                  RoundPhase::publishing,
                                  RoundPhase::abandoning,
                                  RoundPhase::evaluating};

class EveryPhase : public testing::TestWithParam<RoundPhase> {
 protected:
  void SetUp() override {
    bring(bench, GetParam());
    ASSERT_EQ(bench.phase(), GetParam());
  }
  bool waiting() const { return GetParam() == RoundPhase::waiting; }
  Bench bench{with_evaluation()};
};

std::string phase_name(const testing::TestParamInfo<RoundPhase>& info) {
  return std::string(to_string(info.param));
}
INSTANTIATE_TEST_SUITE_P(RoundMachine, EveryPhase, testing::ValuesIn(kPhases), phase_name);

TEST_P(EveryPhase, PauseLetsTheOpenRoundEndFirst) {
  EXPECT_THAT(bench.command(JobVerb::pause), ElementsAre(kPaused));
  EXPECT_EQ(bench.machine.pausing(), !waiting() || bench.machine.pausing());
  EXPECT_EQ(bench.machine.job_phase(), waiting() ? JobPhase::paused : JobPhase::running);
  if (GetParam() == RoundPhase::opening) {
    bench.opened();
    bench.accept("a");
    bench.offer("b");
    bench.complete("b");
    bench.committed({"b"});
  }
  finish(bench);
  finish(bench);
  EXPECT_EQ(bench.phase(), RoundPhase::waiting);
  EXPECT_EQ(bench.machine.job_phase(), JobPhase::paused);
  for (const char* name : {"a", "b", "c"}) EXPECT_THAT(bench.ready(name), IsEmpty());
}

TEST_P(EveryPhase, ResumeTakesAPauseBack) {
  bench.command(JobVerb::pause);
  EXPECT_THAT(bench.command(JobVerb::resume), ElementsAre(kRunning));
  EXPECT_EQ(bench.machine.job_phase(), JobPhase::running);
  EXPECT_FALSE(bench.machine.pausing());
  EXPECT_EQ(bench.phase(), GetParam());
}

TEST_P(EveryPhase, ResumeOfARunningJobIsNothing) {
  EXPECT_THAT(bench.command(JobVerb::resume), IsEmpty());
  EXPECT_EQ(bench.phase(), GetParam());
}

TEST_P(EveryPhase, PausingTwiceIsPausingOnce) {
  bench.command(JobVerb::pause);
  EXPECT_THAT(bench.command(JobVerb::pause), IsEmpty());
}

TEST_P(EveryPhase, StopEndsTheJob) {
  const auto lines = bench.command(JobVerb::stop);
  const auto phase = GetParam();
  if (phase == RoundPhase::waiting) {
    EXPECT_THAT(lines, ElementsAre(kStopped));
  } else if (phase == RoundPhase::collecting) {
    EXPECT_THAT(lines, ElementsAre(kStopped, "cancel c train 1", "abandon 1: the job was stopped"));
  } else if (phase == RoundPhase::folding) {
    EXPECT_THAT(lines, ElementsAre(kStopped, "abandon 1: the job was stopped"));
  } else if (phase == RoundPhase::evaluating) {
    EXPECT_EQ(lines.back(), kStopped);
  } else {
    EXPECT_THAT(lines, ElementsAre(kStopped));
  }
  finish(bench);
  finish(bench);
  EXPECT_EQ(bench.phase(), RoundPhase::waiting);
  EXPECT_EQ(bench.machine.job_phase(), JobPhase::stopped);
  EXPECT_EQ(bench.machine.rounds_done(), phase == RoundPhase::waiting ? 0U : 1U);
  for (const char* name : {"a", "b", "c"}) EXPECT_THAT(bench.ready(name), IsEmpty());
  EXPECT_THAT(bench.command(JobVerb::resume), IsEmpty());
}

TEST_P(EveryPhase, AbortConcernsOnlyARoundThatIsOpen) {
  const auto lines = bench.command(JobVerb::abort_round);
  const auto phase = GetParam();
  if (phase == RoundPhase::collecting) {
    EXPECT_THAT(lines, ElementsAre("cancel c train 1", "abandon 1: aborted by an administrator"));
  } else if (phase == RoundPhase::folding) {
    EXPECT_THAT(lines, ElementsAre("abandon 1: aborted by an administrator"));
  } else {
    EXPECT_THAT(lines, IsEmpty());
    EXPECT_EQ(bench.phase(), phase);
  }
}

TEST_P(EveryPhase, FinishConcernsOnlyACollectingRound) {
  const auto lines = bench.command(JobVerb::finish_round);
  if (GetParam() == RoundPhase::collecting) {
    EXPECT_THAT(lines, ElementsAre("cancel c train 1"));
    EXPECT_THAT(bench.folded({"b"}), ElementsAre("finalise 1"));
  } else {
    EXPECT_THAT(lines, IsEmpty());
    EXPECT_EQ(bench.phase(), GetParam());
  }
}

TEST_P(EveryPhase, AFailedStoreDegradesAndResumeRepeatsWhatFailed) {
  EXPECT_THAT(bench.store_failed(), ElementsAre(kDegraded));
  EXPECT_EQ(bench.machine.job_phase(), JobPhase::degraded);
  EXPECT_EQ(bench.machine.next_wakeup(), std::nullopt);
  EXPECT_THAT(bench.tick(), IsEmpty());
  const auto lines = bench.command(JobVerb::resume);
  switch (GetParam()) {
    case RoundPhase::opening:
      EXPECT_THAT(lines, ElementsAre(kRunning, "open 1: a b c"));
      break;
    case RoundPhase::collecting:
    case RoundPhase::folding:
      EXPECT_THAT(lines, ElementsAre(kRunning, "fold b"));  // a is in the lane
      break;
    case RoundPhase::finalising:
    case RoundPhase::publishing:  // writes the version again: no need to remember its name
      EXPECT_THAT(lines, ElementsAre(kRunning, "finalise 1"));
      break;
    case RoundPhase::abandoning:
      EXPECT_THAT(lines, ElementsAre(kRunning, "abandon 1: aborted by an administrator"));
      break;
    default:
      EXPECT_THAT(lines, ElementsAre(kRunning));
  }
  if (GetParam() == RoundPhase::opening) {
    EXPECT_EQ(bench.opened().size(), 3U);
  } else {
    finish(bench);
    finish(bench);
    EXPECT_EQ(bench.phase(), RoundPhase::waiting);
  }
}

TEST_P(EveryPhase, StopOfADegradedJobEndsIt) {
  bench.store_failed();
  const auto lines = bench.command(JobVerb::stop);
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines.front(), kStopping);
  // Each phase asks again for what failed, or abandons: nothing hangs.
  finish(bench);
  finish(bench);
  EXPECT_EQ(bench.phase(), RoundPhase::waiting);
  EXPECT_EQ(bench.machine.job_phase(), JobPhase::stopped);
}

TEST(RoundMachineDegraded, CommitsAreAskedForAgain) {
  Bench bench;
  bench.collect();
  bench.accept("a");
  bench.offer("b");
  bench.complete("b");
  bench.store_failed();
  EXPECT_THAT(bench.command(JobVerb::resume), ElementsAre(kRunning, "commit b"));
}

TEST(RoundMachineDegraded, WhatWasUnderWayIsStillTakenNote) {
  Bench bench;
  bench.collect();
  bench.accept("a");
  bench.offer("b");
  bench.complete("b");
  bench.store_failed();
  EXPECT_THAT(bench.committed({"b"}), ElementsAre("accepted b train 1", "fold b"));
  EXPECT_THAT(bench.offer("c"), ElementsAre("take c 1"));
  EXPECT_THAT(bench.declined("c"), IsEmpty());  // all have answered, and nothing closes
  EXPECT_EQ(bench.phase(), RoundPhase::collecting);
  EXPECT_THAT(bench.command(JobVerb::resume), ElementsAre(kRunning, "fold b"));
  EXPECT_EQ(bench.phase(), RoundPhase::folding);
}

TEST(RoundMachineDegraded, OpensNothing) {
  Bench bench;
  bench.store_failed();
  for (const char* name : {"a", "b", "c"}) EXPECT_THAT(bench.ready(name), IsEmpty());
  EXPECT_THAT(bench.command(JobVerb::resume), ElementsAre(kRunning, "open 1: a b c"));
}

TEST(RoundMachineDegraded, AnAbandonedRoundKeepsItsReason) {
  Bench bench;
  bench.collect();
  bench.command(JobVerb::stop);
  bench.store_failed();
  const auto lines = bench.command(JobVerb::resume);
  EXPECT_THAT(lines, ElementsAre(kRunning, "abandon 1: the job was stopped"));
}

TEST(RoundMachineCommands, FinishWaitsForWhatIsBeingMadeDurable) {
  Bench bench;
  bench.collect();
  bench.accept("a");
  bench.machine.step(Tick{}, bench.now);
  bench.offer("b");
  bench.complete("b");
  EXPECT_THAT(bench.command(JobVerb::finish_round), IsEmpty());  // one update: min_reports is two
  bench.committed({"b"});
  bench.offer("c");
  EXPECT_THAT(bench.command(JobVerb::finish_round), ElementsAre("cancel c train 1"));
  EXPECT_EQ(bench.phase(), RoundPhase::folding);

  RoundConfig config = three_devices();
  config.pace.min_reports = 1;
  Bench other(config);
  other.collect();
  other.accept("a");
  other.offer("b");
  other.complete("b");
  other.offer("c");
  EXPECT_THAT(other.command(JobVerb::finish_round), IsEmpty());
  EXPECT_EQ(other.phase(), RoundPhase::collecting);
  EXPECT_THAT(other.complete("c"), ElementsAre("discard c 1"));  // no new ones meanwhile
  EXPECT_THAT(other.committed({"b"}), ElementsAre("accepted b train 1", "fold b"));
  EXPECT_THAT(other.folded({"b"}), ElementsAre("finalise 1"));
}

TEST(RoundMachineCommands, FinishBelowMinReportsIsNothing) {
  Bench bench;
  bench.collect();
  bench.accept("a");
  EXPECT_THAT(bench.command(JobVerb::finish_round), IsEmpty());
  EXPECT_THAT(bench.offer("b"), ElementsAre("take b 1"));
}

TEST(RoundMachineCommands, FinishConcernsOneRoundOnly) {
  Bench bench;
  bench.collect();
  bench.accept("a");
  bench.accept("b");
  bench.command(JobVerb::finish_round);
  bench.finalised();
  bench.published();
  bench.collect();
  bench.accept("a");
  bench.accept("b");
  EXPECT_EQ(bench.phase(), RoundPhase::collecting);
}

TEST(RoundMachineCommands, APausedJobStopsAtOnce) {
  Bench bench;
  bench.command(JobVerb::pause);
  EXPECT_THAT(bench.command(JobVerb::stop), ElementsAre(kStopped));
}

TEST(RoundMachineCommands, AJobWhoseRoundsAreDoneFinishesRatherThanPauses) {
  RoundConfig config = three_devices();
  config.rounds = 1;
  Bench bench(config);
  bench.play_round();
  bench.command(JobVerb::pause);
  EXPECT_THAT(bench.published(), ElementsAre("job finished: all rounds are done"));
}

TEST(RoundMachineCommands, ResumingGivesTheSelectionDeadlineAnew) {
  RoundConfig config = three_devices();
  config.pace.selection_deadline = 10s;
  Bench bench(config);
  bench.command(JobVerb::pause);
  bench.ready("a");
  bench.ready("b");
  bench.pass(60s);
  EXPECT_THAT(bench.command(JobVerb::resume), ElementsAre(kRunning));
  EXPECT_EQ(bench.machine.next_wakeup(), bench.now + 10s);
}

}  // namespace
}  // namespace chorus::server::test
