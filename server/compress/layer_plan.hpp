// Which codec each layer of a model gets: the fewest bytes under a budget of error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "chorus/codec.hpp"
#include "chorus/result.hpp"

namespace chorus::server {

/// One way to compress a layer, with what it costs.
struct CodecChoice {
  Codec codec;
  std::uint64_t bytes = 0;  ///< of the layer's payload
  double error = 0.0;       ///< >= 0, in the same measure for all layers
  bool operator==(const CodecChoice&) const = default;
};

struct LayerChoices {
  std::vector<CodecChoice> choices;
  std::size_t reference = 0;  ///< what the layer would have in a plan that is the same for all
};

struct ErrorBudget {
  double factor = 1.0;           ///< α: times the reference plan's error; > 0
  std::uint32_t steps = 10'000;  ///< D: the budget's resolution, 1..limits::kPlanStepsMax
};

/// The choice of each layer, of least Σ bytes with Σ error <= α·Σ error of the references.
///
/// A dynamic program over the budget in D steps, each error rounded up to whole steps, so that the
/// true error never exceeds the budget; the reference plan itself if rounding makes it the cheaper.
/// Of plans with equal bytes that of less rounded error, then of the first choices.
/// Time O(layers · choices · D), memory O(layers · D).
/// @errors invalid_argument: a layer without choices or with a reference that it has not; an error
///         that is negative, NaN or infinite; a budget out of range
/// @determinism  a function of the arguments
/// @source  Alimohammadi et al. 2024, "L-GreCo: layerwise-adaptive gradient compression for
///          efficient data-parallel deep learning", with errors rounded up but infeasible ones
///          refused, and the comparison with the reference added
Result<std::vector<std::size_t>> cheapest_plan(std::span<const LayerChoices> layers,
                                               const ErrorBudget& budget = {});

/// Bytes and error of every codec for a layer, measured on values such as the sum of its last
/// aggregates: error is ‖x − decode(encode(x))‖², which adds over layers for unbiased codecs.
/// @param key  of the random draws
/// @errors as codec::encode
Result<std::vector<CodecChoice>> measured_choices(std::span<const Codec> codecs,
                                                  std::span<const float> x,
                                                  std::uint64_t key);

}  // namespace chorus::server
