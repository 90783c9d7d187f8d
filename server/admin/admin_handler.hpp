// Answers administrators: one call in, one reply out, checked against the caller's role.
#pragma once

#include <functional>
#include <string>

#include "server/admin/enrollment.hpp"
#include "server/driver/board.hpp"
#include "server/net/services.hpp"

namespace chorus::v1 {
class AdminRequest;
class AdminReply;
}  // namespace chorus::v1

namespace chorus::server {

/// What the daemon itself reports.
struct DaemonFacts {
  TimePoint started_at{};
  std::function<std::uint64_t()> sessions;
};

class AdminHandler final : public AdminService {
 public:
  AdminHandler(
      Context& context, Board& board, Access& access, Enrollment& enrollment, DaemonFacts facts);

  Result<std::uint64_t> body_bytes(const Peer& peer, const std::string& request) const override;
  boost::asio::awaitable<Result<std::string>> handle(
      Peer peer,
      std::string request,
      std::shared_ptr<const InitialParameters> body = nullptr) override;

 private:
  using Reply = boost::asio::awaitable<Result<v1::AdminReply>>;

  using Body = std::shared_ptr<const InitialParameters>;

  Reply dispatch(Peer peer, const v1::AdminRequest& request, Body body);
  Reply jobs(Peer peer, const v1::AdminRequest& request, Body body);
  Reply rounds(Peer peer, const v1::AdminRequest& request);
  Reply devices(Peer peer, const v1::AdminRequest& request);
  Reply models(Peer peer, const v1::AdminRequest& request);
  Reply watch(const v1::AdminRequest& request);
  Reply audit(const v1::AdminRequest& request);
  Reply status();

  Context& context_;
  Board& board_;
  Access& access_;
  Enrollment& enrollment_;
  DaemonFacts facts_;
};

}  // namespace chorus::server
