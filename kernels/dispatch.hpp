// What the dispatch*.cpp share. Each family of kernels looks up tables of its own, so that a
// program that uses no kernel of a family does not carry its loops.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/table.hpp"

namespace chorus::kernels {

/// The tables of a family, one for each variant this build has, best first.
#if defined(__x86_64__)
#define CHORUS_VARIANTS(Table) &kAvx512##Table, &kAvx2##Table, &kRef##Table
#elif defined(__aarch64__)
#define CHORUS_VARIANTS(Table) &kNeon##Table, &kRef##Table
#else
#define CHORUS_VARIANTS(Table) &kRef##Table
#endif

/// Which of them is in use.
std::size_t active_index() noexcept;

/// Whether this CPU has AVX-512 IFMA, which the AVX-512 variant does not ask for.
bool multiplies_52_bits() noexcept;

/// Stops the process if a caller breaks a precondition, in every build.
void require(bool ok, const char* what) noexcept;

inline constexpr std::size_t kPassInputs = 8;   ///< of a fold that have their scales in registers
inline constexpr std::size_t kPassSums = 2048;  ///< that stay in the first-level cache for the next

/// pass(inputs, first, sums) for at most kPassInputs inputs at a time: sums are acc from `first`
/// on.
template <class Input, class Pass>
void for_each_pass(std::span<const Input> inputs, std::span<std::int64_t> acc, const Pass& pass) {
  const std::size_t most = inputs.size() <= kPassInputs ? acc.size() : kPassSums;
  for (std::size_t first = 0; first < acc.size(); first += most) {
    const auto sums = acc.subspan(first, std::min(most, acc.size() - first));
    for (std::size_t k = 0; k < inputs.size(); k += kPassInputs) {
      pass(inputs.subspan(k, std::min(kPassInputs, inputs.size() - k)), first, sums);
    }
  }
}

}  // namespace chorus::kernels
