// Every strategy, by name. A new one is one file, one line here, one test.
#include <array>

#include "common/base/rng.hpp"
#include "server/strategy/fedavg.hpp"
#include "server/strategy/robust_mean.hpp"
#include "server/strategy/strategy.hpp"

namespace chorus::server {

std::span<const StrategyEntry> all_strategies() noexcept {
  static const std::array all{fedavg_entry(), median_entry(), trimmed_mean_entry()};
  return all;
}

const StrategyEntry* find_strategy(std::string_view name) noexcept {
  for (const StrategyEntry& entry : all_strategies()) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

Result<void> check_examples(const UpdateMeta& update, std::uint64_t examples_max) {
  const std::uint64_t examples = update.examples.value;
  if (examples > 0 && examples <= examples_max) return {};
  return fail(errc::weight_out_of_range,
              "the update claims " + std::to_string(examples) +
                  " examples; expected 1 to examples_max = " + std::to_string(examples_max));
}

std::uint64_t task_seed(const RoundContext& round, const ClientId& client) {
  const std::string number = std::to_string(round.round.value);
  const std::string_view parts[] = {"task", round.job.value, number, client.value};
  return stream_key(round.seed, parts);
}

}  // namespace chorus::server
