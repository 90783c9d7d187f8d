// The only helpers that hop to another executor or wait, beside the streams themselves.
//
// Two rules for callers (GCC 12.2 destroys such temporaries twice): in a co_await expression never
// write a capturing lambda or a braced aggregate as an argument; name it, then std::move it.
//
//   auto job = [&ledger] { return ledger.jobs(); };
//   CHORUS_CO_TRY(auto jobs, co_await net::run_on(store_pool, std::move(job)));
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "chorus/result.hpp"
#include "common/base/clock.hpp"
#include "common/net/channel.hpp"

namespace chorus::net {

/// Starts `body` as a coroutine of its own on `executor`. An exception that leaves it ends it and
/// is logged under `name`; being cancelled is no error.
void spawn(const boost::asio::any_io_executor& executor,
           boost::asio::awaitable<void> body,
           std::string name);

/// Waits. @errors cancelled
boost::asio::awaitable<Result<void>> sleep_for(SteadyClock::duration duration);

/// The exception in flight as a Failure; for use in a catch block.
Failure failure_of_exception() noexcept;

namespace detail {

enum class Race { finished, timed_out, cancelled };
boost::asio::awaitable<Race> race(boost::asio::awaitable<void> body,
                                  SteadyClock::duration duration);

boost::asio::awaitable<void> call_on(boost::asio::any_io_executor executor,
                                     void (*call)(void*),
                                     void* argument);

template <class T>
struct AsResult {
  using type = Result<T>;
};
template <class T>
struct AsResult<Result<T>> {
  using type = Result<T>;
};

template <class R, class F>
R call_caught(F& f) {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
      f();
      return {};
    } else {
      return f();
    }
  } catch (...) {
    return failure_of_exception();
  }
}

template <class T>
boost::asio::awaitable<void> store(boost::asio::awaitable<Result<T>> op,
                                   std::optional<Result<T>>& outcome) {
  try {
    outcome = co_await std::move(op);
  } catch (...) {
    outcome = failure_of_exception();
  }
}

}  // namespace detail

/// Runs `f` on another executor (a pool) and comes back to the caller's with what it returned. An
/// exception becomes errc::internal. `f` always runs to its end: cancelling the caller meanwhile
/// takes effect afterwards, so `f` may refer to the caller's frame.
/// @pre the executor's context runs until the call has ended
template <class F>
auto run_on(boost::asio::any_io_executor executor, F f)
    -> boost::asio::awaitable<typename detail::AsResult<std::invoke_result_t<F&>>::type> {
  using Outcome = typename detail::AsResult<std::invoke_result_t<F&>>::type;
  struct Call {
    F& f;
    std::optional<Outcome> outcome;
  };
  Call call{f, std::nullopt};
  const auto invoke = [](void* argument) {
    auto& self = *static_cast<Call*>(argument);
    self.outcome.emplace(detail::call_caught<Outcome>(self.f));
  };
  co_await detail::call_on(std::move(executor), invoke, &call);
  co_return std::move(*call.outcome);
}

/// Waits for `op` at most this long; then cancels it, waits until it has obeyed, and gives
/// errc::timed_out. An `op` that succeeds at the last moment keeps its value. After a timeout in
/// the middle of a frame close the stream (TlsStream does so by itself).
template <class T>
boost::asio::awaitable<Result<T>> with_deadline(boost::asio::awaitable<Result<T>> op,
                                                SteadyClock::duration duration) {
  std::optional<Result<T>> outcome;
  auto body = detail::store<T>(std::move(op), outcome);
  const detail::Race race = co_await detail::race(std::move(body), duration);
  const bool has_value = outcome.has_value() && outcome->has_value();
  if (race == detail::Race::timed_out && !has_value) {
    using std::chrono::milliseconds;
    const auto ms = std::chrono::duration_cast<milliseconds>(duration).count();
    co_return fail(errc::timed_out, "not finished within " + std::to_string(ms) + " ms");
  }
  if (!outcome) co_return fail(errc::cancelled, "cancelled before it began");
  co_return std::move(*outcome);
}

}  // namespace chorus::net
