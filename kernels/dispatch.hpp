// What the dispatch*.cpp share. Each family of kernels looks up tables of its own, so that a
// program that uses no kernel of a family does not carry its loops.
#pragma once

#include <cstddef>

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

/// Stops the process if a caller breaks a precondition, in every build.
void require(bool ok, const char* what) noexcept;

}  // namespace chorus::kernels
