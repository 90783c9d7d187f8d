#include "chorus/result.hpp"

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus {
namespace {

Failure missing() {
  return fail(errc::not_found, "no job named 'x'");
}

TEST(Result, HoldsAValue) {
  Result<int> result = 7;
  ASSERT_TRUE(result);
  EXPECT_TRUE(result.has_value());
  EXPECT_EQ(*result, 7);
  *result = 8;
  EXPECT_EQ(result.value(), 8);
  const Result<std::string> text = std::string("abc");
  EXPECT_EQ(text->size(), 3U);
  EXPECT_EQ(*text, "abc");
}

TEST(Result, HoldsAFailure) {
  const Result<int> result = missing();
  EXPECT_FALSE(result);
  EXPECT_EQ(result.error().code, errc::not_found);
  EXPECT_EQ(result.error().detail, "no job named 'x'");
}

TEST(Result, MovesValuesThatCannotBeCopied) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  std::unique_ptr<int> taken = std::move(result).value();
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(*taken, 5);
  Result<std::unique_ptr<int>> again = std::move(taken);
  EXPECT_EQ(**again, 5);
  EXPECT_EQ(*std::unique_ptr<int>(*std::move(again)), 5);
}

TEST(Result, MovesTheFailureOut) {
  Result<int> result = fail(errc::busy, std::string(100, 'x'));
  const Failure failure = std::move(result).error();
  EXPECT_EQ(failure.detail, std::string(100, 'x'));
}

TEST(Result, OfVoidIsSuccessOrFailure) {
  const Result<void> good;
  EXPECT_TRUE(good);
  good.value();
  Result<void> bad = missing();
  EXPECT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error().code, errc::not_found);
  EXPECT_EQ(std::move(bad).error().detail, "no job named 'x'");
}

TEST(ResultDeathTest, AbortsOnTheWrongAccess) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  Result<int> bad = missing();
  Result<int> good = 1;
  const Result<void> bad_void = missing();
  const Result<void> good_void;
  EXPECT_DEATH(static_cast<void>(bad.value()), "failed Result: not_found: no job named 'x'");
  EXPECT_DEATH(static_cast<void>(*bad), "failed Result");
  EXPECT_DEATH(static_cast<void>(good.error()), "error\\(\\) of a success");
  EXPECT_DEATH(bad_void.value(), "failed Result: not_found");
  EXPECT_DEATH(static_cast<void>(good_void.error()), "error\\(\\) of a success");
}

TEST(Failure, SaysWhatTheCallerWasDoing) {
  EXPECT_EQ(missing().to_string(), "not_found: no job named 'x'");
  const Failure failure = missing().during("reading job.toml").during("submitting");
  EXPECT_EQ(failure.code, errc::not_found);
  EXPECT_EQ(failure.to_string(), "not_found: submitting: reading job.toml: no job named 'x'");
}

Result<int> checked(int value) {
  if (value < 0) return fail(errc::invalid_argument, std::to_string(value) + " is negative");
  return value;
}

template <class A, class B>
Result<std::pair<A, B>> checked_pair(A a, B b) {
  return std::pair<A, B>(a, b);
}

Result<int> sum(int a, int b) {
  CHORUS_TRY(const int x, checked(a));
  CHORUS_TRY(auto y, checked(b));
  return x + y;
}

TEST(Try, GoesOnWithTheValueOrReturnsTheFailure) {
  EXPECT_EQ(*sum(2, 3), 5);
  EXPECT_EQ(sum(-2, 3).error().detail, "-2 is negative");
  EXPECT_EQ(sum(2, -3).error().detail, "-3 is negative");
  EXPECT_EQ(sum(-2, -3).error().detail, "-2 is negative");
}

TEST(Try, TakesCommasMoveOnlyValuesAndExistingVariables) {
  const auto f = []() -> Result<std::string> {
    CHORUS_TRY(const auto pair, checked_pair<int, char>(1, 'c'));
    CHORUS_TRY(auto owned, Result<std::unique_ptr<int>>(std::make_unique<int>(pair.first)));
    int existing = 0;
    CHORUS_TRY(existing, checked(*owned + 1));
    return std::to_string(existing) + pair.second;
  };
  EXPECT_EQ(*f(), "2c");
}

TEST(Try, EvaluatesItsExpressionOnce) {
  int calls = 0;
  const auto f = [&]() -> Result<void> {
    const auto count = [&]() -> Result<int> {
      ++calls;
      return calls < 3 ? Result<int>(calls) : Result<int>(missing());
    };
    CHORUS_TRY([[maybe_unused]] const int first, count());
    CHORUS_OK(count());
    CHORUS_OK(count());
    ADD_FAILURE() << "went on after a failure";
    return {};
  };
  EXPECT_EQ(f().error().code, errc::not_found);
  EXPECT_EQ(calls, 3);
}

TEST(Ok, FitsAnIfWithoutBraces) {
  const auto f = [](bool check) -> Result<int> {
    if (check)
      CHORUS_OK(checked(-1));
    else
      CHORUS_OK(checked(1));
    return 4;
  };
  EXPECT_FALSE(f(true));
  EXPECT_EQ(*f(false), 4);
}

// The smallest coroutine that returns a Result: runs at once, never suspends.
struct Now {
  struct promise_type {
    Now get_return_object() { return Now(this); }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_value(Result<int> result) { value = std::move(result); }
    void unhandled_exception() { std::terminate(); }
    std::optional<Result<int>> value;
  };
  explicit Now(promise_type* promise)
      : handle(std::coroutine_handle<promise_type>::from_promise(*promise)) {}
  Now(Now&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  Now& operator=(Now&&) = delete;
  ~Now() {
    if (handle) handle.destroy();
  }
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  Result<int> await_resume() { return std::move(*handle.promise().value); }

  std::coroutine_handle<promise_type> handle;
};

Now checked_later(int value) {
  co_return checked(value);
}

Now sum_later(int a, int b) {
  CHORUS_CO_TRY(const int x, co_await checked_later(a));
  CHORUS_CO_OK(co_await checked_later(b));
  co_return x + b;
}

TEST(CoTry, DoesTheSameInACoroutine) {
  EXPECT_EQ(*sum_later(2, 3).await_resume(), 5);
  EXPECT_EQ(sum_later(-2, 3).await_resume().error().detail, "-2 is negative");
  EXPECT_EQ(sum_later(2, -3).await_resume().error().detail, "-3 is negative");
}

TEST(AssertDeathTest, NamesTheConditionAndThePlace) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const int zero = 0;
  CHORUS_ASSERT(zero == 0);
  EXPECT_DEATH(CHORUS_ASSERT(zero == 1), "assertion failed: zero == 1 at .*result_test.cpp:");
}

}  // namespace
}  // namespace chorus
