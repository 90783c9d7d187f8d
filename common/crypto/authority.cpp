// Requests for certificates, and the authority that signs them.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <utility>

#include <openssl/bn.h>
#include <openssl/err.h>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/crypto/openssl.hpp"
#include "common/crypto/x509.hpp"

namespace chorus {
namespace {

using namespace std::chrono_literals;
using openssl::Free;
using GeneralNames = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

constexpr auto kBackdate = 5min;
constexpr auto kLengthMax = std::chrono::seconds(std::chrono::years(100));
constexpr std::size_t kSerialBytes = 16;
constexpr std::size_t kDnsNameBytesMax = 253;

struct Subject {
  std::string_view common_name;
  std::string_view organisation;
  std::string_view unit;  ///< empty: none
};

/// Everything about a certificate but its signer.
struct Draft {
  Subject subject;
  EVP_PKEY* key = nullptr;
  std::chrono::sys_seconds not_before;
  std::chrono::sys_seconds not_after;
  const char* basic_constraints = "critical,CA:FALSE";
  const char* key_usage = "critical,digitalSignature";
  const char* extended_key_usage = nullptr;
  const GENERAL_NAMES* alternative_names = nullptr;
};

bool is_name_character(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

Result<void> check_name(std::string_view name, std::string_view whose) {
  if (!name.empty() && name.size() <= limits::kNameBytesMax &&
      std::all_of(name.begin(), name.end(), is_name_character)) {
    return {};
  }
  return fail(errc::invalid_argument,
              std::string(whose) + " of " + std::to_string(name.size()) +
                  " bytes is not possible; expected 1 to " + std::to_string(limits::kNameBytesMax) +
                  " of a-z, 0-9, '.', '_' and '-'");
}

Result<void> check_federation(std::string_view name) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (!name.empty() && name.size() <= limits::kNameBytesMax &&
      std::none_of(name.begin(), name.end(), is_control)) {
    return {};
  }
  return fail(errc::invalid_argument,
              "a federation's name of " + std::to_string(name.size()) +
                  " bytes is not possible; expected 1 to " + std::to_string(limits::kNameBytesMax) +
                  " bytes without control characters");
}

Result<void> check_validity(const Validity& validity) {
  if (validity.length > 0s && validity.length <= kLengthMax) return {};
  return fail(errc::invalid_argument,
              "a certificate's validity of " + std::to_string(validity.length.count()) +
                  " seconds is not possible; expected 1 second to 100 years");
}

bool add_entry(X509_NAME* name, const char* field, std::string_view value) {
  return X509_NAME_add_entry_by_txt(name,
                                    field,
                                    MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()),
                                    -1,
                                    0) == 1;
}

bool set_subject(X509_NAME* name, const Subject& subject) {
  return add_entry(name, "O", subject.organisation) &&
         (subject.unit.empty() || add_entry(name, "OU", subject.unit)) &&
         add_entry(name, "CN", subject.common_name);
}

bool set_serial(X509* certificate) {
  auto random = random_bytes(kSerialBytes);
  if (!random) return false;
  // Positive, not zero, and always sixteen bytes long.
  random->front() = (random->front() & std::byte{0x3f}) | std::byte{0x40};
  const auto* data = reinterpret_cast<const unsigned char*>(random->data());
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(
      BN_bin2bn(data, static_cast<int>(random->size()), nullptr));
  return BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_time(ASN1_TIME* field, std::chrono::sys_seconds instant) {
  return ASN1_TIME_set(field, static_cast<std::time_t>(instant.time_since_epoch().count())) !=
         nullptr;
}

bool add_extension(X509* certificate, X509V3_CTX* context, int nid, const char* value) {
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_nconf_nid(nullptr, context, nid, value));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool add_extensions(X509* certificate, X509* issuer, const Draft& draft) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  // Not from text: a name would be read as configuration.
  const bool names_ok =
      draft.alternative_names == nullptr ||
      X509_add1_ext_i2d(certificate,
                        NID_subject_alt_name,
                        const_cast<GENERAL_NAMES*>(draft.alternative_names),  // NOLINT: C API
                        0,
                        X509V3_ADD_DEFAULT) == 1;
  return names_ok &&
         add_extension(certificate, &context, NID_basic_constraints, draft.basic_constraints) &&
         add_extension(certificate, &context, NID_key_usage, draft.key_usage) &&
         (draft.extended_key_usage == nullptr ||
          add_extension(certificate, &context, NID_ext_key_usage, draft.extended_key_usage)) &&
         add_extension(certificate, &context, NID_subject_key_identifier, "hash") &&
         add_extension(certificate, &context, NID_authority_key_identifier, "keyid:always");
}

/// `issuer` null: signs itself.
Result<Certificate> sign(const Draft& draft, X509* issuer, EVP_PKEY* signer) {
  ERR_clear_error();
  openssl::X509Ptr certificate(X509_new());
  X509* const x = certificate.get();
  X509* const issued_by = issuer != nullptr ? issuer : x;
  if (x == nullptr || X509_set_version(x, X509_VERSION_3) != 1 || !set_serial(x) ||
      !set_time(X509_getm_notBefore(x), draft.not_before) ||
      !set_time(X509_getm_notAfter(x), draft.not_after) ||
      !set_subject(X509_get_subject_name(x), draft.subject) ||
      X509_set_issuer_name(x, X509_get_subject_name(issued_by)) != 1 ||
      X509_set_pubkey(x, draft.key) != 1 || !add_extensions(x, issued_by, draft) ||
      X509_sign(x, signer, EVP_sha256()) <= 0) {
    return openssl::failure(
        errc::invalid_argument,
        "making the certificate of '" + std::string(draft.subject.common_name) + "'");
  }
  // Through DER once, so that what we hand out is what a reader will see.
  CHORUS_TRY(auto der, Certificate::adopt(certificate.release()).to_der());
  return Certificate::from_der(der);
}

Result<void> add_name(GENERAL_NAMES* names, int kind, ASN1_STRING* value) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(name, kind, value);
  if (sk_GENERAL_NAME_push(names, name) == 0) {
    GENERAL_NAME_free(name);
    return fail(errc::internal, "out of memory while making a certificate");
  }
  return {};
}

