// Rules over all updates for the CPU every build must run on: the definition, by sorting each
// column and by one product after the other.
#include <algorithm>

#include "kernels/robust_table.hpp"

namespace chorus::kernels {
namespace {

void trimmed_mean(const RawRows& x, const RawOrder& order, float* scratch, float* mean) {
  const size_t end = x.rows - order.trim;
  for (size_t i = 0; i < x.columns; ++i) {
    for (size_t k = 0; k < x.rows; ++k) scratch[k] = x.x[k * x.stride + i] + 0.0F;
    std::sort(scratch, scratch + x.rows);
    double sum = 0.0;
    for (size_t r = order.trim; r < end; ++r) sum += static_cast<double>(scratch[r]);
    mean[i] = static_cast<float>(sum / static_cast<double>(end - order.trim));
  }
}

void gram_add(const RawRows& x, double* /*scratch*/, double* sums) {
  constexpr size_t kLanes = 8;  // kGramLanes
  for (size_t a = 0; a < x.rows; ++a) {
    for (size_t b = 0; b <= a; ++b, sums += kLanes) {
      for (size_t i = 0; i < x.columns; ++i) {
        sums[i % kLanes] +=
            static_cast<double>(x.x[a * x.stride + i]) * static_cast<double>(x.x[b * x.stride + i]);
      }
    }
  }
}

}  // namespace

constinit const RobustTable kRefRobustTable = {trimmed_mean, gram_add};

}  // namespace chorus::kernels
