#include "client/train/plan/order.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <string>
#include <string_view>

#include "common/base/rng.hpp"
#include "common/base/try.hpp"

namespace chorus::train {
namespace {

// From b (the start) to 1, over s = t / (full·T).
double share_in_use(const Curriculum& c, double s) {
  using Pace = Curriculum::Pace;
  const double rest = 1.0 - c.start;
  switch (c.pace) {
    case Pace::linear:
      return c.start + rest * s;
    case Pace::quadratic:
      return c.start + rest * s * s;
    case Pace::root:
      return c.start + rest * std::sqrt(s);
    case Pace::step:
      return c.start + std::floor(s);
    case Pace::exponential:
      return c.start + rest * std::expm1(10.0 * s) / std::expm1(10.0);
    case Pace::logarithmic:
      return c.start + rest * (1.0 + 0.1 * std::log(s + std::exp(-10.0)));
  }
  return 1.0;
}

}  // namespace

std::uint64_t examples_in_use(const Curriculum& curriculum,
                              std::uint64_t step,
                              std::uint64_t steps,
                              std::uint64_t examples) noexcept {
  const double s = static_cast<double>(step) / (curriculum.full * static_cast<double>(steps));
  const double n = static_cast<double>(examples) * share_in_use(curriculum, s);
  // A share that is a whole number of examples may come out a hair below it.
  const double whole = std::floor(n * (1.0 + 1e-12));
  return static_cast<std::uint64_t>(std::clamp(whole, 1.0, static_cast<double>(examples)));
}

Arrangement::Arrangement(const TrainPlan& plan, std::size_t examples, std::uint64_t steps)
    : plan_(plan), steps_(steps), rows_(examples) {}

Result<std::vector<float>> Arrangement::losses(Passes& passes) const {
  const std::size_t examples = rows_.size();
  const std::vector<std::uint32_t> rows = first_rows(examples);
  std::vector<double> losses(examples);
  for (std::size_t first = 0; first < examples; first += passes.batch_size()) {
    const std::size_t count = std::min(passes.batch_size(), examples - first);
    const auto batch = passes.batch(std::span(rows).subspan(first, count));
    CHORUS_OK(
        passes.network().losses_of(passes.data(), batch, std::span(losses).subspan(first, count)));
  }
  std::vector<float> scores(examples);
  for (std::size_t i = 0; i < examples; ++i) {
    if (!std::isfinite(losses[i])) {
      return fail(errc::not_finite,
                  fmt::format("the received model's loss is not finite on example {}", i));
    }
    scores[i] = static_cast<float>(losses[i]);
  }
  return scores;
}

Result<void> Arrangement::prepare(Passes& passes, std::span<const float> scores) {
  if (plan_.order != Order::curriculum) return {};
  std::vector<float> own(scores.begin(), scores.end());
  if (!plan_.curriculum.given_scores) {
    CHORUS_TRY(own, losses(passes));
  } else if (scores.size() != rows_.size()) {
    return fail(errc::unsupported_feature,
                fmt::format("the plan's curriculum goes by the device's own scores; it has {} for "
                            "{} examples",
                            scores.size(),
                            rows_.size()));
  }
  sorted_ = first_rows(rows_.size());
  const bool hardest_first = plan_.curriculum.hardest_first;
  std::stable_sort(sorted_.begin(), sorted_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return hardest_first ? own[a] > own[b] : own[a] < own[b];
  });
  seen_.assign(rows_.size(), false);
  return {};
}

std::span<const std::uint32_t> Arrangement::pass(std::uint64_t number, std::uint64_t step) {
  std::size_t count = rows_.size();
  if (plan_.order == Order::curriculum) {
    const auto in_use = examples_in_use(plan_.curriculum, step, steps_, count);
    count = std::min<std::size_t>(count, std::max<std::uint64_t>(in_use, plan_.batch_size));
    std::copy_n(sorted_.begin(), count, rows_.begin());
  } else {
    std::iota(rows_.begin(), rows_.end(), 0U);
    if (plan_.order == Order::natural) return rows_;
  }
  const std::string text = std::to_string(number);
  const std::string_view parts[] = {"shuffle", text};
  Rng rng(stream_key(plan_.seed, parts));
  const auto used = std::span(rows_).first(count);
  rng.shuffle(used);
  return used;
}

void Arrangement::visited(std::span<const std::uint32_t> rows) {
  visits_ += rows.size();
  if (seen_.empty()) return;
  for (const std::uint32_t row : rows) {
    seen_count_ += seen_[row] ? 0 : 1;
    seen_[row] = true;
  }
}

std::uint64_t Arrangement::distinct() const noexcept {
  return seen_.empty() ? std::min<std::uint64_t>(visits_, rows_.size()) : seen_count_;
}

}  // namespace chorus::train
