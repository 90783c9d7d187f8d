#include "common/codec/matrix.hpp"

#include <cmath>

#include "chorus/kernels/kernels.hpp"

namespace chorus::codec {
namespace {

/// Elements of a product at a time.
constexpr std::size_t kTile = 16384;
/// What is left of a vector after those before it, of its norm: less is rounding.
constexpr double kNothing = 1e-6;

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

MatrixShape::MatrixShape(const Codec& codec, std::uint64_t count) {
  if (codec.columns == 0 || count % codec.columns != 0) return;
  columns = codec.columns;
  rows = static_cast<std::size_t>(count / columns);
  rank = std::min({std::size_t{codec.rank}, rows, columns});
}

void multiply(const MatrixShape& shape,
              const Factors& factors,
              std::size_t first_row,
              std::span<float> into) {
  std::fill(into.begin(), into.end(), 0.0F);
  const float* p = factors.p.data() + first_row * shape.rank;
  for (std::size_t at = 0; at < into.size(); at += shape.columns) {
    const auto row = into.subspan(at, shape.columns);
    for (std::size_t k = 0; k < shape.rank; ++k) {
      const auto r = std::span(factors.r).subspan(k * shape.columns, shape.columns);
      kernels::add_scaled_f32(row, static_cast<double>(*p++), r, row);
    }
  }
}

// The kernels' products would do both, and are 300 kB that the client without a trainer does not
// have.
void set_left(const MatrixShape& shape, std::span<const float> x, Factors& factors) {
  std::vector<double> turned(factors.r.size());  // f64[columns][rank]
  for (std::size_t k = 0; k < shape.rank; ++k) {
    for (std::size_t j = 0; j < shape.columns; ++j) {
      turned[j * shape.rank + k] = static_cast<double>(factors.r[k * shape.columns + j]);
    }
  }
  std::vector<double> sums(shape.rank);
  for (std::size_t i = 0; i < shape.rows; ++i) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::size_t j = 0; j < shape.columns; ++j) {
      const auto value = static_cast<double>(x[i * shape.columns + j]);
      const double* const r = turned.data() + j * shape.rank;
      for (std::size_t k = 0; k < shape.rank; ++k) sums[k] += value * r[k];
    }
    for (std::size_t k = 0; k < shape.rank; ++k) {
      factors.p[i * shape.rank + k] = static_cast<float>(sums[k]);
    }
  }
}

void set_right(const MatrixShape& shape, std::span<const float> x, Factors& factors) {
  std::fill(factors.r.begin(), factors.r.end(), 0.0F);
  for (std::size_t i = 0; i < shape.rows; ++i) {
    const auto row = x.subspan(i * shape.columns, shape.columns);
    for (std::size_t k = 0; k < shape.rank; ++k) {
      const auto sum = std::span(factors.r).subspan(k * shape.columns, shape.columns);
      const auto factor = static_cast<double>(factors.p[i * shape.rank + k]);
      kernels::add_scaled_f32(sum, factor, row, sum);
    }
  }
}

// Gram-Schmidt, twice over, which is enough (Giraud et al. 2005).
void make_orthonormal(const MatrixShape& shape, Factor which, std::span<float> factor) {
  const bool left = which == Factor::left;
  const std::size_t length = left ? shape.rows : shape.columns;
  const auto at = [&](std::size_t k, std::size_t i) -> float& {
    return factor[left ? i * shape.rank + k : k * length + i];
  };
  std::vector<double> vectors(factor.size());  // one after the other
  const auto vector = [&](std::size_t k) { return std::span(vectors).subspan(k * length, length); };
  for (std::size_t k = 0; k < shape.rank; ++k) {
    const auto own = vector(k);
    for (std::size_t i = 0; i < length; ++i) own[i] = static_cast<double>(at(k, i));
    const double before = std::sqrt(dot(own, own));
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t other = 0; other < k; ++other) {
        const double along = dot(vector(other), own);
        for (std::size_t i = 0; i < length; ++i) own[i] -= along * vector(other)[i];
      }
    }
    const double left_over = std::sqrt(dot(own, own));
    const double scale = left_over > kNothing * before ? 1.0 / left_over : 0.0;
    for (double& value : own) value *= scale;
    for (std::size_t i = 0; i < length; ++i) at(k, i) = static_cast<float>(own[i]);
  }
}

std::size_t tile_rows(const MatrixShape& shape) noexcept {
  return std::clamp<std::size_t>(kTile / shape.columns, 1, shape.rows);
}

}  // namespace chorus::codec
