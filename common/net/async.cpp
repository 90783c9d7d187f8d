#include "common/net/async.hpp"

#include <algorithm>
#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "common/net/timer.hpp"

namespace chorus::net {

namespace asio = boost::asio;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace

void spawn(const asio::any_io_executor& executor, asio::awaitable<void> body, std::string name) {
  auto ended = [name = std::move(name)](const std::exception_ptr& thrown) {
    if (thrown == nullptr) return;
    try {
      std::rethrow_exception(thrown);
    } catch (...) {
      const Failure failure = failure_of_exception();
      const auto level =
          failure.code == errc::cancelled ? spdlog::level::debug : spdlog::level::err;
      spdlog::log(level, "{} ended: {}", name, failure.to_string());
    }
  };
  asio::co_spawn(executor, std::move(body), std::move(ended));
}

asio::awaitable<Result<void>> sleep_for(SteadyClock::duration duration) {
  Timer timer(co_await asio::this_coro::executor, duration);
  const auto [error] = co_await timer.async_wait(kTuple);
  if (error) co_return fail(errc::cancelled, "a pause was cancelled");
  co_return Result<void>();
}

Failure failure_of_exception() noexcept {
  try {
    throw;
  } catch (const boost::system::system_error& error) {
    // What a coroutine meets at its next wait after it was cancelled.
    if (error.code() == asio::error::operation_aborted) return fail(errc::cancelled, "cancelled");
    return fail(errc::internal, std::string("unexpected exception: ") + error.what());
  } catch (const std::exception& error) {
    return fail(errc::internal, std::string("unexpected exception: ") + error.what());
  } catch (...) {
    return fail(errc::internal, "unexpected exception of an unknown type");
  }
}

namespace detail {

asio::awaitable<Race> race(asio::awaitable<void> body, SteadyClock::duration duration) {
  using asio::experimental::awaitable_operators::operator||;
  Timer timer(co_await asio::this_coro::executor, duration);
  auto waiting = timer.async_wait(kTuple);
  const auto first = co_await (std::move(body) || std::move(waiting));
  if (first.index() == 0) co_return Race::finished;
  const auto [error] = std::get<1>(first);
  co_return error ? Race::cancelled : Race::timed_out;
}

asio::awaitable<void> call_on(asio::any_io_executor executor, void (*call)(void*), void* argument) {
  auto initiate = [executor, call, argument](auto handler) {
    // The work guard keeps the caller's context running while the call is elsewhere.
    auto home = asio::prefer(asio::get_associated_executor(handler),
                             asio::execution::outstanding_work.tracked);
    auto there = [home, call, argument, handler = std::move(handler)]() mutable {
      call(argument);
      asio::post(home, std::move(handler));
    };
    asio::post(executor, std::move(there));
  };
  asio::use_awaitable_t<> token;
  auto waiting = asio::async_initiate<asio::use_awaitable_t<>, void()>(std::move(initiate), token);
  co_await std::move(waiting);
}

}  // namespace detail
}  // namespace chorus::net
