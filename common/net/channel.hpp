// A queue between coroutines.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/this_coro.hpp>

#include "chorus/result.hpp"
#include "common/base/assert.hpp"

namespace chorus::net {

namespace detail {

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

}  // namespace detail

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
