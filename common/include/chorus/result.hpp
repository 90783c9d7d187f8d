// Result<T>: a value, or a Failure that says what went wrong and what to do about it.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "chorus/errc.hpp"

namespace chorus {

/// What went wrong. `detail` is one sentence for people: what was wrong, where, what was expected.
struct [[nodiscard]] Failure {
  errc code = errc::internal;
  std::string detail;

  /// The same failure with what the caller was doing put in front: "opening journal: disk full".
  Failure during(std::string_view doing) && {
    detail = std::string(doing) + ": " + detail;
    return std::move(*this);
  }

  /// "digest_mismatch: body of 12 bytes …", for logs and terminals.
  std::string to_string() const { return std::string(chorus::to_string(code)) + ": " + detail; }
};

/// Makes a Failure: `return fail(errc::not_found, "no job named 'x'; 'chorus job list' shows
/// them")`.
inline Failure fail(errc code, std::string detail) {
  return Failure{code, std::move(detail)};
}

namespace detail {
[[noreturn]] inline void bad_result_access(const Failure* failure) {
  std::fprintf(stderr,
               "chorus: value() of a failed Result: %s\n",
               failure != nullptr ? failure->to_string().c_str() : "error() of a success");
  std::abort();
}
}  // namespace detail

/// Either a T or a Failure. Like std::expected (C++23), which neither of our compilers has yet.
/// value() of a failure and error() of a success are bugs and abort.
template <class T>
class [[nodiscard]] Result {
  static_assert(!std::is_same_v<T, Failure> && !std::is_reference_v<T>);

 public:
  using value_type = T;

  // Implicit on purpose: `return value;` and `return fail(...)` both read naturally.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}            // NOLINT
  Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}  // NOLINT

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& value() & { return *checked(); }
  const T& value() const& { return *const_cast<Result*>(this)->checked(); }  // NOLINT
  T&& value() && { return std::move(*checked()); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return checked(); }
  const T* operator->() const { return &value(); }

  const Failure& error() const& {
    if (has_value()) detail::bad_result_access(nullptr);
    return std::get<1>(state_);
  }
  Failure&& error() && {
    if (has_value()) detail::bad_result_access(nullptr);
    return std::get<1>(std::move(state_));
  }

 private:
  T* checked() {
    if (!has_value()) detail::bad_result_access(&std::get<1>(state_));
    return &std::get<0>(state_);
  }

  std::variant<T, Failure> state_;
};

/// Success without a value, or a Failure.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Failure failure)
      : failure_(std::move(failure)), ok_(false) {}  // NOLINT: implicit, as above

  bool has_value() const noexcept { return ok_; }
  explicit operator bool() const noexcept { return ok_; }
  void value() const {
    if (!ok_) detail::bad_result_access(&failure_);
  }
  const Failure& error() const& {
    if (ok_) detail::bad_result_access(nullptr);
    return failure_;
  }
  Failure&& error() && {
    if (ok_) detail::bad_result_access(nullptr);
    return std::move(failure_);
  }

 private:
  Failure failure_;
  bool ok_ = true;
};

}  // namespace chorus
