// Waiting for devices, drawing the cohort, handing out work.
#include <algorithm>

#include "common/base/limits.hpp"
#include "tests/unit/server/round/machine_fixture.hpp"

namespace chorus::server::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(RoundMachineOpening, WaitsUntilTheCohortIsComplete) {
  Bench bench;
  EXPECT_THAT(bench.ready("b"), IsEmpty());
  EXPECT_THAT(bench.ready("a"), IsEmpty());
  EXPECT_THAT(bench.ready("c"), ElementsAre("open 1: a b c"));
  EXPECT_EQ(bench.phase(), RoundPhase::opening);
  EXPECT_EQ(bench.machine.ready_count(), 0U);
  EXPECT_EQ(bench.machine.rounds_done(), 0U);
  EXPECT_EQ(bench.machine.goal(), 3U);
}

TEST(RoundMachineOpening, OneDeviceSayingReadyTwiceIsOneDevice) {
  Bench bench;
  bench.ready("a");
  bench.ready("a");
  EXPECT_THAT(bench.ready("b"), IsEmpty());
  EXPECT_EQ(bench.machine.ready_count(), 2U);
}

TEST(RoundMachineOpening, ADeviceThatLeftIsNotInvited) {
  Bench bench;
  bench.ready("a");
  bench.ready("b");
  bench.left("a");
  EXPECT_THAT(bench.ready("c"), IsEmpty());
  EXPECT_THAT(bench.ready("d"), ElementsAre("open 1: b c d"));
}

TEST(RoundMachineOpening, WorkIsHandedOutOnlyWhenTheLedgerKnowsTheRound) {
  Bench bench;
  for (const char* name : {"a", "b", "c"}) bench.ready(name);
  EXPECT_THAT(bench.tick(), IsEmpty());
  EXPECT_THAT(bench.opened(), ElementsAre("work a train 1", "work b train 1", "work c train 1"));
  EXPECT_EQ(bench.phase(), RoundPhase::collecting);
  EXPECT_TRUE(bench.machine.holds_task(id("a")));
  EXPECT_FALSE(bench.machine.holds_task(id("d")));
}

TEST(RoundMachineOpening, AMemberThatLeavesMeanwhileGetsItsWorkWhenItReturns) {
  Bench bench;
  for (const char* name : {"a", "b", "c"}) bench.ready(name);
  bench.left("b");
  EXPECT_THAT(bench.opened(), ElementsAre("work a train 1", "work c train 1"));
  EXPECT_THAT(bench.ready("b"), ElementsAre("work b train 1"));
}

TEST(RoundMachineOpening, AMemberThatComesBackBeforeTheLedgerAnswersIsServedOnce) {
  Bench bench;
  for (const char* name : {"a", "b", "c"}) bench.ready(name);
  bench.left("b");
  EXPECT_THAT(bench.ready("b"), IsEmpty());
  EXPECT_THAT(bench.opened(), ElementsAre("work a train 1", "work b train 1", "work c train 1"));
}

TEST(RoundMachineOpening, OpensWithFewerAfterTheSelectionDeadline) {
  RoundConfig config = three_devices();
  config.pace.selection_deadline = 10s;
  Bench bench(config);
  bench.ready("a");
  EXPECT_EQ(bench.machine.next_wakeup(), std::nullopt);  // one is below min_reports
  bench.ready("b");
  EXPECT_EQ(bench.machine.next_wakeup(), bench.now + 10s);
  bench.pass(10s - 1ms);
  EXPECT_THAT(bench.tick(), IsEmpty());
  bench.pass(1ms);
  EXPECT_THAT(bench.tick(), ElementsAre("open 1: a b"));

  Bench late(config);
  late.ready("a");
  late.pass(10s);
  EXPECT_THAT(late.tick(), IsEmpty());
  EXPECT_THAT(late.ready("b"), ElementsAre("open 1: a b"));
  EXPECT_EQ(late.machine.goal(), 2U);  // no more than are invited
}

TEST(RoundMachineOpening, TheSelectionDeadlineCountsFromTheEndOfTheLastRound) {
  RoundConfig config = three_devices();
  config.pace.selection_deadline = 10s;
  Bench bench(config);
  bench.play_round();
  bench.pass(60s);
  bench.published();
  bench.ready("a");
  bench.ready("b");
  EXPECT_EQ(bench.phase(), RoundPhase::waiting);
  EXPECT_EQ(bench.machine.next_wakeup(), bench.now + 10s);
  bench.pass(10s - 1ms);
  EXPECT_THAT(bench.tick(), IsEmpty());
  bench.pass(1ms);
  EXPECT_THAT(bench.tick(), ElementsAre("open 2: a b"));
}

