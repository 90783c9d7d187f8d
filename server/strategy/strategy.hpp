// What a federated strategy is: whether it needs the sum of the updates or all of them, what it
// tells devices, which updates it counts and how much, and how their mean becomes a new model.
// Pure: no I/O of its own, no clock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "common/base/types.hpp"
#include "server/robust/set_lane.hpp"
#include "server/store/update_meta.hpp"

namespace chorus::server {

/// A value of job.toml's [strategy] table.
using OptionValue = std::variant<bool, std::int64_t, double, std::string>;
using StrategyOptions = std::map<std::string, OptionValue>;

/// One option a strategy knows: the configuration reader checks kind and range, fills the default.
struct OptionSpec {
  std::string_view name;
  OptionValue fallback;                       ///< default; its alternative is the option's kind
  double at_least = 0.0;                      ///< for numbers
  double at_most = 0.0;                       ///< for numbers
  std::span<const std::string_view> choices;  ///< for strings; empty: any
  std::string_view help;
};

/// What a strategy may know of the round it plans for.
struct RoundContext {
  JobId job;
  RoundId round;
  std::uint64_t seed = 0;  ///< the job's
};

/// A mean that is not made from sums: it looks at all updates of a round side by side.
class SetRule {
 public:
  virtual ~SetRule() = default;
  /// With fewer it protects from nobody: a job's min_reports is at least this.
  virtual std::uint64_t updates_min() const = 0;
  /// Fills in the mean update of parameters [first, first + mean.size()). Several threads at once.
  /// @errors of reading an update; busy: there is not enough memory
  using Mean = std::function<Result<void>(std::uint64_t first, std::span<float> mean)>;
  /// @param updates  1..kSetUpdatesMax of them; outlive what is returned
  /// @determinism    a function of the set of updates and of nothing else
  virtual Mean mean_of(const SetLane& updates) const = 0;
};

class Strategy {
 public:
  virtual ~Strategy() = default;

  /// Null: the mean is that of the sums, Σ w_i Δ_i / Σ w_i. Else weights do not count, the journal
  /// keeps all updates until the round ends, and this makes the mean from them.
  virtual const SetRule* set_rule() const { return nullptr; }

  /// Largest weight an update may get; with the job's value_max it fixes the lane's scale.
  virtual std::uint64_t weight_max() const = 0;

  /// Instructions for one device in one round.
  virtual TrainPlan plan(const RoundContext& round, const ClientId& client) const = 0;

  /// Whether and with what weight an offered update counts; called before its body is read.
  /// @errors weight_out_of_range and others: the offer is refused with it
  virtual Result<std::uint64_t> admit(const UpdateMeta& update) const = 0;

  /// Turns parameters into those of the next model, a tile at a time (next_model.hpp).
  /// Never asked for buffers, whose mean is published.
  /// @param mean  f32[x.size()]  mean of the updates at these parameters
  /// @param x     in: parameters of the base version; out: of the next
  virtual void finalise(std::span<const float> mean, std::span<float> x) const = 0;
};

/// What every strategy is made from.
struct StrategySetup {
  TrainPlan plan;                  ///< job.toml [train]
  std::uint64_t examples_max = 0;  ///< job.toml [limits] examples_max
  StrategyOptions options;         ///< complete and checked
};

struct StrategyEntry {
  std::string_view name;
  std::string_view summary;
  std::span<const OptionSpec> options;
  std::unique_ptr<Strategy> (*make)(const StrategySetup& setup);
};

/// Every strategy there is; the names of job.toml's [strategy] name. server/strategy/all.cpp.
std::span<const StrategyEntry> all_strategies() noexcept;

/// Null when there is none of that name.
const StrategyEntry* find_strategy(std::string_view name) noexcept;

/// Whether an update's claim lies within the job's examples_max: what every strategy admits.
/// @errors weight_out_of_range
Result<void> check_examples(const UpdateMeta& update, std::uint64_t examples_max);

/// The seed of a device's task: a function of (job seed, job, round, device).
std::uint64_t task_seed(const RoundContext& round, const ClientId& client);

}  // namespace chorus::server
