#include "server/config/job_config.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/codec/basis.hpp"
#include "common/codec/method.hpp"
#include "common/codec/names.hpp"
#include "common/codec/update_form.hpp"
#include "common/codec/version_steps.hpp"
#include "common/config/compress_table.hpp"
#include "common/config/model_table.hpp"
#include "common/config/toml_reader.hpp"
#include "common/config/train_table.hpp"
#include "common/tensor/tensor_selection.hpp"
#include "server/config/names.hpp"
#include "server/config/strategy_options.hpp"
#include "server/update/lane.hpp"

namespace chorus::server {
namespace {

using config::DurationRule;
using config::NumberRule;
using config::TomlReader;
using config::TomlTable;
using namespace std::chrono_literals;

constexpr double kOverSelectMax = 10.0;
constexpr std::size_t kRuleBytes = 48;  ///< of a codec in a message, besides the tensor's name
constexpr std::size_t kPlanBytesMax = limits::kMessageBytesMax / 2;
constexpr DurationRule kDeadlineRule{0s, 24h * 30};

void read_job_table(const TomlTable& table, JobConfig& into) {
  if (table.require("name", "a name of a-z, 0-9 and '-' such as \"digits\"")) {
    table.text("name",
               into.round.job.value,
               {limits::kNameBytesMax, valid_job_name, "a name of a-z, 0-9 and '-'"});
  }
  table.text("description", into.description, {1000, nullptr, "text in quotes"});
  into.round.seed = 1;
  table.whole("seed", into.round.seed);
  into.round.rounds = 100;
  table.whole("rounds", into.round.rounds, {1, limits::kRoundsMax});
  table.whole("keep_versions", into.keep_versions, {0, limits::kRoundsMax});
}

// RoundMachine invites as many: keep the two in step.
std::uint32_t invited(const Pace& pace) {
  return static_cast<std::uint32_t>(std::ceil(static_cast<double>(pace.cohort) * pace.over_select));
}

void check_pace(const TomlTable& table, const Pace& pace) {
  const auto asked = invited(pace);
  if (asked > limits::kCohortMax) {
    table.problem("over_select",
                  fmt::format("cohort × over_select invites {} devices; expected at "
                              "most {}",
                              asked,
                              limits::kCohortMax));
  }
  if (pace.goal > asked) {
    table.problem("goal",
                  fmt::format("expected at most {}, the devices invited (cohort × "
                              "over_select)",
                              asked));
  }
  if (pace.min_reports > pace.goal) {
    table.problem("min_reports", fmt::format("expected at most {}, the goal", pace.goal));
  }
}

void read_pace(const TomlTable& table, Pace& into) {
  into = {10, 1.0, 0, 0, 10min, 30s, 1min};
  table.whole("cohort", into.cohort, {1, limits::kCohortMax});
  table.number("over_select", into.over_select, {.min = 1, .max = kOverSelectMax});
  into.goal = into.cohort;
  table.whole("goal", into.goal, {1, limits::kCohortMax});
  into.min_reports = (into.goal + 1) / 2;
  table.whole("min_reports", into.min_reports, {1, limits::kCohortMax});
  table.duration("deadline", into.deadline, kDeadlineRule);
  table.duration("grace", into.grace, kDeadlineRule);
  table.duration("selection_deadline", into.selection_deadline, kDeadlineRule);
  check_pace(table, into);
}

void read_limits(const TomlTable& table, UpdateLimits& into) {
  table.whole("examples_max", into.examples_max, {1, limits::kExamplesMax});
  table.number("value_max", into.value_max, {.min = 0, .max = 1e9, .min_excluded = true});
}

void read_evaluation(const TomlTable& table, JobConfig& into) {
  auto& pace = into.round.evaluation;
  table.number("fraction", pace.fraction, {.min = 0, .max = 1});
  table.whole("every", pace.every, {1, limits::kRoundsMax});
  table.duration("deadline", pace.deadline, {100ms, 24h});
  table.whole("batch_size", into.evaluate.batch_size, {1, 65'536});
}

void read_stop(const TomlTable& table, RoundConfig& into) {
  if (!table.present()) return;
  Target target;
  const bool named =
      table.require("metric", "the evaluation's metric to watch such as \"accuracy\"");
  const bool bounded = table.require("at_least", "the value at which the job ends");
  if (named) {
    table.text("metric",
               target.metric,
               {limits::kNameBytesMax, valid_label, "a metric's name such as \"accuracy\""});
  }
  if (bounded) table.number("at_least", target.at_least);
  if (into.evaluation.fraction <= 0.0) {
    table.problem("metric",
                  "[evaluation] fraction is 0, so nothing is ever measured; expected a "
                  "fraction above 0");
  }
  into.target = std::move(target);
}

void read_selection(const TomlTable& table, std::span<const SelectionEntry> all, JobConfig& into) {
  std::vector<std::string_view> names;
  for (const auto& entry : all) names.push_back(entry.name);
  std::size_t index = 0;
  if (table.word("name", index, names)) into.selection = names[index];
}

// A rule over all updates at once takes no more than it can order, and protects from nobody when
// there are too few. Accepted updates never exceed the goal.
void check_set(const TomlTable& pace_table, const SetRule& rule, const JobConfig& job) {
  const Pace& pace = job.round.pace;
  if (pace.goal > kSetUpdatesMax) {
    pace_table.problem("goal",
                       fmt::format("strategy \"{}\" looks at all updates of a round at once; "
                                   "expected at most {}, the updates it takes: lower goal",
                                   job.strategy,
                                   kSetUpdatesMax));
  }
  if (pace.min_reports < rule.updates_min()) {
    pace_table.problem("min_reports",
                       fmt::format("expected at least {}: strategy \"{}\" protects from no device "
                                   "when there are fewer updates; raise min_reports",
                                   rule.updates_min(),
                                   job.strategy));
  }
}

// The server adds up what devices have sent over rounds: each must count alike in all of them, and
// alone.
void check_difference(const TomlTable& compress, const Strategy& strategy, const JobConfig& job) {
  if (!job.train.compression || job.train.compression->feedback != Feedback::difference) return;
  if (strategy.set_rule() != nullptr || strategy.weight_max() != 1) {
    compress.problem("feedback",
                     "\"difference\" adds up what each device has sent, and every device counts "
                     "alike; expected [strategy] name = \"fedavg\" with weighting = \"uniform\", "
                     "or feedback = \"error\"");
  }
  if (job.adapt) {
    compress.problem("feedback",
                     "with \"difference\" codecs stay as they are: leave out [compress.adapt], or "
                     "take feedback = \"error\"");
  }
}

// What a device does not send counts as 0. Where each device chooses for itself what it sends, most
// values of a coordinate are 0, hence the median, and what is left of them after trimming.
void check_set_codecs(const TomlTable& compress, const JobConfig& job) {
  const auto form = codec::UpdateForm::of(job.train, *layout_of(job.model));
  if (!form) return;  // check_compress() has said so
  const auto pieces = form->pieces();
  if (form->basis_elements() > 0) {
    compress.problem("codec",
                     fmt::format("\"subspace\" goes on with directions of a round's sum, and "
                                 "strategy \"{}\" makes none; expected another codec, such as "
                                 "low_rank, or strategy \"fedavg\"",
                                 job.strategy));
  }
  const auto sparse = std::find_if(pieces.begin(), pieces.end(), [](const codec::Piece& piece) {
    return codec::chooses_elements(piece.codec);
  });
  if (sparse == pieces.end()) return;
  compress.problem("codec",
                   fmt::format("\"{}\" sends other elements from each device, so that strategy "
                               "\"{}\" would find 0 in the middle of most; expected another codec, "
                               "such as random_k, or strategy \"fedavg\"",
                               codec::named(sparse->codec.kind).name,
                               job.strategy));
}

// The sums must have room for the largest update of every invited device, with digits to spare.
void check_sums(const TomlTable& limits_table, const Strategy& strategy, const JobConfig& job) {
  const auto form = codec::UpdateForm::of(job.train, *layout_of(job.model));
  if (!form) return;  // check_compress() has said so
  double value_max = form->lane_value_max(job.limits.value_max);
  if (job.adapt) {
    for (const Codec& choice : choices_beside(job.train.compression->codec)) {
      const codec::Method& method = codec::method_of(choice);
      const double most = method.lane_value_max(choice, form->parameters(), job.limits.value_max);
      value_max = std::max(value_max, most);
    }
  }
  const LaneBounds bounds{invited(job.round.pace), strategy.weight_max(), value_max};
  if (auto scale = lane_scale(bounds); !scale) {
    limits_table.problem(
        "examples_max",
        fmt::format("{} devices × weight {} × value_max {} leave no room for exact "
                    "sums; lower examples_max or value_max",
                    bounds.contributions_max,
                    bounds.weight_max,
                    bounds.value_max));
  }
}

// Patterns of tensors against the model. @pre the model is good
void check_patterns(const TomlTable& table, const JobConfig& job) {
  const auto layout = layout_of(job.model);
  if (!layout) return;
  const auto check = [&](std::string_view key, const std::vector<std::string>& patterns) {
    const auto chosen = tensor::select(patterns, *layout, "patterns");
    if (!chosen) table.problem(key, chosen.error().detail);
    return chosen.has_value();
  };
  const bool fit = check("trainable", job.train.trainable.only) &&
                   check("frozen", job.train.trainable.frozen) && check("local", job.train.local);
  if (!fit) return;
  if (const auto trainable = tensor::trainable_of(job.train, *layout); !trainable) {
    table.problem("trainable", trainable.error().detail);
  }
}

/// In bytes, of whichever side.
std::uint64_t largest_basis(const codec::UpdateForm& form) {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  for (codec::Piece piece : form.pieces()) {
    piece.codec.shares_rows = false;
    columns += codec::basis_elements(piece.codec, piece.count);
    piece.codec.shares_rows = true;
    rows += codec::basis_elements(piece.codec, piece.count);
  }
  return codec::basis_bytes(std::max(rows, columns));
}

// The codecs against the rest of the plan and the model. @pre both are good
void check_compress(const TomlTable& table, const JobConfig& job) {
  if (!job.train.compression) return;
  const auto form = codec::UpdateForm::of(job.train, *layout_of(job.model));
  if (!form) {
    table.problem("tensors", form.error().detail);
  } else if (form->pieces().empty()) {
    table.problem("codec", "the plan leaves nothing to send: every trained tensor is local");
  } else if (const std::uint64_t bytes = largest_basis(*form); bytes > limits::kBasisBytesMax) {
    table.problem("rank",
                  fmt::format("devices would share {} bytes of directions; at most {} are allowed: "
                              "lower it, or take another codec for the widest tensors",
                              bytes,
                              limits::kBasisBytesMax));
  }
}

void read_down(const TomlTable& table, JobConfig& into) {
  if (!table.present()) return;
  Downlink down;
  table.choice("sends",
               down.sends,
               {{name_of(Downlink::Sends::change), Downlink::Sends::change},
                {name_of(Downlink::Sends::model), Downlink::Sends::model}});
  if (!config::read_codecs(table, down.compression)) return;
  const auto check = [&down](const TomlTable& where, const Codec& codec) {
    const auto good = check_downlink(codec, down.sends);
    if (!good) where.problem("codec", good.error().detail);
  };
  check(table, down.compression.codec);
  const auto rules = table.tables("tensors");
  for (std::size_t i = 0; i < rules.size(); ++i) {
    check(rules[i], down.compression.tensors[i].codec);
  }
  into.down = std::move(down);
}

// @pre model and plan are good
void check_down(const TomlTable& table, const JobConfig& job) {
  if (!job.down) return;
  const auto form = codec::form_of(steps_of(*job.down, job.train), 0, *layout_of(job.model));
  if (!form) table.problem("tensors", form.error().detail);
}

void read_adapt(const TomlTable& table, JobConfig& into) {
  if (!table.present()) return;
  if (!into.train.compression) {
    table.problem("every", "there is nothing to adapt: [compress] names no codec for updates");
  }
  AdaptOptions adapt;
  table.whole("every", adapt.every, {1, limits::kRoundsMax});
  adapt.window = std::min(adapt.window, adapt.every);
  table.whole("window", adapt.window, {1, adapt.every});
  table.number("budget", adapt.budget, {.min = 1, .max = 100});
  into.adapt = adapt;
}

// @pre model, plan and codecs are good
void check_adapt(const TomlTable& table, const JobConfig& job) {
  if (!job.adapt || !job.train.compression) return;
  const Compression& compression = *job.train.compression;
  if (codec::has_basis(compression.codec)) {
    table.problem("every",
                  "the rank of \"subspace\" stays as it is, for each round goes on with the "
                  "directions of the one before; leave it out, or take low_rank");
    return;
  }
  if (choices_beside(compression.codec).empty()) {
    table.problem("every",
                  fmt::format("the codec \"{}\" has neither bits, a density nor a rank to choose",
                              codec::named(compression.codec.kind).name));
    return;
  }
  // What was learned is measured on the versions that devices have.
  if (const auto* const part =
          job.down ? codec::find_codec(job.down->compression, codec::for_changes_only) : nullptr) {
    table.problem("every",
                  fmt::format("[compress.down] has the codec \"{0}\": what is measured would be "
                              "what {0} lets through, not what was learned",
                              codec::named(part->kind).name));
  }
  if (job.keep_versions > 0 && job.keep_versions <= job.adapt->window) {
    table.problem(
        "window",
        fmt::format("expected less than [job] keep_versions = {}: older versions are gone",
                    job.keep_versions));
  }
  const auto tensors = planned_tensors(job.train, *layout_of(job.model));
  if (!tensors) return;  // check_compress() has said so
  if (tensors->empty()) table.problem("every", "every tensor has a rule, so nothing can be chosen");
  const std::size_t rules = tensors->size() + compression.tensors.size();
  std::size_t bytes = 0;
  for (const TensorSpec& tensor : *tensors) bytes += tensor.name.size() + kRuleBytes;
  if (bytes > kPlanBytesMax) {
    table.problem("every",
                  fmt::format("a plan would name tensors in {} bytes of each task; at most {} are "
                              "left for it: give layers shorter names",
                              bytes,
                              kPlanBytesMax));
  }
  if (rules > limits::kCodecRulesMax) {
    table.problem("every",
                  fmt::format("a plan would need {} rules, one for each tensor; at most {} are "
                              "allowed: name those of one codec in [[compress.tensors]]",
                              rules,
                              limits::kCodecRulesMax));
  }
}

}  // namespace

Result<JobConfig> parse_job(std::string_view text,
                            const std::string& file_name,
                            const JobVocabulary& vocabulary) {
  if (text.size() > limits::kJobFileBytesMax) {
    return fail(errc::frame_too_large,
                fmt::format("{} has {} bytes; a job may have at most {}",
                            file_name,
                            text.size(),
                            limits::kJobFileBytesMax));
  }
  CHORUS_TRY(auto file, TomlReader::parse(text, file_name));
  JobConfig job;
  const auto root = file.root();
  read_job_table(root.table("job"), job);
  config::read_model(root.table("model"), job.model);
  const auto train = root.table("train");
  config::read_train(train, job.train);
  if (file.ok()) {
    config::check_normalise(train, job.train, job.model);
    check_patterns(train, job);
  }
  job.evaluate.normalise = job.train.normalise;
  const auto compress = root.table("compress");
  config::read_compress(compress, job.train.compression);
  const auto adapt = compress.table("adapt");
  read_adapt(adapt, job);
  const auto down = compress.table("down");
  read_down(down, job);
  if (file.ok()) check_compress(compress, job);
  if (file.ok()) check_adapt(adapt, job);
  if (file.ok()) check_down(down, job);
  const auto pace = root.table("pace");
  read_pace(pace, job.round.pace);
  const auto limits_table = root.table("limits");
  read_limits(limits_table, job.limits);
  read_evaluation(root.table("evaluation"), job);
  read_stop(root.table("stop"), job.round);
  read_selection(root.table("selection"), vocabulary.selections, job);
  const auto* entry = read_strategy(root.table("strategy"), vocabulary.strategies, job);
  if (file.ok() && entry != nullptr) {
    const auto strategy = entry->make({job.train, job.limits.examples_max, job.strategy_options});
    check_difference(compress, *strategy, job);
    if (const SetRule* const rule = strategy->set_rule()) {
      check_set(pace, *rule, job);
      check_set_codecs(compress, job);
    } else {
      check_sums(limits_table, *strategy, job);
    }
  }
  CHORUS_OK(file.finish(limits::kDetailBytesMax));  // it goes to whoever submits the job
  return job;
}

}  // namespace chorus::server
