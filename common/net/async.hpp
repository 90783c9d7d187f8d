// The only helpers that hop to another executor or wait, beside the streams themselves.
//
// Two rules for callers (GCC 12.2 destroys such temporaries twice): in a co_await expression never
// write a capturing lambda or a braced aggregate as an argument; name it, then std::move it.
//
//   auto job = [&ledger] { return ledger.jobs(); };
//   CHORUS_CO_TRY(auto jobs, co_await net::run_on(store_pool, std::move(job)));
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "chorus/result.hpp"
#include "common/base/assert.hpp"

namespace chorus::net {

/// Starts `body` as a coroutine of its own on `executor`. An exception that leaves it ends it and
/// is logged under `name`; being cancelled is no error.
void spawn(const boost::asio::any_io_executor& executor,
           boost::asio::awaitable<void> body,
           std::string name);

/// Waits. @errors cancelled
boost::asio::awaitable<Result<void>> sleep_for(std::chrono::steady_clock::duration duration);

namespace detail {

/// The exception in flight as a Failure; for use in a catch block.
Failure failure_of_exception() noexcept;

enum class Race { finished, timed_out, cancelled };
boost::asio::awaitable<Race> race(boost::asio::awaitable<void> body,
                                  std::chrono::steady_clock::duration duration);

boost::asio::awaitable<void> call_on(boost::asio::any_io_executor executor,
                                     void (*call)(void*),
                                     void* argument);

/// Coroutines that wait for a change of something under a mutex.
class WaitQueue {
 public:
  /// One coroutine's place in the queue; left when destroyed.
  class Place {
   public:
    /// @pre the mutex is held
    Place(const boost::asio::any_io_executor& executor, std::mutex& mutex, WaitQueue& queue);
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place();

    /// Until woken; the caller then looks again. @errors cancelled
    boost::asio::awaitable<Result<void>> wait();

   private:
    friend class WaitQueue;
    using Signal = boost::asio::experimental::concurrent_channel<boost::asio::any_io_executor,
                                                                 void(boost::system::error_code)>;

    std::mutex& mutex_;
    WaitQueue& queue_;
    Signal signal_;
    bool woken_ = false;
  };

  /// @pre the mutex is held
  void wake_one();
  void wake_all();

 private:
  std::deque<Place*> places_;
};

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
                                                std::chrono::steady_clock::duration duration) {
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

/// A bounded queue between coroutines on any executors; every member may be called from any thread.
///
/// Not a plain asio concurrent_channel: in Boost 1.81 that drops what is queued when it is closed,
/// leaves waiting senders behind, and after a cancelled receive believes to be full. Here it only
/// carries the signal that ends one wait.
template <class T>
class Channel {
 public:
  /// @param capacity  items held before send() waits, >= 1
  explicit Channel(std::size_t capacity) : state_(std::make_shared<State>(capacity)) {}

  /// Waits while the channel is full. @errors shutting_down (closed), cancelled
  boost::asio::awaitable<Result<void>> send(T item) { return send_to(state_, std::move(item)); }

  /// Never waits. False if full or closed; `item` is then untouched.
  bool try_send(T&& item) {
    const std::lock_guard lock(state_->mutex);
    return state_->put(item);
  }

  /// Waits for an item. After close() it still gives what was sent before.
  /// @errors shutting_down (closed and empty), cancelled
  boost::asio::awaitable<Result<T>> receive() { return receive_from(state_); }

  /// An item if there is one now.
  std::optional<T> try_receive() {
    const std::lock_guard lock(state_->mutex);
    return state_->take();
  }

  /// Further sends fail, also those that wait now; receivers get what is queued, then fail.
  void close() {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    state_->senders.wake_all();
    state_->receivers.wake_all();
  }

 private:
  struct State {
    explicit State(std::size_t items_max) : capacity(items_max) { CHORUS_ASSERT(capacity > 0); }

    bool put(T& item) {
      if (closed || items.size() >= capacity) return false;
      items.push_back(std::move(item));
      receivers.wake_one();
      return true;
    }
    std::optional<T> take() {
      if (items.empty()) return std::nullopt;
      std::optional<T> item(std::move(items.front()));
      items.pop_front();
      senders.wake_one();
      return item;
    }

    std::mutex mutex;
    const std::size_t capacity;
    std::deque<T> items;
    bool closed = false;
    detail::WaitQueue senders;
    detail::WaitQueue receivers;
  };

  static boost::asio::awaitable<Result<void>> send_to(std::shared_ptr<State> state, T item) {
    const auto executor = co_await boost::asio::this_coro::executor;
    for (;;) {
      std::optional<detail::WaitQueue::Place> place;
      {
        const std::lock_guard lock(state->mutex);
        if (state->put(item)) co_return Result<void>();
        if (state->closed) co_return fail(errc::shutting_down, "the channel is closed");
        place.emplace(executor, state->mutex, state->senders);
      }
      if (const auto status = co_await place->wait(); !status) co_return status.error();
    }
  }

  static boost::asio::awaitable<Result<T>> receive_from(std::shared_ptr<State> state) {
    const auto executor = co_await boost::asio::this_coro::executor;
    for (;;) {
      std::optional<detail::WaitQueue::Place> place;
      {
        const std::lock_guard lock(state->mutex);
        if (auto item = state->take()) co_return std::move(*item);
        if (state->closed) co_return fail(errc::shutting_down, "the channel is closed");
        place.emplace(executor, state->mutex, state->receivers);
      }
      if (const auto status = co_await place->wait(); !status) co_return status.error();
    }
  }

  std::shared_ptr<State> state_;
};

}  // namespace chorus::net