bool is_dns_character(char c) noexcept {
  return is_name_character(c) || (c >= 'A' && c <= 'Z') || c == '*';
}

Result<void> add_dns_name(GENERAL_NAMES* names, const std::string& text) {
  if (text.empty() || text.size() > kDnsNameBytesMax ||
      !std::all_of(text.begin(), text.end(), is_dns_character)) {
    return fail(errc::invalid_argument,
                "'" + text + "' is no host name; expected letters, digits, '.', '-', at most 253");
  }
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  ASN1_STRING_set(value, text.data(), static_cast<int>(text.size()));
  return add_name(names, GEN_DNS, value);
}

Result<void> add_ip_address(GENERAL_NAMES* names, const std::string& text) {
  ASN1_OCTET_STRING* value = a2i_IPADDRESS(text.c_str());
  if (value == nullptr) {
    ERR_clear_error();
    return fail(errc::invalid_argument,
                "'" + text + "' is no IP address; expected e.g. 192.0.2.1 or 2001:db8::1");
  }
  return add_name(names, GEN_IPADD, value);
}

Result<GeneralNames> general_names(const ServerNames& names) {
  GeneralNames list(sk_GENERAL_NAME_new_null());
  for (const auto& name : names.dns_names) CHORUS_OK(add_dns_name(list.get(), name));
  for (const auto& address : names.ip_addresses) CHORUS_OK(add_ip_address(list.get(), address));
  if (sk_GENERAL_NAME_num(list.get()) == 0) {
    return fail(errc::invalid_argument,
                "a server certificate needs at least one host name or IP address");
  }
  return list;
}

