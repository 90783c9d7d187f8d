#include "client/train/plan/training.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <string>

#include "common/base/try.hpp"
#include "common/tensor/plan_rules.hpp"
#include "common/tensor/schedule.hpp"

namespace chorus::train {

using client::TaskReport;
using tensor::rate_at;
using Source = GradientSource::Kind;

Training::Training(Network& network,
                   const client::Dataset& data,
                   const TrainPlan& plan,
                   const TrainInputs& inputs)
    : network_(network),
      plan_(plan),
      inputs_(inputs),
      passes_(network, data, plan, inputs.augmentation),
      remaining_(plan.budget, data.size()),
      rules_(plan.early_stop),
      arrangement_(plan, data.size(), remaining_.steps_of(rows_per_step())) {}

Result<TaskReport> Training::run() {
  CHORUS_OK(prepare());
  if (!plan_.probe.only) CHORUS_OK(train());
  return finish();
}

// ---- before the first step ----

Result<void> Training::prepare() {
  network_.set_factors(plan_.precision == Precision::bf16 ? Tape::Factors::fast
                                                          : Tape::Factors::f32);
  CHORUS_OK(passes_.choose());
  for (const std::string& name : tensor::vectors_of(plan_)) CHORUS_OK(vector(name));
  CHORUS_OK(prepare_state());
  CHORUS_OK(prepare_vectors());
  CHORUS_TRY(measured_, run_probes(passes_));
  if (plan_.probe.only) return {};
  CHORUS_OK(arrangement_.prepare(passes_, inputs_.scores));
  return prepare_steps();
}

Result<std::span<const float>> Training::vector(std::string_view name) const {
  for (const client::TaskVector& one : inputs_.vectors) {
    if (one.name != name) continue;
    if (one.numbers.size() == network_.layout().parameters) return one.numbers;
    return fail(errc::shape_mismatch,
                fmt::format("the task's vector '{}' has {} elements; the model has {} parameters",
                            name,
                            one.numbers.size(),
                            network_.layout().parameters));
  }
  return fail(
      errc::unsupported_feature,
      fmt::format("the plan needs the vector '{}', which did not come with the task", name));
}

Result<void> Training::prepare_state() {
  const bool keeps = plan_.control != ControlVariates::none || !plan_.local.empty();
  if (!keeps) return {};
  if (inputs_.state == nullptr) {
    return fail(errc::unsupported_feature,
                "the plan keeps vectors on the device between tasks; this one keeps none");
  }
  state_epoch_ = inputs_.state->epoch();
  if (plan_.local.empty()) return {};
  CHORUS_TRY(local_, LocalTensors::create(plan_, network_.layout()));
  return {};
}

// The loss here decides between the received model and the candidates, the device's own tensors in
// their places; then everything is about the chosen one.
Result<void> Training::choose_candidate() {
  const std::span<float> weights = network_.parameters();
  const std::vector<float> first(weights.begin(), weights.end());
  const std::vector<std::uint32_t> rows = first_rows(passes_.data().size());
  std::span<const float> best = first;
  double least = 0.0;
  candidate_ = 0;
  for (std::uint32_t i = 0; i < plan_.candidates; ++i) {
    std::span<const float> one = first;
    if (i > 0) {
      CHORUS_TRY(one, vector(fmt::format("candidate{}", i)));
    }
    std::copy(one.begin(), one.end(), weights.begin());
    if (local_) {
      LocalTensors local = *local_;
      CHORUS_OK(local.put_in(*inputs_.state, weights));
    }
    CHORUS_TRY(const double loss, passes_.loss_uncounted(rows));
    if (i > 0 && loss >= least) continue;
    least = loss;
    best = one;
    candidate_ = i;
  }
  std::copy(best.begin(), best.end(), weights.begin());
  return {};
}

Result<void> Training::prepare_vectors() {
  if (plan_.candidates > 1) CHORUS_OK(choose_candidate());
  if (local_) {
    CHORUS_TRY(const bool known, local_->put_in(*inputs_.state, network_.parameters()));
    if (!known && plan_.control == ControlVariates::none) state_epoch_ = 0;
  }
  // Frozen buffers are the only frozen tensors that training could move.
  const bool remembers = plan_.proximal > 0.0 || plan_.trainable.mask || candidate_ ||
                         plan_.control == ControlVariates::from_steps ||
                         (!passes_.trains_all() && !passes_.buffers().empty());
  if (remembers) received_.assign(network_.parameters().begin(), network_.parameters().end());
  if (plan_.trainable.mask) {
    CHORUS_TRY(mask_, vector("mask"));
  }
  return {};
}

Result<void> Training::prepare_steps() {
  if (plan_.source.kind == Source::whole) {
    CHORUS_TRY(whole_, WholeGradient::create(passes_));
    return {};
  }
  if (plan_.source.kind == Source::zeroth_order) return {};
  CHORUS_TRY(optimiser_,
             OptimiserState::create(plan_.optimiser, network_.layout(), passes_.trained_tensors()));
  std::span<const float> anchor;
  if (plan_.source.kind == Source::variance_reduced) {
    CHORUS_TRY(anchor, vector("anchor"));
  }
  CHORUS_TRY(source_, make_source(passes_, anchor));
  if (plan_.control != ControlVariates::none) {
    std::vector<bool> shared = passes_.trained_tensors();
    for (std::size_t i = 0; local_ && i < shared.size(); ++i) {
      shared[i] = shared[i] && !local_->tensors()[i];
    }
    CHORUS_TRY(const auto server, vector("control"));
    CHORUS_TRY(
        corrections_,
        Corrections::create(*inputs_.state, server, tensor::ranges_of(shared, network_.layout())));
  }
  if (plan_.control == ControlVariates::from_gradient) {
    const BuffersKept kept(passes_);
    const std::vector<std::uint32_t> rows = first_rows(passes_.data().size());
    CHORUS_OK(passes_.gradient(rows, Counted::no));
    corrections_->use_gradient(network_.gradient());
  }
  CHORUS_OK(prepare_teacher());
  // What stands between the gradient and plain SGD's step needs the whole gradient first.
  const Optimiser& o = plan_.optimiser;
  fuses_ = o.kind == Optimiser::Kind::sgd && o.momentum == 0.0 && plan_.clip_norm == 0.0 &&
           plan_.proximal == 0.0 && plan_.accumulate == 1 && plan_.source.kind == Source::batch &&
           plan_.meta.kind != Meta::Kind::first_order_maml && !corrections_ && mask_.empty() &&
           !rules_.measures_gradient() && passes_.trains_all();
  return {};
}

// A model of its own beside the trained one. After what is measured at the received model: that is
// the loss alone.
Result<void> Training::prepare_teacher() {
  using Teacher = Distillation::Teacher;
  if (plan_.distil.teacher == Teacher::none) return {};
  if (network_.model().loss != Loss::softmax_cross_entropy) {
    return fail(errc::unsupported_feature,
                "the plan's distil compares scores of classes; the model's loss is not "
                "softmax_cross_entropy");
  }
  std::span<const float> weights = network_.parameters();
  if (plan_.distil.teacher == Teacher::given) {
    CHORUS_TRY(weights, vector("teacher"));
  }
  CHORUS_TRY(Network* const teacher, network_.twin());
  std::copy(weights.begin(), weights.end(), teacher->parameters().begin());
  network_.set_teacher(teacher, plan_.distil);
  return {};
}

// ---- steps ----

std::size_t Training::rows_per_step() const noexcept {
  const std::size_t per_step = std::size_t{plan_.batch_size} * plan_.accumulate;
  return plan_.meta.kind == Meta::Kind::first_order_maml ? 2 * per_step : per_step;
}

void Training::stop(Ending why) {
  ending_ = why;
  ended_ = true;
}

Result<void> Training::train() {
  std::optional<BuffersKept> kept;
  if (whole_) kept.emplace(passes_);  // it leaves the model as it is
  begin_inner();
  for (std::uint64_t pass = 0; !ended_; ++pass) {
    const double loss_before = passes_.totals().loss();
    const std::uint64_t met_before = passes_.totals().examples();
    passes_.begin_pass(pass);
    CHORUS_OK(run_pass(arrangement_.pass(pass, passes_.steps)));
    if (ended_) break;
    const double met = static_cast<double>(passes_.totals().examples() - met_before);
    if (rules_.after_epoch((passes_.totals().loss() - loss_before) / met)) {
      stop(Ending::early_stop);
    }
  }
  passes_.end_training();
  end_inner();
  return check_finite();
}

// False: the device has had enough.
Result<bool> Training::may_go_on() {
  const bool enough = inputs_.enough != nullptr && *inputs_.enough && (*inputs_.enough)();
  const bool cancelled = inputs_.cancel != nullptr && inputs_.cancel->cancelled();
  if (cancelled || (enough && arrangement_.visits() == 0)) {
    return fail(errc::cancelled,
                fmt::format("training was cancelled after {} steps", passes_.steps));
  }
  return !enough;
}

Result<void> Training::run_pass(std::span<const std::uint32_t> rows) {
  for (std::size_t first = 0; first < rows.size() && !ended_;) {
    const std::size_t batch = std::min(rows_per_step(), rows.size() - first);
    const std::size_t taken = remaining_.allowed(batch);
    if (taken == 0) {
      stop(Ending::budget);
      return {};
    }
    CHORUS_TRY(const bool goes_on, may_go_on());
    if (!goes_on) {
      stop(Ending::device);
      return {};
    }
    const auto chosen = rows.subspan(first, taken);
    CHORUS_OK(make_step(chosen));
    arrangement_.visited(chosen);
    remaining_.spend(taken);
    first += taken;
  }
  return {};
}

Result<void> Training::make_step(std::span<const std::uint32_t> rows) {
  if (whole_) return whole_->add(passes_, rows, Counted::yes);
  if (plan_.source.kind == Source::zeroth_order) {
    CHORUS_OK(zeroth_.step(passes_, rows));
  } else {
    CHORUS_OK(fuses_ ? fused_step(rows) : step(rows));
  }
  ++passes_.steps;
  if (plan_.meta.inner_steps != 0 && passes_.steps % plan_.meta.inner_steps == 0) {
    end_inner();
    begin_inner();
  }
  return {};
}

Result<void> Training::fused_step(std::span<const std::uint32_t> rows) {
  const double rate = rate_at(plan_, passes_.steps);
  const FusedStep fused{static_cast<float>(rate),
                        static_cast<float>(1.0 - rate * plan_.optimiser.weight_decay)};
  CHORUS_OK(passes_.fused(rows, fused));
  const auto done = [](const void* network, std::size_t tensor) {
    return static_cast<const Network*>(network)->stepped(tensor);
  };
  optimiser_->apply({rate, network_.parameters(), network_.gradient()}, done, &network_);
  return {};
}

Result<void> Training::step(std::span<const std::uint32_t> rows) {
  CHORUS_OK(source_->direction(passes_, rows));
  const auto weights = network_.parameters();
  const auto gradient = network_.gradient();
  const auto ranges = passes_.trained();
  if (corrections_) corrections_->correct(gradient);
  if (plan_.proximal > 0.0) {
    vectors::add_difference(
        ranges, static_cast<float>(plan_.proximal), weights, received_, gradient);
  }
  if (!mask_.empty()) vectors::mask(ranges, mask_, gradient);
  if (rules_.measures_gradient() &&
      rules_.after_gradient(std::sqrt(vectors::squared_norm(ranges, gradient)))) {
    stop(Ending::early_stop);
  }
  if (plan_.clip_norm > 0.0) vectors::clip(ranges, plan_.clip_norm, gradient);
  optimiser_->apply({rate_at(plan_, passes_.steps), weights, gradient});
  if (!mask_.empty()) vectors::restore(ranges, mask_, received_, weights);
  return {};
}

void Training::begin_inner() {
  if (plan_.meta.kind != Meta::Kind::reptile) return;
  before_.assign(network_.parameters().begin(), network_.parameters().end());
}

void Training::end_inner() {
  if (plan_.meta.kind != Meta::Kind::reptile) return;
  vectors::blend(
      passes_.trained(), static_cast<float>(plan_.meta.rate), before_, network_.parameters());
}

// ---- after the last step ----

Result<void> Training::check_finite() const {
  const auto weights = network_.parameters();
  if (std::all_of(weights.begin(), weights.end(), [](float x) { return std::isfinite(x); })) {
    return {};
  }
  return fail(errc::not_finite,
              fmt::format("training diverged after {} steps: a parameter is no longer finite; the "
                          "learning rate of {} is likely too large",
                          passes_.steps,
                          plan_.optimiser.learning_rate));
}

Result<void> Training::finish_state(TaskReport& report) {
  if (corrections_) {
    const Corrections::End end{
        received_, network_.parameters(), tensor::sum_of_rates(plan_, passes_.steps), mask_};
    CHORUS_TRY(auto delta, corrections_->finish(*inputs_.state, end));
    report.parts.push_back({ReportKind::control_delta, std::move(delta)});
  }
  if (local_) {
    // What was not trained is not stored again.
    client::LocalState* const state = passes_.steps > 0 ? inputs_.state : nullptr;
    CHORUS_OK(local_->take_out(state, network_.parameters()));
  }
  report.state_epoch = state_epoch_;
  return {};
}

Result<TaskReport> Training::finish() {
  const std::span<float> weights = network_.parameters();
  TaskReport report;
  report.examples = plan_.probe.only ? measured_.examples : arrangement_.distinct();
  report.steps = passes_.steps;
  report.epochs =
      static_cast<double>(arrangement_.visits()) / static_cast<double>(passes_.data().size());
  report.ending = ending_;
  report.metrics = passes_.totals().metrics();
  const auto& more = measured_.metrics;
  report.metrics.insert(report.metrics.end(), more.begin(), more.end());
  if (candidate_) report.metrics.push_back({"candidate", static_cast<double>(*candidate_)});
  // Frozen running values: training moves them all.
  if (!received_.empty()) {
    std::vector<bool> frozen;
    for (const bool trained : passes_.trained_tensors()) frozen.push_back(!trained);
    vectors::copy(
        tensor::ranges_of(frozen, network_.layout(), true), received_, network_.parameters());
  }
  if (whole_) {
    const std::span<float> mean = whole_->mean(passes_);
    if (local_) vectors::scale(local_->ranges(), 0.0F, mean);
    if (!mask_.empty()) vectors::mask(passes_.trained(), mask_, mean);
    if (plan_.clip_norm > 0.0) vectors::clip(passes_.trained(), plan_.clip_norm, mean);
    report.parts.push_back({ReportKind::gradient, {mean.begin(), mean.end()}});
  }
  if (plan_.source.kind == Source::zeroth_order) {
    report.parts.push_back({ReportKind::scalars, zeroth_.take_scalars()});
  }
  CHORUS_OK(finish_state(report));
  report.delta = !plan_.probe.only && !whole_ && plan_.source.kind != Source::zeroth_order;
  if (candidate_ && report.delta) {
    client::ReportPart part{ReportKind::delta, std::vector<float>(weights.size())};
    for (std::size_t i = 0; i < weights.size(); ++i) part.numbers[i] = weights[i] - received_[i];
    if (local_) vectors::scale(local_->ranges(), 0.0F, part.numbers);
    report.parts.insert(report.parts.begin(), std::move(part));
    report.delta = false;
  }
  for (client::ReportPart& part : measured_.parts) report.parts.push_back(std::move(part));
  return report;
}

}  // namespace chorus::train
