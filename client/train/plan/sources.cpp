#include "client/train/plan/sources.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/try.hpp"
#include "common/tensor/zeroth_order.hpp"

namespace chorus::train {
namespace {

using Buffer = tensor::AlignedBuffer<float>;

class BatchGradient final : public DirectionSource {
 public:
  Result<void> direction(Passes& passes, Rows rows) override { return passes.gradient(rows); }
};

// d ← anchor; then d ← d + ∇f(w; B) − ∇f(w₋; B), both with the same dropout.
class VarianceReduced final : public DirectionSource {
 public:
  static Result<std::unique_ptr<DirectionSource>> create(Passes& passes,
                                                         std::span<const float> anchor) {
    std::unique_ptr<VarianceReduced> made(new VarianceReduced);
    const std::size_t count = passes.network().parameters().size();
    CHORUS_TRY(made->direction_, Buffer::create(count));
    CHORUS_TRY(made->before_, Buffer::create(count));
    CHORUS_TRY(made->gradient_before_, Buffer::create(count));
    std::copy(anchor.begin(), anchor.end(), made->direction_.begin());
    return std::unique_ptr<DirectionSource>(std::move(made));
  }

  Result<void> direction(Passes& passes, Rows rows) override {
    Network& network = passes.network();
    const std::span<float> weights = network.parameters();
    const std::uint64_t number = passes.number();
    const bool first = std::exchange(first_, false);
    if (!first) {
      // The network's own memory is what its tapes read. Batch norm moves the running values that
      // are swapped away again.
      std::swap_ranges(weights.begin(), weights.end(), before_.begin());
      const auto passed = passes.gradient_as(number, rows, Counted::no);
      vectors::copy(passes.trained(), network.gradient(), gradient_before_.span());
      std::swap_ranges(weights.begin(), weights.end(), before_.begin());
      CHORUS_OK(passed);
    }
    CHORUS_OK(passes.gradient_as(number, rows, Counted::yes));
    if (!first) {
      vectors::add_difference(
          passes.trained(), 1.0F, network.gradient(), gradient_before_.span(), direction_.span());
    }
    std::copy(weights.begin(), weights.end(), before_.begin());
    vectors::copy(passes.trained(), direction_.span(), network.gradient());
    return {};
  }

 private:
  VarianceReduced() = default;
  Buffer direction_;
  Buffer before_;
  Buffer gradient_before_;
  bool first_ = true;
};

// ∇f(w − α·∇f(w; D); D'): the first half of the rows is D. A single row is both.
class FirstOrderMaml final : public DirectionSource {
 public:
  static Result<std::unique_ptr<DirectionSource>> create(Passes& passes) {
    std::unique_ptr<FirstOrderMaml> made(new FirstOrderMaml);
    CHORUS_TRY(made->point_, Buffer::create(passes.network().parameters().size()));
    return std::unique_ptr<DirectionSource>(std::move(made));
  }

  Result<void> direction(Passes& passes, Rows rows) override {
    const std::size_t half = (rows.size() + 1) / 2;
    const Rows inner = rows.first(half);
    const Rows outer = rows.size() == 1 ? rows : rows.subspan(half);
    Network& network = passes.network();
    CHORUS_OK(passes.gradient(inner));
    vectors::copy(passes.trained(), network.parameters(), point_.span());
    const auto rate = static_cast<float>(passes.plan().meta.rate);
    vectors::add_scaled(passes.trained(), -rate, network.gradient(), network.parameters());
    const auto passed = passes.gradient(outer, Counted::no);
    vectors::copy(passes.trained(), point_.span(), network.parameters());
    return passed;
  }

 private:
  FirstOrderMaml() = default;
  Buffer point_;
};

}  // namespace

Result<std::unique_ptr<DirectionSource>> make_source(Passes& passes,
                                                     std::span<const float> anchor) {
  const TrainPlan& plan = passes.plan();
  if (plan.source.kind == GradientSource::Kind::variance_reduced) {
    return VarianceReduced::create(passes, anchor);
  }
  if (plan.meta.kind == Meta::Kind::first_order_maml) return FirstOrderMaml::create(passes);
  return std::unique_ptr<DirectionSource>(new BatchGradient);
}

Result<WholeGradient> WholeGradient::create(Passes& passes) {
  WholeGradient made;
  CHORUS_TRY(made.sum_, Buffer::create(passes.network().parameters().size(), tensor::Fill::zero));
  return made;
}

Result<void> WholeGradient::add(Passes& passes, Rows rows, Counted counted) {
  CHORUS_OK(passes.gradient(rows, counted));
  const auto weight = static_cast<float>(rows.size());
  vectors::add_scaled(passes.trained(), weight, passes.network().gradient(), sum_.span());
  rows_ += static_cast<double>(rows.size());
  return {};
}

std::span<float> WholeGradient::mean(Passes& passes) {
  vectors::scale(passes.trained(), static_cast<float>(1.0 / rows_), sum_.span());
  return sum_.span();
}

Result<void> ZerothOrder::step(Passes& passes, Rows rows) {
  const TrainPlan& plan = passes.plan();
  const std::span<float> weights = passes.network().parameters();
  const auto distance = static_cast<float>(plan.source.distance);
  const auto ranges = passes.trained();
  point_.assign(weights.begin(), weights.end());
  const auto loss_at = [&](std::uint64_t direction, float along, bool counted) {
    tensor::add_direction(plan.seed, direction, along, ranges, weights);
    auto loss = counted ? passes.loss(rows) : passes.loss_uncounted(rows);
    vectors::copy(ranges, point_, weights);  // exactly, which the way back would not be
    return loss;
  };
  std::vector<float> differences(plan.source.directions);
  for (std::uint32_t j = 0; j < plan.source.directions; ++j) {
    const std::uint64_t direction = passes.steps * plan.source.directions + j;
    CHORUS_TRY(const double ahead, loss_at(direction, distance, j == 0));
    CHORUS_TRY(const double behind, loss_at(direction, -distance, false));
    differences[j] = static_cast<float>((ahead - behind) / (2.0 * double{distance}));
    if (!std::isfinite(differences[j])) return passes.diverged();
  }
  tensor::zeroth_order_step(plan, passes.steps, differences, ranges, weights);
  scalars_.insert(scalars_.end(), differences.begin(), differences.end());
  return {};
}

}  // namespace chorus::train
