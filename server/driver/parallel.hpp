// Work in parts, on all compute threads.
#pragma once

#include <cstddef>
#include <functional>

#include <boost/asio/awaitable.hpp>

#include "chorus/result.hpp"
#include "server/driver/context.hpp"

namespace chorus::server {

/// Calls part(0) … part(count - 1) on the compute threads, several at once, and comes back when all
/// have ended. After a failure none is begun any more.
/// @errors of a part; an exception is errc::internal
boost::asio::awaitable<Result<void>> run_parts(const Context& context,
                                               std::size_t count,
                                               std::function<Result<void>(std::size_t)> part);

}  // namespace chorus::server
