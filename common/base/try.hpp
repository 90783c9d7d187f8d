// CHORUS_TRY and its kin: hand a Failure to the caller, or go on with the value.
#pragma once

#include <utility>

#include "chorus/result.hpp"

#define CHORUS_CONCAT_INNER(a, b) a##b
#define CHORUS_CONCAT(a, b) CHORUS_CONCAT_INNER(a, b)

#define CHORUS_TRY_IMPL(temporary, return_keyword, declaration, ...) \
  auto temporary = (__VA_ARGS__);                                    \
  if (!temporary) return_keyword std::move(temporary).error();       \
  declaration = std::move(temporary).value()

/// CHORUS_TRY(auto x, f(...)); declares x, or returns f's Failure.
#define CHORUS_TRY(declaration, ...) \
  CHORUS_TRY_IMPL(CHORUS_CONCAT(chorus_try_, __LINE__), return, declaration, __VA_ARGS__)

/// CHORUS_CO_TRY(auto x, co_await f(...)); the same inside a coroutine.
#define CHORUS_CO_TRY(declaration, ...) \
  CHORUS_TRY_IMPL(CHORUS_CONCAT(chorus_try_, __LINE__), co_return, declaration, __VA_ARGS__)

/// CHORUS_OK(f(...)); goes on if f succeeded, else returns its Failure. The value is dropped.
#define CHORUS_OK(...)                                                                   \
  do {                                                                                   \
    if (auto chorus_ok = (__VA_ARGS__); !chorus_ok) return std::move(chorus_ok).error(); \
  } while (false)

/// CHORUS_CO_OK(co_await f(...)); the same inside a coroutine.
#define CHORUS_CO_OK(...)                                                                   \
  do {                                                                                      \
    if (auto chorus_ok = (__VA_ARGS__); !chorus_ok) co_return std::move(chorus_ok).error(); \
  } while (false)
