#include "server/driver/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/try.hpp"
#include "common/net/async.hpp"

namespace chorus::server {

namespace asio = boost::asio;

namespace {

struct Parts {
  std::function<Result<void>(std::size_t)> part;
  std::size_t count;
  std::atomic<std::size_t> next{0};
};

/// One thread's share: as many parts as it gets hold of.
asio::awaitable<void> run_share(Parts& parts, Result<void>& outcome) {
  outcome = Result<void>();
  while (outcome) {
    const std::size_t mine = parts.next.fetch_add(1);
    if (mine >= parts.count) break;
    try {
      outcome = parts.part(mine);
    } catch (...) {
      outcome = net::failure_of_exception();
    }
  }
  if (!outcome) parts.next = parts.count;
  co_return;
}

}  // namespace

asio::awaitable<Result<void>> run_parts(const Context& context,
                                        std::size_t count,
                                        std::function<Result<void>(std::size_t)> part) {
  if (count == 0) co_return Result<void>();
  Parts parts{std::move(part), count};
  const std::size_t threads = std::min<std::size_t>(count, context.compute_threads);
  std::vector<Result<void>> outcomes(threads, fail(errc::internal, "a part did not end"));
  using Op =
      decltype(asio::co_spawn(context.compute, run_share(parts, outcomes[0]), asio::deferred));
  std::vector<Op> ops;
  for (Result<void>& outcome : outcomes) {
    ops.push_back(asio::co_spawn(context.compute, run_share(parts, outcome), asio::deferred));
  }
  auto group = asio::experimental::make_parallel_group(std::move(ops));
  co_await group.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
  for (Result<void>& outcome : outcomes) CHORUS_CO_OK(std::move(outcome));
  co_return Result<void>();
}

}  // namespace chorus::server
