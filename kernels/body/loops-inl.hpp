// For loops that the compiler makes vectors of. Include it from body/ only.
#pragma once

// Before a loop whose iterations may overlap only where they read and write the same place, so that
// they may run side by side: the compiler cannot know, and would check for any overlap at run time
// and fall back to one value at a time.
#if defined(__clang__)
#define CHORUS_SIDE_BY_SIDE _Pragma("clang loop vectorize(assume_safety)")
#else
#define CHORUS_SIDE_BY_SIDE _Pragma("GCC ivdep")
#endif

// Before a short loop of fixed length that is one vector, or a few: unrolled first, GCC would no
// longer see a loop.
#if defined(__clang__)
#define CHORUS_ONE_VECTOR
#else
#define CHORUS_ONE_VECTOR _Pragma("GCC unroll 1") _Pragma("GCC ivdep")
#endif
