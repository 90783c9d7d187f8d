// What sessions call besides the board: enrolment and administration. Interfaces, so that sessions
// do not depend on how they are done.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "chorus/result.hpp"
#include "common/wire/messages.hpp"
#include "server/driver/context.hpp"
#include "server/net/access.hpp"

namespace chorus::server {

class EnrollmentService {
 public:
  virtual ~EnrollmentService() = default;
  /// A device without certificate asks for one. `from` names the connection, for the audit table.
  virtual boost::asio::awaitable<Result<wire::Enrolled>> enroll(wire::Enroll request,
                                                                std::string from) = 0;
  /// A device replaces its certificate before it expires.
  virtual boost::asio::awaitable<Result<wire::Enrolled>> renew(wire::Renew request,
                                                               ClientId client) = 0;
};

class AdminService {
 public:
  virtual ~AdminService() = default;
  /// Bytes that follow this request in chunks, mostly 0.
  /// @errors permission_denied: the peer may not make it; invalid_argument: no number of parameters
  virtual Result<std::uint64_t> body_bytes(const Peer& peer, const std::string& request) const = 0;
  /// Serialised chorus.v1.AdminRequest in, chorus.v1.AdminReply out.
  /// @param body  what followed the request
  virtual boost::asio::awaitable<Result<std::string>> handle(
      Peer peer, std::string request, std::shared_ptr<const InitialParameters> body = nullptr) = 0;
};

}  // namespace chorus::server
