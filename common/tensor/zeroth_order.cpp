#include "common/tensor/zeroth_order.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string_view>

#include "common/base/rng.hpp"
#include "common/base/try.hpp"
#include "common/tensor/schedule.hpp"

namespace chorus::tensor {
namespace {

constexpr std::size_t kBlockSigns = 128;

}  // namespace

void add_direction(std::uint64_t seed,
                   std::uint64_t number,
                   float amount,
                   std::span<const Range> ranges,
                   std::span<float> x) noexcept {
  const std::string_view parts[] = {"direction"};
  const std::uint64_t key64 = stream_key(seed, parts);
  const std::array<std::uint32_t, 2> key{static_cast<std::uint32_t>(key64),
                                         static_cast<std::uint32_t>(key64 >> 32U)};
  const auto low = static_cast<std::uint32_t>(number);
  const auto high = static_cast<std::uint32_t>(number >> 32U);
  for (const Range& range : ranges) {
    const std::size_t end = range.offset + range.count;
    for (std::size_t i = range.offset; i < end;) {
      const std::size_t block = i / kBlockSigns;
      const auto bits = philox4x32({static_cast<std::uint32_t>(block),
                                    static_cast<std::uint32_t>(std::uint64_t{block} >> 32U),
                                    low,
                                    high},
                                   key);
      const std::size_t stop = std::min(end, (block + 1) * kBlockSigns);
      for (; i < stop; ++i) {
        const std::size_t place = i % kBlockSigns;
        const bool plus = ((bits[place / 32] >> (place % 32)) & 1U) != 0;
        x[i] += plus ? amount : -amount;
      }
    }
  }
}

void zeroth_order_step(const TrainPlan& plan,
                       std::uint64_t step,
                       std::span<const float> rho,
                       std::span<const Range> ranges,
                       std::span<float> weights) noexcept {
  const double share = rate_at(plan, step) / static_cast<double>(rho.size());
  for (std::size_t j = 0; j < rho.size(); ++j) {
    const auto amount = static_cast<float>(-share * double{rho[j]});
    add_direction(plan.seed, step * rho.size() + j, amount, ranges, weights);
  }
}

Result<void> replay_zeroth_order(const TrainPlan& plan,
                                 const TensorLayout& layout,
                                 std::span<const float> scalars,
                                 std::span<float> weights) {
  if (plan.source.kind != GradientSource::Kind::zeroth_order) {
    return fail(errc::invalid_argument, "the plan's gradient source is not zeroth_order");
  }
  const std::size_t per_step = plan.source.directions;
  if (per_step == 0 || scalars.size() % per_step != 0) {
    return fail(
        errc::shape_mismatch,
        fmt::format(
            "{} scalars are no whole number of steps of {} directions", scalars.size(), per_step));
  }
  if (weights.size() != layout.parameters) {
    return fail(
        errc::shape_mismatch,
        fmt::format(
            "the model has {} parameters; {} were given", layout.parameters, weights.size()));
  }
  CHORUS_TRY(const auto trained, trainable_of(plan, layout));
  const std::vector<Range> ranges = ranges_of(trained, layout);
  for (std::size_t step = 0; step < scalars.size() / per_step; ++step) {
    zeroth_order_step(plan, step, scalars.subspan(step * per_step, per_step), ranges, weights);
  }
  return {};
}

}  // namespace chorus::tensor
