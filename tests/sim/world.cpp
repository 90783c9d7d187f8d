#include "tests/sim/world.hpp"

#include "common/base/assert.hpp"

namespace chorus::sim {
namespace {

constexpr World::Instant kBegin{std::chrono::hours(1)};

}  // namespace

World::World(std::uint64_t seed) : seed_(seed), clock_(kBegin) {}

Micros World::elapsed() const noexcept {
  return std::chrono::duration_cast<Micros>(now() - kBegin);
}

void World::after(Micros delay, std::function<void()> what) {
  plan_.emplace(std::pair(now() + delay, planned_++), std::move(what));
}

World::Instant World::next() const noexcept {
  return plan_.empty() ? Instant::max() : plan_.begin()->first.first;
}

void World::happen() {
  CHORUS_ASSERT(!plan_.empty() && plan_.begin()->first.first <= now());
  const auto what = std::move(plan_.begin()->second);
  plan_.erase(plan_.begin());
  what();
}

Rng World::stream(std::string_view part) const {
  const std::string_view parts[] = {"sim", part};
  return Rng(stream_key(seed_, parts));
}

void World::trace(std::uint64_t word) noexcept {
  trace_ = (trace_ ^ word) * 0x9E3779B97F4A7C15ULL;
  trace_ ^= trace_ >> 29U;
}

Micros between(Rng& rng, Micros from, Micros to) {
  const auto width = static_cast<std::uint64_t>((to - from).count()) + 1;
  return from + Micros(static_cast<std::int64_t>(rng.below(width)));
}

}  // namespace chorus::sim
