// CHORUS_ASSERT: bugs stop the process, in every build. Input is never checked with this.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace chorus::detail {
[[noreturn]] inline void assertion_failed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "chorus: assertion failed: %s at %s:%d\n", what, file, line);
  std::abort();
}
}  // namespace chorus::detail

#define CHORUS_ASSERT(condition)      \
  ((condition) ? static_cast<void>(0) \
               : ::chorus::detail::assertion_failed(#condition, __FILE__, __LINE__))
