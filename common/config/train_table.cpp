#include "common/config/train_table.hpp"

#include <fmt/format.h>
#include <string_view>

#include "common/tensor/plan_rules.hpp"

namespace chorus::config {
namespace {

// The budget is one of four keys: it is an error to write two of them.
void read_budget(const TomlTable& table, Budget& into) {
  struct Unit {
    std::string_view key;
    Budget::Unit unit;
  };
  constexpr Unit kUnits[] = {{"epochs", Budget::Unit::epochs},
                             {"steps", Budget::Unit::steps},
                             {"examples", Budget::Unit::examples}};
  std::string_view written;
  const auto claim = [&](std::string_view key) {
    if (!written.empty()) {
      table.problem(key,
                    fmt::format("'{}' is given already; expected one of epochs, steps, "
                                "examples or seconds",
                                written));
    }
    written = key;
  };
  for (const auto& [key, unit] : kUnits) {
    if (!table.has(key)) continue;
    claim(key);
    std::uint64_t amount = 1;
    table.whole(key, amount, {1, 1'000'000'000});
    into = {unit, static_cast<double>(amount)};
  }
  if (table.has("seconds")) {
    claim("seconds");
    into = {Budget::Unit::seconds, 1.0};
    table.number("seconds", into.amount, {.min = 0, .max = 86'400, .min_excluded = true});
  }
}

void read_optimiser(const TomlTable& table, Optimiser& into) {
  using Kind = Optimiser::Kind;
  const NumberRule share{.min = 0, .max = 1, .max_excluded = true};
  table.choice(
      "optimiser",
      into.kind,
      {{"sgd", Kind::sgd}, {"adam", Kind::adam}, {"adamw", Kind::adamw}, {"lamb", Kind::lamb}});
  table.number("learning_rate", into.learning_rate, {.min = 0, .max = 1000, .min_excluded = true});
  table.number("momentum", into.momentum, share);
  table.number("weight_decay", into.weight_decay, {.min = 0, .max = 1});
  table.boolean("nesterov", into.nesterov);
  table.number("beta1", into.beta1, share);
  table.number("beta2", into.beta2, share);
  table.number("epsilon", into.epsilon, {.min = 0, .max = 1, .min_excluded = true});
}

void read_schedule(const TomlTable& table, Schedule& into) {
  using Kind = Schedule::Kind;
  constexpr std::uint64_t kStepsMax = 1'000'000'000;
  table.choice("schedule",
               into.kind,
               {{"constant", Kind::constant}, {"step", Kind::step}, {"cosine", Kind::cosine}});
  table.whole("warmup_steps", into.warmup_steps, {0, kStepsMax});
  table.whole("schedule_every_steps", into.every_steps, {1, kStepsMax});
  table.whole("schedule_total_steps", into.total_steps, {1, kStepsMax});
  table.number("schedule_factor", into.factor, {.min = 0, .max = 1});
}

// The key that stands for a field of the plan in a job file.
std::string_view key_of(std::string_view field) {
  if (field == "schedule.factor") return "schedule_factor";
  if (field == "schedule.every_steps") return "schedule_every_steps";
  if (field == "schedule.total_steps") return "schedule_total_steps";
  return field;
}

}  // namespace

void read_train(const TomlTable& table, TrainPlan& into) {
  read_budget(table, into.budget);
  table.whole("batch_size", into.batch_size, {1, 65'536});
  read_optimiser(table, into.optimiser);
  table.choice("order", into.order, {{"natural", Order::natural}, {"shuffled", Order::shuffled}});
  read_schedule(table, into.schedule);
  table.number("clip_norm", into.clip_norm, {.min = 0, .max = 1e9});
  table.number("proximal", into.proximal, {.min = 0, .max = 1e9});
  table.whole("accumulate", into.accumulate, {1, 65'536});
  if (const auto wrong = tensor::problem_of(into)) {
    table.problem(key_of(wrong->field), fmt::format("expected {}", wrong->expected));
  }
}

}  // namespace chorus::config