/// The request's key, once it has proved that the sender holds it and that it is of our kind.
Result<EVP_PKEY*> proven_key(X509_REQ* request) {
  EVP_PKEY* key = X509_REQ_get0_pubkey(request);
  if (key == nullptr) return openssl::failure(errc::malformed_message, "the request's public key");
  std::array<char, 32> group{};
  std::size_t length = 0;
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key, group.data(), group.size(), &length) != 1 ||
      std::string_view(group.data(), length) != SN_X9_62_prime256v1) {
    ERR_clear_error();
    return fail(errc::invalid_argument,
                "the certificate request's key is not an EC key on P-256, as a device's must be");
  }
  if (X509_REQ_verify(request, key) != 1) {
    ERR_clear_error();
    return fail(errc::unauthenticated,
                "the certificate request is not signed with the key that it names");
  }
  return key;
}

Result<std::pair<std::chrono::sys_seconds, std::chrono::sys_seconds>> within(
    const Validity& validity, std::chrono::sys_seconds first, std::chrono::sys_seconds last) {
  CHORUS_OK(check_validity(validity));
  if (validity.from >= last) {
    return fail(errc::certificate_expired,
                "the federation's certificate authority has expired; "
                "'chorus init' makes a new one in a new folder");
  }
  return std::pair(std::max(validity.from - kBackdate, first),
                   std::min(validity.from + validity.length, last));
}

Result<openssl::X509Req> parse_request(std::span<const std::byte> csr_der) {
  if (csr_der.size() > limits::kCsrBytesMax) {
    return fail(errc::malformed_message,
                "a certificate request of " + std::to_string(csr_der.size()) +
                    " bytes; the limit is " + std::to_string(limits::kCsrBytesMax));
  }
  const auto* data = reinterpret_cast<const unsigned char*>(csr_der.data());
  const unsigned char* const end = data + csr_der.size();
  openssl::X509Req request(d2i_X509_REQ(nullptr, &data, static_cast<long>(csr_der.size())));
  if (request == nullptr || data != end) {
    ERR_clear_error();
    return fail(errc::malformed_message,
                "the certificate request does not parse; expected PKCS#10 in DER");
  }
  return request;
}

}  // namespace

Result<std::vector<std::byte>> make_csr(const PrivateKey& key, std::string_view common_name) {
  ERR_clear_error();
  const openssl::X509Req request(X509_REQ_new());
  X509_REQ* const r = request.get();
  if (r == nullptr || X509_REQ_set_version(r, X509_REQ_VERSION_1) != 1 ||
      !add_entry(X509_REQ_get_subject_name(r), "CN", common_name) ||
      X509_REQ_set_pubkey(r, key.get()) != 1 || X509_REQ_sign(r, key.get(), EVP_sha256()) <= 0) {
    return openssl::failure(errc::invalid_argument,
                            "making a certificate request for '" + std::string(common_name) + "'");
  }
  std::vector<std::byte> der(static_cast<std::size_t>(i2d_X509_REQ(r, nullptr)));
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509_REQ(r, &out);
  return der;
}

CertificateAuthority::CertificateAuthority(Identity self, CertificateInfo info)
    : certificate_(std::move(self.certificate)),
      key_(std::move(self.key)),
      federation_(std::move(info.organisation)),
      not_before_(info.not_before),
      not_after_(info.not_after) {}

Result<CertificateAuthority> CertificateAuthority::create(std::string_view federation,
                                                          Validity validity) {
  CHORUS_OK(check_federation(federation));
  CHORUS_OK(check_validity(validity));
  CHORUS_TRY(auto key, PrivateKey::generate());
  Draft draft;
  draft.subject = {federation, federation, "authority"};
  draft.key = key.get();
  draft.not_before = validity.from - kBackdate;
  draft.not_after = validity.from + validity.length;
  draft.basic_constraints = "critical,CA:TRUE,pathlen:0";
  draft.key_usage = "critical,keyCertSign,cRLSign";
  CHORUS_TRY(auto certificate, sign(draft, nullptr, key.get()));
  CHORUS_TRY(auto info, certificate.info());
  Identity self{std::move(certificate), std::move(key)};
  return CertificateAuthority(std::move(self), std::move(info));
}

