// Marks what libchorus shows to programs; everything else in it is hidden.
#pragma once

#if defined(__GNUC__)
#define CHORUS_EXPORT __attribute__((visibility("default")))
#else
#define CHORUS_EXPORT
#endif
