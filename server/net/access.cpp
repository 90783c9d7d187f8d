#include "server/net/access.hpp"

#include <utility>

namespace chorus::server {

Access::Access(std::string federation, std::vector<ClientId> revoked)
    : federation_(std::move(federation)), revoked_(revoked.begin(), revoked.end()) {}

Result<Peer> Access::admit(const std::optional<CertificateInfo>& certificate) const {
  if (!certificate) return Peer{};
  if (certificate->organisation != federation_) {
    return fail(errc::unauthenticated,
                "the certificate belongs to federation '" + certificate->organisation +
                    "'; this is '" + federation_ + "'");
  }
  if (!certificate->role || *certificate->role == Role::server) {
    return fail(errc::unauthenticated,
                "the certificate of '" + certificate->common_name +
                    "' is neither a device's nor an administrator's");
  }
  const bool device = *certificate->role == Role::device;
  if (device && is_revoked(ClientId{certificate->common_name})) {
    return fail(errc::revoked,
                "the certificate of device '" + certificate->common_name +
                    "' was revoked; ask the federation's operator");
  }
  return Peer{certificate->common_name, certificate->role};
}

void Access::revoke(const ClientId& client) {
  const std::lock_guard lock(mutex_);
  revoked_.insert(client);
}

bool Access::is_revoked(const ClientId& client) const {
  const std::lock_guard lock(mutex_);
  return revoked_.contains(client);
}

}  // namespace chorus::server