Result<CertificateAuthority> CertificateAuthority::load(std::string_view certificate_pem,
                                                        std::string_view key_pem) {
  CHORUS_TRY(auto certificate, Certificate::from_pem(certificate_pem));
  CHORUS_TRY(auto key, PrivateKey::from_pem(key_pem));
  CHORUS_TRY(auto info, certificate.info());
  if (!info.authority || info.organisation.empty()) {
    return fail(
        errc::malformed_file,
        "the certificate of '" + info.common_name + "' is not that of a federation's authority");
  }
  if (!certificate.belongs_to(key)) {
    return fail(errc::malformed_file,
                "the authority's certificate and private key do not belong together");
  }
  Identity self{std::move(certificate), std::move(key)};
  return CertificateAuthority(std::move(self), std::move(info));
}

Result<Identity> CertificateAuthority::issue_server(const ServerNames& names,
                                                    Validity validity) const {
  CHORUS_TRY(const auto alternative_names, general_names(names));
  CHORUS_TRY(const auto period, within(validity, not_before_, not_after_));
  CHORUS_TRY(auto key, PrivateKey::generate());
  Draft draft;
  draft.subject = {"chorusd", federation_, to_string(Role::server)};
  draft.key = key.get();
  std::tie(draft.not_before, draft.not_after) = period;
  draft.extended_key_usage = "serverAuth";
  draft.alternative_names = alternative_names.get();
  CHORUS_TRY(auto certificate, sign(draft, certificate_.get(), key_.get()));
  return Identity{std::move(certificate), std::move(key)};
}

Result<Identity> CertificateAuthority::issue_admin(std::string_view name,
                                                   Role role,
                                                   Validity validity) const {
  CHORUS_OK(check_name(name, "an administrator's name"));
  if (role != Role::viewer && role != Role::operator_ && role != Role::owner) {
    return fail(errc::invalid_argument,
                "'" + std::string(to_string(role)) +
                    "' is not an administrator's role; expected viewer, operator or owner");
  }
  CHORUS_TRY(const auto period, within(validity, not_before_, not_after_));
  CHORUS_TRY(auto key, PrivateKey::generate());
  Draft draft;
  draft.subject = {name, federation_, to_string(role)};
  draft.key = key.get();
  std::tie(draft.not_before, draft.not_after) = period;
  draft.extended_key_usage = "clientAuth";
  CHORUS_TRY(auto certificate, sign(draft, certificate_.get(), key_.get()));
  return Identity{std::move(certificate), std::move(key)};
}

Result<Sha256> csr_public_key_sha256(std::span<const std::byte> csr_der) {
  CHORUS_TRY(const openssl::X509Req request, parse_request(csr_der));
  CHORUS_TRY(EVP_PKEY* const key, proven_key(request.get()));
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key, &der);
  if (length <= 0) return fail(errc::internal, "a public key cannot be encoded");
  const auto digest = sha256(std::as_bytes(std::span(der, static_cast<std::size_t>(length))));
  OPENSSL_free(der);
  return digest;
}

Result<Certificate> CertificateAuthority::sign_device(std::span<const std::byte> csr_der,
                                                      const ClientId& device,
                                                      Validity validity) const {
  CHORUS_OK(check_name(device.value, "a device's name"));
  CHORUS_TRY(const openssl::X509Req request, parse_request(csr_der));
  Draft draft;
  CHORUS_TRY(draft.key, proven_key(request.get()));
  CHORUS_TRY(const auto period, within(validity, not_before_, not_after_));
  draft.subject = {device.value, federation_, to_string(Role::device)};
  std::tie(draft.not_before, draft.not_after) = period;
  draft.extended_key_usage = "clientAuth";
  return sign(draft, certificate_.get(), key_.get());
}

}  // namespace chorus
