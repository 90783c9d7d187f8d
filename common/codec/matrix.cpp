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

// Gram-Schmidt, twice over, which is enough (Giraud et al. 2005). Element i of vector k lies at
// x[k · to_next + i · step].
void make_orthonormal(std::span<float> x,
                      std::size_t count,
                      std::size_t to_next,
                      std::size_t step) {
  const std::size_t length = x.size() / count;
  std::vector<double> vectors(x.size());  // one after the other
  const auto vector = [&](std::size_t k) { return std::span(vectors).subspan(k * length, length); };
  for (std::size_t k = 0; k < count; ++k) {
    const auto own = vector(k);
    for (std::size_t i = 0; i < length; ++i) {
      own[i] = static_cast<double>(x[k * to_next + i * step]);
    }
    const double before = std::sqrt(dot(own, own));
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t other = 0; other < k; ++other) {
        const double along = dot(vector(other), own);
        for (std::size_t i = 0; i < length; ++i) own[i] -= along * vector(other)[i];
      }
    }
    const double left = std::sqrt(dot(own, own));
    const double scale = left > kNothing * before ? 1.0 / left : 0.0;
    for (double& value : own) value *= scale;
    for (std::size_t i = 0; i < length; ++i) {
      x[k * to_next + i * step] = static_cast<float>(own[i]);
    }
  }
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

void make_left_orthonormal(const MatrixShape& shape, std::span<float> p) {
  make_orthonormal(p, shape.rank, 1, shape.rank);
}

void make_right_orthonormal(const MatrixShape& shape, std::span<float> r) {
  make_orthonormal(r, shape.rank, shape.columns, 1);
}

std::size_t tile_rows(const MatrixShape& shape) noexcept {
  return std::clamp<std::size_t>(kTile / shape.columns, 1, shape.rows);
}

}  // namespace chorus::codec