TEST(RoundMachineOpening, OverSelectionInvitesMoreThanAreWanted) {
  RoundConfig config = three_devices();
  config.pace.cohort = 2;
  config.pace.over_select = 1.3;  // ceil(2.6)
  config.pace.goal = 2;
  Bench bench(config);
  EXPECT_EQ(bench.machine.invited(), 3U);
  bench.ready("a");
  EXPECT_THAT(bench.ready("b"), IsEmpty());
  EXPECT_THAT(bench.ready("c"), ElementsAre("open 1: a b c"));
  EXPECT_EQ(bench.machine.goal(), 2U);
}

TEST(RoundMachineOpening, APausedJobOpensNothing) {
  Bench bench;
  EXPECT_THAT(bench.command(JobVerb::pause), ElementsAre("job paused: paused by an administrator"));
  for (const char* name : {"a", "b", "c"}) EXPECT_THAT(bench.ready(name), IsEmpty());
  EXPECT_EQ(bench.machine.next_wakeup(), std::nullopt);
  EXPECT_THAT(bench.command(JobVerb::resume), ElementsAre("job running: ", "open 1: a b c"));
}

std::vector<ClientId> crowd(std::size_t count) {
  std::vector<ClientId> devices;
  for (std::size_t i = 0; i < count; ++i) devices.push_back(id("device-" + std::to_string(i)));
  return devices;
}

// The cohort of round 1 when a crowd is there at once.
std::string drawn(std::uint64_t seed, const std::vector<ClientId>& order) {
  RoundConfig config = three_devices();
  config.seed = seed;
  Bench bench(config);
  bench.command(JobVerb::pause);  // so that nothing opens before all are there
  for (const ClientId& client : order) bench.ready(client.value);
  return bench.command(JobVerb::resume).back();
}

TEST(RoundMachineOpening, TheCohortIsAFunctionOfTheSeed) {
  const auto devices = crowd(20);
  EXPECT_EQ(drawn(1, devices), drawn(1, devices));
  // Golden: a change here changes which devices every running job invites.
  EXPECT_EQ(drawn(1, devices), "open 1: device-16 device-19 device-5");
  EXPECT_EQ(drawn(2, devices), "open 1: device-16 device-2 device-7");
}

TEST(RoundMachineOpening, TheCohortDoesNotDependOnWhoCameFirst) {
  auto devices = crowd(20);
  const std::string first = drawn(5, devices);
  Rng rng(11);
  for (int i = 0; i < 50; ++i) {
    rng.shuffle(std::span(devices));
    EXPECT_EQ(drawn(5, devices), first);
  }
}

TEST(RoundMachineOpening, EachRoundDrawsAnew) {
  RoundConfig config = three_devices();
  config.rounds = 50;
  Bench bench(config);
  std::set<std::string> seen;
  bench.command(JobVerb::pause);
  for (std::uint64_t round = 1; round <= 20; ++round) {
    for (const ClientId& client : crowd(20)) bench.ready(client.value);
    const auto lines = bench.command(JobVerb::resume);
    ASSERT_EQ(lines.back().rfind("open " + std::to_string(round) + ":", 0), 0U) << lines.back();
    seen.insert(lines.back().substr(lines.back().find(':')));
    bench.opened();
    bench.command(JobVerb::pause);  // so that the next one waits for the whole crowd, too
    bench.command(JobVerb::abort_round);
    bench.abandoned();
  }
  EXPECT_GT(seen.size(), 15U);  // of 1140 cohorts
}

TEST(RoundMachineOpeningDeath, AnImpossibleConfigurationIsABug) {
  RoundConfig config = three_devices();
  config.pace.goal = 4;
  EXPECT_DEATH(Bench{config}, "goal");
  config = three_devices();
  config.pace.min_reports = 0;
  EXPECT_DEATH(Bench{config}, "min_reports");
  config = three_devices();
  config.pace.cohort = limits::kCohortMax + 1;
  EXPECT_DEATH(Bench{config}, "kCohortMax");
}

}  // namespace
}  // namespace chorus::server::test
