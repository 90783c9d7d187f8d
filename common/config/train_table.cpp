#include "common/config/train_table.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <string_view>

#include "common/base/limits.hpp"
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

void read_early_stop(const TomlTable& table, EarlyStop& into) {
  table.number("early_stop_loss", into.loss, {.min = 0, .max = 1e9});
  table.whole("early_stop_patience", into.patience, {0, 1'000'000});
  table.number("early_stop_improvement", into.improvement, {.min = 0, .max = 1e9});
  table.number("early_stop_gradient_norm", into.gradient_norm, {.min = 0, .max = 1e9});
}

void read_order(const TomlTable& table, TrainPlan& into) {
  using Pace = Curriculum::Pace;
  const NumberRule part{.min = 0, .max = 1, .min_excluded = true};
  table.choice("order",
               into.order,
               {{"natural", Order::natural},
                {"shuffled", Order::shuffled},
                {"curriculum", Order::curriculum}});
  table.choice("curriculum_pace",
               into.curriculum.pace,
               {{"linear", Pace::linear},
                {"quadratic", Pace::quadratic},
                {"root", Pace::root},
                {"step", Pace::step},
                {"exponential", Pace::exponential},
                {"logarithmic", Pace::logarithmic}});
  table.number("curriculum_start", into.curriculum.start, part);
  table.number("curriculum_full", into.curriculum.full, part);
  table.boolean("curriculum_hardest_first", into.curriculum.hardest_first);
  table.boolean("curriculum_given_scores", into.curriculum.given_scores);
}

void read_meta(const TomlTable& table, Meta& into) {
  using Kind = Meta::Kind;
  table.choice("meta",
               into.kind,
               {{"none", Kind::none},
                {"reptile", Kind::reptile},
                {"first_order_maml", Kind::first_order_maml}});
  table.number("meta_rate", into.rate, {.min = 0, .max = 1000, .min_excluded = true});
  table.whole("meta_inner_steps", into.inner_steps, {0, 1'000'000'000});
}

void read_distillation(const TomlTable& table, Distillation& into) {
  using Teacher = Distillation::Teacher;
  // Other teachers come with a task: a strategy's matter.
  table.choice("distil", into.teacher, {{"none", Teacher::none}, {"received", Teacher::received}});
  const NumberRule rule{.min = 0, .max = 1000, .min_excluded = true};
  table.number("distil_weight", into.weight, rule);
  table.number("distil_temperature", into.temperature, rule);
  table.boolean("distil_not_true", into.not_true);
}

bool is_pattern(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

void read_parts(const TomlTable& table, TrainPlan& into) {
  const TextRule rule{limits::kTensorNameBytesMax, is_pattern, "names of tensors, with * and ?"};
  table.texts("trainable", into.trainable.only, rule);
  table.texts("frozen", into.trainable.frozen, rule);
  table.texts("local", into.local, rule);
}

void read_normalise(const TomlTable& table, std::vector<FeatureScale>& into) {
  std::vector<double> means;
  std::vector<double> deviations;
  const bool mean = table.numbers("normalise_mean", means);
  const bool deviation =
      table.numbers("normalise_deviation", deviations, {.min = 0, .min_excluded = true});
  if (mean != table.has("normalise_mean") || deviation != table.has("normalise_deviation")) return;
  if (means.size() != deviations.size()) {
    table.problem(means.empty() ? "normalise_deviation" : "normalise_mean",
                  fmt::format("{} means and {} deviations; expected as many of both",
                              means.size(),
                              deviations.size()));
    return;
  }
  into.clear();
  for (std::size_t i = 0; i < means.size(); ++i) into.push_back({means[i], deviations[i]});
}

// The key that stands for a field of the plan in a job file.
std::string key_of(std::string_view field) {
  std::string key(field);
  std::replace(key.begin(), key.end(), '.', '_');
  return key;
}

}  // namespace

void read_train(const TomlTable& table, TrainPlan& into) {
  read_budget(table, into.budget);
  table.whole("batch_size", into.batch_size, {1, 65'536});
  read_optimiser(table, into.optimiser);
  read_order(table, into);
  read_schedule(table, into.schedule);
  table.number("clip_norm", into.clip_norm, {.min = 0, .max = 1e9});
  table.number("proximal", into.proximal, {.min = 0, .max = 1e9});
  table.whole("accumulate", into.accumulate, {1, 65'536});
  table.choice("precision", into.precision, {{"f32", Precision::f32}, {"bf16", Precision::bf16}});
  read_early_stop(table, into.early_stop);
  read_meta(table, into.meta);
  read_distillation(table, into.distil);
  read_parts(table, into);
  read_normalise(table, into.normalise);
  if (const auto wrong = tensor::problem_of(into)) {
    table.problem(key_of(wrong->field), fmt::format("expected {}", wrong->expected));
  } else if (const auto conflict = tensor::conflict_of(into)) {
    table.problem(conflict->other, tensor::describe(*conflict));
  }
}

void check_normalise(const TomlTable& table, const TrainPlan& plan, const ModelSpec& model) {
  if (const auto fits = tensor::check_normalise(plan.normalise, model); !fits) {
    table.problem("normalise_mean", fits.error().detail);
  }
}

}  // namespace chorus::config
