// Thousands of seeded worlds: whatever happens, no update is folded twice, none that was
// acknowledged is lost, rounds follow one another, and when the faults end the job ends.
#include <cstdlib>

#include "tests/unit/server/round/world.hpp"

namespace chorus::server::test {
namespace {

// CHORUS_WORLD_SEED=n replays one world; CHORUS_WORLDS=n plays more than the usual number.
std::uint64_t number_from(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

std::string last_lines(const World& world) {
  std::string text;
  const auto& trace = world.trace();
  const std::size_t first = trace.size() - std::min<std::size_t>(trace.size(), 40);
  for (std::size_t i = first; i < trace.size(); ++i) text += "\n  " + trace[i];
  return text;
}

void expect_sound(World& world, std::uint64_t seed) {
  const bool over = world.run();
  for (const std::string& what : world.violations()) {
    ADD_FAILURE() << what << " (CHORUS_WORLD_SEED=" << seed << ")" << last_lines(world);
  }
  EXPECT_TRUE(over) << "the job has not ended; it is " << to_string(world.machine().phase())
                    << " (CHORUS_WORLD_SEED=" << seed << ")" << last_lines(world);
}

TEST(RoundMachineWorld, KeepsItsPromisesInEveryWorld) {
  const std::uint64_t first = number_from("CHORUS_WORLD_SEED", 1);
  const std::uint64_t worlds =
      std::getenv("CHORUS_WORLD_SEED") != nullptr ? 1 : number_from("CHORUS_WORLDS", 3000);
  std::uint64_t events = 0;
  std::uint64_t crashes = 0;
  std::uint64_t failures = 0;
  std::uint64_t published = 0;
  for (std::uint64_t seed = first; seed < first + worlds; ++seed) {
    World world(seed);
    expect_sound(world, seed);
    if (HasFailure()) return;
    events += world.events();
    crashes += world.crashes();
    failures += world.failures();
    published += world.published().size();
  }
  // The worlds are not asleep: otherwise nothing above means anything.
  if (worlds < 1000) return;
  EXPECT_GT(events / worlds, 50U);
  EXPECT_GT(crashes, worlds / 10);
  EXPECT_GT(failures, worlds / 10);
  EXPECT_GT(published, worlds);
}

TEST(RoundMachineWorld, OneSeedIsOneHistory) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    World first(seed);
    World second(seed);
    first.run();
    second.run();
    ASSERT_EQ(first.trace(), second.trace()) << seed;
    ASSERT_EQ(first.published(), second.published()) << seed;
  }
  World one(1);
  World two(2);
  one.run();
  two.run();
  EXPECT_NE(one.trace(), two.trace());
}

}  // namespace
}  // namespace chorus::server::test
