#include "common/net/channel.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace chorus::net::detail {

namespace asio = boost::asio;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace

WaitQueue::Place::Place(const asio::any_io_executor& executor, std::mutex& mutex, WaitQueue& queue)
    : mutex_(mutex), queue_(queue), signal_(executor, 1) {
  queue_.places_.push_back(this);
}

WaitQueue::Place::~Place() {
  const std::lock_guard lock(mutex_);
  if (!woken_) std::erase(queue_.places_, this);
}

asio::awaitable<Result<void>> WaitQueue::Place::wait() {
  const auto [error] = co_await signal_.async_receive(kTuple);
  // Cancelled in the meantime: the caller must not wait again, that would throw.
  const auto state = co_await asio::this_coro::cancellation_state;
  const bool cancelled = state.cancelled() != asio::cancellation_type::none;
  if (!error && !cancelled) co_return Result<void>();
  const std::lock_guard lock(mutex_);
  if (woken_) queue_.wake_one();
  co_return fail(errc::cancelled, "waiting at a channel was cancelled");
}

void WaitQueue::wake_one() {
  if (places_.empty()) return;
  Place* const place = places_.front();
  places_.pop_front();
  place->woken_ = true;
  place->signal_.try_send(boost::system::error_code());
}

void WaitQueue::wake_all() {
  while (!places_.empty()) wake_one();
}

}  // namespace chorus::net::detail
