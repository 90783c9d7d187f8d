// Rounding said by integers only: what a sum must be without any floating-point arithmetic.
#pragma once

#include <cstdint>

namespace chorus::test {

__extension__ using Wide = __int128;

/// round_half_even(a · 2^shift). @pre the result fits
inline std::int64_t rounded(Wide a, int shift) {
  if (shift >= 0) return static_cast<std::int64_t>(a * (Wide{1} << shift));
  if (shift < -100) return 0;
  const Wide unit = Wide{1} << -shift;
  Wide quotient = a / unit;
  Wide rest = a % unit;
  if (rest < 0) {
    rest += unit;
    quotient -= 1;
  }
  if (2 * rest > unit || (2 * rest == unit && quotient % 2 != 0)) quotient += 1;
  return static_cast<std::int64_t>(quotient);
}

}  // namespace chorus::test
