// Who may come in: turns a verified certificate into a peer, and knows who was revoked.
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chorus/result.hpp"
#include "common/base/types.hpp"
#include "common/crypto/x509.hpp"

namespace chorus::server {

/// Somebody whose certificate was checked; without role: nobody yet, may only enrol.
struct Peer {
  std::string name;
  std::optional<Role> role;
  bool is_admin() const noexcept {
    return role && (*role == Role::viewer || *role == Role::operator_ || *role == Role::owner);
  }
};

/// Thread-safe.
class Access {
 public:
  Access(std::string federation, std::vector<ClientId> revoked);

  /// @errors unauthenticated (another federation, no role, a server's certificate), revoked
  Result<Peer> admit(const std::optional<CertificateInfo>& certificate) const;
  void revoke(const ClientId& client);
  bool is_revoked(const ClientId& client) const;

 private:
  const std::string federation_;
  mutable std::mutex mutex_;
  std::set<ClientId> revoked_;
};

}  // namespace chorus::server
