#include "server/compress/sent_mean.hpp"

#include <algorithm>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::server {

SentMean::SentMean(const TensorLayout& layout,
                   const Devices& devices,
                   std::shared_ptr<const RestReader> before,
                   std::unique_ptr<SentWriter> writer)
    : layout_(layout),
      kept_(static_cast<double>(devices.before) / static_cast<double>(devices.all)),
      weight_(static_cast<double>(devices.round) / static_cast<double>(devices.all)),
      before_(std::move(before)),
      writer_(std::move(writer)) {
  CHORUS_ASSERT(devices.round > 0 && devices.all >= devices.before);
}

Result<void> SentMean::apply(std::span<float> mean) {
  sum_.assign(mean.size(), 0.0F);
  if (before_ != nullptr) CHORUS_OK(before_->read(at_, sum_));
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double sum =
        kept_ * static_cast<double>(sum_[i]) + weight_ * static_cast<double>(mean[i]);
    sum_[i] = static_cast<float>(sum);
  }
  const std::uint64_t end = at_ + mean.size();
  std::uint64_t done = at_;
  const auto part = [&](std::span<float> all, std::uint64_t to) {
    return all.subspan(static_cast<std::size_t>(done - at_), static_cast<std::size_t>(to - done));
  };
  for (const TensorSpec& tensor : layout_.tensors) {
    if (!tensor.buffer) continue;
    const std::uint64_t begin = std::clamp(tensor.offset, done, end);
    const std::uint64_t past = std::clamp(tensor.offset + tensor.count, done, end);
    std::ranges::copy(part(sum_, begin), part(mean, begin).begin());
    done = begin;
    std::ranges::fill(part(sum_, past), 0.0F);
    done = past;
  }
  std::ranges::copy(part(sum_, end), part(mean, end).begin());
  at_ = end;
  return writer_->append(sum_);
}

}  // namespace chorus::server
