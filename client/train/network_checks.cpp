// What a batch's values must be for the model that meets them.
#include <cmath>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <variant>

#include "client/train/network.hpp"

namespace chorus::train {
namespace {

bool is_whole_below(float value, float end) {
  return value >= 0.0F && value < end && std::floor(value) == value;
}

Failure refused(std::uint32_t example, std::string_view found, std::string_view expected) {
  return fail(errc::unsupported_feature,
              fmt::format("example {} here has {}; {}", example, found, expected));
}

}  // namespace

Result<void> Network::check_values(std::span<const float> input,
                                   std::span<const std::uint32_t> rows) const {
  if (const auto* embedding = std::get_if<Embedding>(&model_.layers.front())) {
    const auto end = static_cast<float>(embedding->vocabulary);
    for (std::size_t i = 0; i < input.size(); ++i) {
      if (is_whole_below(input[i], end)) continue;
      return refused(rows[i / inputs_],
                     fmt::format("{} at step {}", input[i], i % inputs_),
                     fmt::format("the model's embedding expects whole numbers from 0 to {}",
                                 embedding->vocabulary - 1));
    }
  }
  if (steps_of_output_ > 1) {
    const auto end = static_cast<float>(scores());
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      if (is_whole_below(targets_[i], end)) continue;
      return refused(
          rows[i / steps_of_output_],
          fmt::format("the target {} at step {}", targets_[i], i % steps_of_output_),
          fmt::format("the model expects classes, whole numbers from 0 to {}", scores() - 1));
    }
    return {};
  }
  if (model_.loss == Loss::softmax_cross_entropy) {
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      if (labels_[i] < outputs_) continue;
      return refused(
          rows[i],
          fmt::format("label {}", labels_[i]),
          fmt::format(
              "the model's {} outputs stand for the labels 0 to {}", outputs_, outputs_ - 1));
    }
    return {};
  }
  const bool survival = model_.loss == Loss::cox_partial_likelihood;
  if (!survival && model_.loss != Loss::binary_cross_entropy) return {};
  for (std::size_t i = survival ? 1 : 0; i < targets_.size(); i += survival ? 2 : 1) {
    const float target = targets_[i];
    const bool fits =
        survival ? target == 0.0F || target == 1.0F : target >= 0.0F && target <= 1.0F;
    if (fits) continue;
    return refused(rows[i / targets_each_],
                   survival ? fmt::format("{} as its second target", target)
                            : fmt::format("the target {}", target),
                   survival ? "cox_partial_likelihood expects 1 for a time that ended and 0 for a "
                              "censored one"
                            : "binary_cross_entropy expects 0 to 1");
  }
  return {};
}

}  // namespace chorus::train
