// Turns join tokens into certificates.
#pragma once

#include <memory>
#include <string>

#include "common/crypto/x509.hpp"
#include "server/config/server_config.hpp"
#include "server/driver/context.hpp"
#include "server/net/services.hpp"

namespace chorus::server {

class Enrollment final : public EnrollmentService {
 public:
  Enrollment(Context& context,
             std::unique_ptr<CertificateAuthority> authority,  ///< null: enrolment is off
             EnrollmentConfig config);

  boost::asio::awaitable<Result<wire::Enrolled>> enroll(wire::Enroll request,
                                                        std::string from) override;
  boost::asio::awaitable<Result<wire::Enrolled>> renew(wire::Renew request,
                                                       ClientId client) override;

  /// A new token, stored as a hash. @errors invalid_argument, wrong_state (enrolment is off)
  struct TokenRequest {
    std::string device;  ///< fixed name, or empty
    std::uint32_t uses = 1;
    Duration valid_for{};
  };
  struct Token {
    std::string secret;
    TimePoint expires_at{};
    Sha256 ca_sha256;
  };
  boost::asio::awaitable<Result<Token>> create_token(TokenRequest request);

 private:
  struct Signed {
    wire::Enrolled reply;
    DeviceRow row;
    std::string public_key_sha256;
  };
  Result<Signed> sign(const std::vector<std::byte>& csr, const ClientId& client) const;

  Context& context_;
  std::unique_ptr<CertificateAuthority> authority_;
  EnrollmentConfig config_;
};

}  // namespace chorus::server
