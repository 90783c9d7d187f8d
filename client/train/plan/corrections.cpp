#include "client/train/plan/corrections.hpp"

#include <algorithm>
#include <utility>

#include "common/base/try.hpp"

namespace chorus::train {

Result<Corrections> Corrections::create(client::LocalState& state,
                                        std::span<const float> server,
                                        std::vector<tensor::Range> shared) {
  Corrections made;
  made.shared_ = std::move(shared);
  CHORUS_TRY(auto kept, state.load("control"));
  if (kept && kept->size() == server.size()) made.device_ = std::move(*kept);
  made.device_.resize(server.size(), 0.0F);
  made.correction_.assign(server.size(), 0.0F);
  vectors::add_difference(made.shared_, 1.0F, server, made.device_, made.correction_);
  return made;
}

void Corrections::correct(std::span<float> gradient) const {
  vectors::add_scaled(shared_, 1.0F, correction_, gradient);
}

void Corrections::use_gradient(std::span<const float> gradient) {
  gradient_.assign(gradient.begin(), gradient.end());
}

// from_steps: cᵢ⁺ − cᵢ = (x − y) / Σ η − c = (x − y) / Σ η − cᵢ − (c − cᵢ)
Result<std::vector<float>> Corrections::finish(client::LocalState& state, const End& end) {
  std::vector<float> delta(device_.size(), 0.0F);
  if (gradient_.empty()) {
    const auto share = static_cast<float>(1.0 / end.rates);
    vectors::add_difference(shared_, share, end.received, end.trained, delta);
    vectors::add_scaled(shared_, -1.0F, device_, delta);
    vectors::add_scaled(shared_, -1.0F, correction_, delta);
  } else {
    vectors::add_difference(shared_, 1.0F, gradient_, device_, delta);
  }
  if (!end.mask.empty()) vectors::mask(shared_, end.mask, delta);
  vectors::add_scaled(shared_, 1.0F, delta, device_);
  CHORUS_OK(state.store("control", device_));
  return delta;
}

Result<LocalTensors> LocalTensors::create(const TrainPlan& plan, const TensorLayout& layout) {
  LocalTensors made;
  CHORUS_TRY(made.chosen_, tensor::select(plan.local, layout, "local"));
  made.ranges_ = tensor::ranges_of(made.chosen_, layout, true);
  made.header_ = {0.0F};
  for (std::size_t i = 0; i < made.chosen_.size(); ++i) {
    if (made.chosen_[i]) made.header_.push_back(static_cast<float>(i));
  }
  made.header_[0] = static_cast<float>(made.header_.size() - 1);
  return made;
}

Result<bool> LocalTensors::put_in(client::LocalState& state, std::span<float> parameters) {
  std::size_t elements = 0;
  for (const auto& [offset, count] : ranges_) {
    const auto from = parameters.subspan(offset, count);
    received_.insert(received_.end(), from.begin(), from.end());
    elements += count;
  }
  CHORUS_TRY(const auto kept, state.load("local"));
  if (!kept || kept->size() != header_.size() + elements ||
      !std::equal(header_.begin(), header_.end(), kept->begin())) {
    return false;
  }
  auto next = kept->begin() + static_cast<std::ptrdiff_t>(header_.size());
  for (const auto& [offset, count] : ranges_) {
    std::copy_n(next, count, parameters.subspan(offset, count).begin());
    next += static_cast<std::ptrdiff_t>(count);
  }
  return true;
}

Result<void> LocalTensors::take_out(client::LocalState* state, std::span<float> parameters) {
  std::vector<float> numbers = header_;
  auto next = received_.begin();
  for (const auto& [offset, count] : ranges_) {
    const auto here = parameters.subspan(offset, count);
    numbers.insert(numbers.end(), here.begin(), here.end());
    std::copy_n(next, count, here.begin());
    next += static_cast<std::ptrdiff_t>(count);
  }
  if (state == nullptr) return {};
  return state->store("local", numbers);
}

}  // namespace chorus::train
