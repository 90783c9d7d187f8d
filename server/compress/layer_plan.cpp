#include "server/compress/layer_plan.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/codec/method.hpp"

namespace chorus::server {
namespace {

constexpr std::uint64_t kImpossible = std::numeric_limits<std::uint64_t>::max();

/// Relative room for the rounding of error / step, so that an error of whole steps stays one.
constexpr double kRounding = 1e-12;

Result<void> check(std::span<const LayerChoices> layers, const ErrorBudget& budget) {
  if (!(budget.factor > 0.0) || !std::isfinite(budget.factor)) {
    return fail(errc::invalid_argument,
                "an error budget of " + std::to_string(budget.factor) +
                    " times the reference's; it must be above 0");
  }
  if (budget.steps == 0 || budget.steps > limits::kPlanStepsMax) {
    return fail(errc::invalid_argument,
                "an error budget in " + std::to_string(budget.steps) + " steps; it takes 1 to " +
                    std::to_string(limits::kPlanStepsMax));
  }
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const auto& [choices, reference] = layers[l];
    if (reference >= choices.size()) {
      return fail(errc::invalid_argument,
                  "layer " + std::to_string(l) + " has " + std::to_string(choices.size()) +
                      " choices, and number " + std::to_string(reference) + " as its reference");
    }
    for (const CodecChoice& choice : choices) {
      if (std::isfinite(choice.error) && choice.error >= 0.0) continue;
      return fail(errc::invalid_argument,
                  "layer " + std::to_string(l) + " has a choice with error " +
                      std::to_string(choice.error));
    }
  }
  return {};
}

std::vector<std::size_t> references(std::span<const LayerChoices> layers) {
  std::vector<std::size_t> plan;
  plan.reserve(layers.size());
  for (const LayerChoices& layer : layers) plan.push_back(layer.reference);
  return plan;
}

std::uint64_t bytes_of(std::span<const LayerChoices> layers, std::span<const std::size_t> plan) {
  std::uint64_t bytes = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) bytes += layers[l].choices[plan[l]].bytes;
  return bytes;
}

/// Errors in steps of the budget, rounded up; more than `steps` is too much.
class Steps {
 public:
  Steps(double budget, std::uint32_t steps)
      : step_(budget / static_cast<double>(steps)), most_(steps) {}

  std::size_t of(double error) const {
    if (error == 0.0) return 0;
    const double steps = std::ceil(error / step_ * (1.0 - kRounding));
    return steps <= static_cast<double>(most_) ? static_cast<std::size_t>(steps) : most_ + 1;
  }

 private:
  double step_;
  std::size_t most_;
};

}  // namespace

Result<std::vector<std::size_t>> cheapest_plan(std::span<const LayerChoices> layers,
                                               const ErrorBudget& budget) {
  CHORUS_OK(check(layers, budget));
  std::vector<std::size_t> reference = references(layers);
  double allowed = 0.0;
  for (const LayerChoices& layer : layers) allowed += layer.choices[layer.reference].error;
  const Steps steps(allowed * budget.factor, budget.steps);
  const std::size_t room = std::size_t{budget.steps} + 1;

  // least[b]: fewest bytes of the layers so far within b steps; chosen[l·room + b]: how.
  std::vector<std::uint64_t> least(room, 0);
  std::vector<std::uint32_t> chosen(layers.size() * room, 0);
  std::vector<std::uint64_t> next(room);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    next.assign(room, kImpossible);
    for (std::uint32_t c = 0; c < layers[l].choices.size(); ++c) {
      const CodecChoice& choice = layers[l].choices[c];
      const std::size_t cost = steps.of(choice.error);
      for (std::size_t b = cost; b < room; ++b) {
        const std::uint64_t before = least[b - cost];
        if (before == kImpossible || before + choice.bytes >= next[b]) continue;
        next[b] = before + choice.bytes;
        chosen[l * room + b] = c;
      }
    }
    least.swap(next);
  }

  std::size_t left = 0;
  while (left + 1 < room && least[left] != least[room - 1]) ++left;
  const bool no_worse = budget.factor < 1.0 || least[left] <= bytes_of(layers, reference);
  if (least[left] == kImpossible || !no_worse) {
    if (budget.factor >= 1.0) return reference;
    return fail(errc::invalid_argument,
                "no plan keeps the error below " + std::to_string(budget.factor) +
                    " times the reference's: offer choices of less error");
  }
  std::vector<std::size_t> plan(layers.size());
  for (std::size_t l = layers.size(); l-- > 0;) {
    plan[l] = chosen[l * room + left];
    left -= steps.of(layers[l].choices[plan[l]].error);
  }
  return plan;
}

Result<std::vector<CodecChoice>> measured_choices(std::span<const Codec> codecs,
                                                  std::span<const float> x,
                                                  std::uint64_t key) {
  std::vector<CodecChoice> choices;
  choices.reserve(codecs.size());
  std::vector<float> decoded(x.size());
  const codec::Keys keys{.round = key, .device = key};
  for (const Codec& codec : codecs) {
    CHORUS_TRY(const auto payload, codec::encode(codec, x, keys));
    codec::method_of(codec).decode(codec, payload, keys, decoded);
    double error = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double off = static_cast<double>(x[i]) - static_cast<double>(decoded[i]);
      error += off * off;
    }
    choices.push_back({codec, payload.size(), error});
  }
  return choices;
}

}  // namespace chorus::server
