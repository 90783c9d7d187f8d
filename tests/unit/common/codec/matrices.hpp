// Matrices whose singular values are known.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

namespace chorus::test {

/// Element i of the k-th of n orthonormal vectors (the discrete cosine transform's).
inline double cosine(std::size_t k, std::size_t i, std::size_t n) {
  const double scale = std::sqrt((k == 0 ? 1.0 : 2.0) / static_cast<double>(n));
  const double at = (static_cast<double>(i) + 0.5) * static_cast<double>(k);
  return scale * std::cos(std::numbers::pi * at / static_cast<double>(n));
}

/// f32[rows][columns] with these singular values.
inline std::vector<float> with_values(std::size_t rows,
                                      std::size_t columns,
                                      const std::vector<double>& sigma) {
  std::vector<float> x(rows * columns);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      double sum = 0.0;
      for (std::size_t k = 0; k < sigma.size(); ++k) {
        sum += sigma[k] * cosine(k, i, rows) * cosine(k, j, columns);
      }
      x[i * columns + j] = static_cast<float>(sum);
    }
  }
  return x;
}

}  // namespace chorus::test
