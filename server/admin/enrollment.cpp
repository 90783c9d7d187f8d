#include "server/admin/enrollment.hpp"

#include <utility>

#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/net/async.hpp"
#include "server/driver/audit_log.hpp"

namespace chorus::server {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kSecretBytes = 24;

TimePoint time_point_of(std::chrono::sys_seconds when) {
  return TimePoint(std::chrono::duration_cast<Duration>(when.time_since_epoch()));
}

Result<void> check_name(const std::string& name) {
  if (wire::valid_name(name)) return {};
  return fail(errc::invalid_argument,
              "'" + name +
                  "' is no device name: expected [a-z0-9._-], beginning with a letter or " +
                  "digit, at most " + std::to_string(limits::kNameBytesMax) + " characters");
}

}  // namespace

Enrollment::Enrollment(Context& context,
                       std::unique_ptr<CertificateAuthority> authority,
                       EnrollmentConfig config)
    : context_(context), authority_(std::move(authority)), config_(std::move(config)) {}

Result<Enrollment::Signed> Enrollment::sign(const std::vector<std::byte>& csr,
                                            const ClientId& client) const {
  if (authority_ == nullptr) {
    return fail(errc::wrong_state,
                "enrolment is off on this server; set enrollment.enabled in server.toml");
  }
  using std::chrono::duration_cast;
  using std::chrono::seconds;
  const auto validity = valid_for(duration_cast<seconds>(config_.certificate_validity));
  CHORUS_TRY(const Certificate certificate, authority_->sign_device(csr, client, validity));
  CHORUS_TRY(const CertificateInfo info, certificate.info());
  CHORUS_TRY(const Sha256 key, csr_public_key_sha256(csr));
  Signed done;
  CHORUS_TRY(done.reply.certificate, certificate.to_der());
  CHORUS_TRY(done.reply.ca_certificate, authority_->certificate().to_der());
  done.reply.name = client.value;
  done.row.client = client;
  done.row.certificate_sha256 = hex(info.fingerprint);
  done.row.enrolled_at = context_.now();
  done.row.last_seen_at = done.row.enrolled_at;
  done.row.certificate_expires_at = time_point_of(info.not_after);
  done.public_key_sha256 = hex(key);
  return done;
}

asio::awaitable<Result<wire::Enrolled>> Enrollment::enroll(wire::Enroll request, std::string from) {
  const std::string token = hex(sha256(request.token));
  auto work = [this, &request, &token]() -> Result<wire::Enrolled> {
    CHORUS_TRY(const TokenRow row, context_.ledger->token(token));
    std::string name = request.name.empty() ? row.device : request.name;
    if (name.empty()) {
      // Nobody chose a name: one that stays the same when the reply is lost and the device repeats.
      CHORUS_TRY(const Sha256 key, csr_public_key_sha256(request.csr));
      name = "device-" + hex(key).substr(0, 12);
    }
    CHORUS_OK(check_name(name));
    CHORUS_TRY(const Signed done, sign(request.csr, ClientId{name}));
    CHORUS_OK(context_.ledger->enroll(token, done.public_key_sha256, done.row));
    return done.reply;
  };
  auto enrolled = co_await net::run_on(context_.store, std::move(work));
  if (!enrolled) {
    context_.audit->add(std::move(from), "enrolment_refused", enrolled.error().to_string());
  } else {
    spdlog::info("device {} enrolled from {}", enrolled->name, from);
  }
  co_return enrolled;
}

asio::awaitable<Result<wire::Enrolled>> Enrollment::renew(wire::Renew request, ClientId client) {
  auto work = [this, &request, &client]() -> Result<wire::Enrolled> {
    CHORUS_TRY(const Signed done, sign(request.csr, client));
    CHORUS_OK(context_.ledger->renew(
        client, done.row.certificate_sha256, done.row.certificate_expires_at));
    return done.reply;
  };
  co_return co_await net::run_on(context_.store, std::move(work));
}

asio::awaitable<Result<Enrollment::Token>> Enrollment::create_token(TokenRequest request) {
  if (authority_ == nullptr) {
    co_return fail(errc::wrong_state,
                   "enrolment is off on this server; set enrollment.enabled in server.toml");
  }
  if (request.valid_for <= Duration{} || request.valid_for > config_.token_validity_max) {
    co_return fail(errc::invalid_argument,
                   "a token may be valid for at most " +
                       std::to_string(config_.token_validity_max / std::chrono::hours(1)) +
                       " hours (enrollment.token_validity_max in server.toml)");
  }
  if (!request.device.empty()) CHORUS_CO_OK(check_name(request.device));
  CHORUS_CO_TRY(const auto random, random_bytes(kSecretBytes));
  CHORUS_CO_TRY(const CertificateInfo ca, authority_->certificate().info());
  Token token;
  token.secret = base64url_encode(random);
  token.expires_at = context_.now() + request.valid_for;
  token.ca_sha256 = ca.fingerprint;
  TokenRow row;
  row.secret_sha256 = hex(sha256(token.secret));
  row.device = request.device;
  row.uses_left = request.uses;
  row.expires_at = token.expires_at;
  auto store = [this, &row] { return context_.ledger->add_token(row); };
  CHORUS_CO_OK(co_await net::run_on(context_.store, std::move(store)));
  co_return token;
}

}  // namespace chorus::server
