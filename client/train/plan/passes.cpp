#include "client/train/plan/passes.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <string_view>

#include "common/base/rng.hpp"
#include "common/base/try.hpp"

namespace chorus::train {

std::vector<std::uint32_t> first_rows(std::size_t count) {
  std::vector<std::uint32_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0U);
  return rows;
}

Passes::Passes(Network& network,
               const client::Dataset& data,
               const TrainPlan& plan,
               const client::Augmentation& augmentation)
    : network_(network),
      data_(data),
      plan_(plan),
      // The tape is made for the plan's batches; the last of an epoch may be smaller.
      capacity_(std::min<std::size_t>(plan.batch_size, data.size())),
      totals_(network.model().loss) {
  const std::string_view parts[] = {"dropout"};
  key_ = stream_key(plan.seed, parts);
  if (augmentation != client::Augmentation{}) {
    augmenter_.emplace(augmentation, data.feature_shape(), plan.seed);
  }
}

void Passes::begin_pass(std::uint64_t number) {
  training_ = true;
  if (augmenter_) augmenter_->begin_pass(number);
}

Result<void> Passes::choose() {
  const TensorLayout& layout = network_.layout();
  CHORUS_TRY(chosen_, tensor::trainable_of(plan_, layout));
  trained_ = tensor::ranges_of(chosen_, layout);
  std::vector<bool> buffers;
  for (const TensorSpec& tensor : layout.tensors) buffers.push_back(tensor.buffer);
  buffers_ = tensor::ranges_of(buffers, layout, true);
  network_.set_trained(chosen_);
  return {};
}

bool Passes::trains_all() const noexcept {
  return std::all_of(chosen_.begin(), chosen_.end(), [](bool chosen) { return chosen; });
}

Failure Passes::diverged() const {
  return fail(errc::not_finite,
              fmt::format("training diverged at step {}: the loss or a parameter is no longer "
                          "finite; the learning rate of {} is likely too large",
                          steps + 1,
                          plan_.optimiser.learning_rate));
}

Result<void> Passes::one(Rows rows, const FusedStep* fused, Counted counted) {
  network_.set_randomness(key_, next_++);
  CHORUS_TRY(const BatchResult result, network_.gradient_of(data_, batch(rows), fused));
  if (!std::isfinite(result.loss)) return diverged();
  if (counted == Counted::yes) totals_.add(result, rows.size());
  return {};
}

Result<void> Passes::fused(Rows rows, const FusedStep& step) {
  return one(rows, &step, Counted::yes);
}

Result<void> Passes::gradient(Rows rows, Counted counted) {
  return gradient_as(next_, rows, counted);
}

// Of several batches: their mean, weighed by their rows.
Result<void> Passes::gradient_as(std::uint64_t number, Rows rows, Counted counted) {
  next_ = number;
  if (rows.size() <= batch_size()) return one(rows, nullptr, counted);
  if (sum_.empty()) {
    CHORUS_TRY(sum_, tensor::AlignedBuffer<float>::create(network_.parameters().size()));
  }
  std::fill(sum_.begin(), sum_.end(), 0.0F);
  for (std::size_t first = 0; first < rows.size(); first += batch_size()) {
    const auto part = rows.subspan(first, std::min(batch_size(), rows.size() - first));
    CHORUS_OK(one(part, nullptr, counted));
    const float share = static_cast<float>(part.size()) / static_cast<float>(rows.size());
    vectors::add_scaled(trained_, share, network_.gradient(), sum_.span());
  }
  vectors::copy(trained_, sum_.span(), network_.gradient());
  return {};
}

Result<double> Passes::loss(Rows rows) {
  double sum = 0.0;
  for (std::size_t first = 0; first < rows.size(); first += batch_size()) {
    const auto part = rows.subspan(first, std::min(batch_size(), rows.size() - first));
    CHORUS_TRY(const BatchResult result, network_.loss_of(data_, batch(part)));
    if (!std::isfinite(result.loss)) return diverged();
    totals_.add(result, part.size());
    sum += result.loss;
  }
  return sum / static_cast<double>(rows.size());
}

Result<double> Passes::loss_uncounted(Rows rows) {
  const Totals before = totals_;
  auto mean = loss(rows);
  totals_ = before;
  return mean;
}

BuffersKept::BuffersKept(Passes& passes) : passes_(passes) {
  for (const auto& [offset, count] : passes.buffers()) {
    const auto from = passes.network().parameters().subspan(offset, count);
    values_.insert(values_.end(), from.begin(), from.end());
  }
}

BuffersKept::~BuffersKept() {
  auto next = values_.begin();
  for (const auto& [offset, count] : passes_.buffers()) {
    const auto end = next + static_cast<std::ptrdiff_t>(count);
    std::copy(next, end, passes_.network().parameters().subspan(offset, count).begin());
    next = end;
  }
}

}  // namespace chorus::train
