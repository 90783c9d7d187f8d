#include "server/update/validator.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "chorus/kernels/kernels.hpp"

namespace chorus::server {

Result<void> UpdateValidator::check(std::span<const float> values) {
  const kernels::VectorStats stats = kernels::stats_f32(values);
  if (!stats.finite || stats.max_abs > value_max_) {
    // The slow path only finds which element it was, for the message.
    const auto bad = std::find_if(values.begin(), values.end(), [this](float x) {
      return !std::isfinite(x) || std::fabs(x) > value_max_;
    });
    const std::uint64_t index = elements_ + static_cast<std::uint64_t>(bad - values.begin());
    const std::string where = "element " + std::to_string(index) + " of the update is ";
    if (!stats.finite && !std::isfinite(*bad)) {
      return fail(errc::not_finite, where + (std::isnan(*bad) ? "NaN" : "infinite"));
    }
    return fail(errc::value_out_of_range,
                where + std::to_string(*bad) + ", beyond the job's value_max " +
                    std::to_string(value_max_));
  }
  elements_ += values.size();
  sum_squares_ += stats.sum_squares;
  return {};
}

double UpdateValidator::norm() const noexcept {
  return std::sqrt(sum_squares_);
}

}  // namespace chorus::server
