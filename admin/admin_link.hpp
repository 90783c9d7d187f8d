// An administrator's conversation with the daemon: one call, one reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "admin/federation.hpp"
#include "chorus/result.hpp"
#include "common/base/types.hpp"

namespace chorus::v1 {
class AdminReply;
class AdminRequest;
}  // namespace chorus::v1

namespace chorus::admin {

/// An interface, so that commands can be tested without a daemon. Every call blocks.
class AdminLink {
 public:
  /// Takes the bytes of a model, in order.
  using Sink = std::function<Result<void>(std::span<const std::byte>)>;

  virtual ~AdminLink() = default;

  /// @param wait  how long the server may take on purpose (WatchJob), besides the usual deadline
  /// @errors the server's own (its Error reply); connection_failed, timed_out, tls_failed;
  ///         unexpected_message
  virtual Result<v1::AdminReply> call(const v1::AdminRequest& request, Duration wait = {}) = 0;

  /// A call that parameters follow, in chunks. @errors as call()
  virtual Result<v1::AdminReply> call_with(const v1::AdminRequest& request,
                                           std::span<const float> parameters) = 0;

  /// Fetches `bytes` bytes of a version. @errors as call(), and of the sink
  virtual Result<void> fetch(const Sha256& version, std::uint64_t bytes, const Sink& sink) = 0;
};

/// Connects with the administrator's certificate of the federation's folder and greets the daemon.
/// @errors as AdminLink::call(); unauthenticated, certificate_expired, permission_denied; of
/// reading
///         the certificate files
Result<std::unique_ptr<AdminLink>> connect_admin(const Federation& federation);

}  // namespace chorus::admin
