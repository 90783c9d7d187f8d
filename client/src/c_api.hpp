// What the sources of the C interface share: the last error, the wall that no exception passes,
// checks of what programs hand in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "chorus/c/base.h"
#include "chorus/result.hpp"
#include "common/base/try.hpp"

namespace chorus::capi {

/// Makes a sentence this thread's last error; longer ones are cut. Takes no memory.
void set_last_error(std::string_view sentence) noexcept;

/// The same of a failure. @returns its status
chorus_status failed(const Failure& why) noexcept;

/// What a callback's status and the last error say.
/// @param who  "the trainer's train()", for a callback that gives no sentence
Failure failure_of(chorus_status status, std::string_view who);

/// Runs what a function of the C interface does: a callable that returns Result<void>.
template <class Body>
chorus_status guarded(Body&& body) noexcept {
  try {
    const Result<void> done = body();
    return done ? CHORUS_OK : failed(done.error());
  } catch (const std::bad_alloc&) {
    set_last_error("no memory");
    return CHORUS_BUSY;
  } catch (const std::exception& error) {
    set_last_error(error.what());
  } catch (...) {
    set_last_error("an exception of an unknown type");
  }
  return CHORUS_INTERNAL;
}

/// The same for functions that return no status: `otherwise` after a failure.
template <class T, class Body>
T guarded_or(T otherwise, Body&& body) noexcept {
  T value = otherwise;
  const chorus_status status = guarded([&]() -> Result<void> {
    CHORUS_TRY(value, body());
    return {};
  });
  return status == CHORUS_OK ? value : otherwise;
}

Failure null_argument(std::string_view name);

/// @errors invalid_argument
template <class T>
Result<T*> not_null(T* pointer, std::string_view name) {
  if (pointer == nullptr) return null_argument(name);
  return pointer;
}

/// Text that may be null: `otherwise` then.
inline std::string text_or(const char* text, std::string_view otherwise) {
  return std::string(text == nullptr ? otherwise : std::string_view(text));
}

/// First member of everything behind a handle; says which kind it is, and that it is open.
enum class Handle : std::uint32_t {
  closed = 0,
  client = 0x43'48'01'01,
  trainer,
  task,
  report,
  dataset,
  model,
};
std::string_view name_of(Handle kind) noexcept;
Failure bad_handle(Handle expected, bool null);

/// @errors invalid_argument: null, closed, or a handle of another kind
template <class T>
Result<T*> open_handle(T* handle) {
  using Plain = std::remove_const_t<T>;
  if (handle == nullptr) return bad_handle(Plain::kKind, true);
  if (handle->kind != Plain::kKind) return bad_handle(Plain::kKind, false);
  return handle;
}

/// Closes a handle and sets it to null.
template <class T>
void close_handle(T** handle) noexcept {
  if (handle == nullptr || *handle == nullptr || (*handle)->kind != T::kKind) return;
  T* const closing = std::exchange(*handle, nullptr);
  closing->kind = Handle::closed;
  delete closing;
}

/// Structs of the C interface are at least as long as in its first version, and no longer than any
/// version could make them.
inline constexpr std::size_t kStructBytesMax = 4096;
Failure bad_size(std::string_view type, std::size_t size, std::size_t expected);
Failure unknown_fields(std::string_view type, std::size_t size, std::size_t known);

/// A program's struct as this library knows it. What the program's is too short for is 0.
/// @param type   "chorus_csv_options"
/// @param first  bytes of the struct in the first version that had it
/// @errors invalid_argument: null or a wrong size; unsupported_version: the program uses fields
///         that this library does not know
template <class T>
Result<T> copied(const T* given, std::string_view type, std::size_t first = sizeof(T)) {
  CHORUS_OK(not_null(given, type));
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof size);
  if (size < first || size > kStructBytesMax) return bad_size(type, size, sizeof(T));
  const auto* const bytes = reinterpret_cast<const unsigned char*>(given);
  if (size > sizeof(T) &&
      std::any_of(bytes + sizeof(T), bytes + size, [](unsigned char b) { return b != 0; })) {
    return unknown_fields(type, size, sizeof(T));
  }
  T copy{};
  std::memcpy(&copy, bytes, std::min(size, sizeof(T)));
  copy.size = sizeof(T);
  return copy;
}

/// Fills in a program's struct, as far as the program knows it; what lies beyond becomes 0.
/// @errors as copied()
template <class T>
Result<void> hand_out(T value, T* into, std::string_view type, std::size_t first = sizeof(T)) {
  CHORUS_OK(not_null(into, type));
  std::size_t size = 0;
  std::memcpy(&size, into, sizeof size);
  if (size < first || size > kStructBytesMax) return bad_size(type, size, sizeof(T));
  auto* const bytes = reinterpret_cast<unsigned char*>(into);
  std::memset(bytes, 0, size);
  std::memcpy(bytes, &value, std::min(size, sizeof(T)));
  std::memcpy(bytes, &size, sizeof size);
  return {};
}

}  // namespace chorus::capi
