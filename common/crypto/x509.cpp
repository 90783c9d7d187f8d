// Keys, certificates and what they say. Signing them: authority.cpp.
#include "common/crypto/x509.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <ctime>
#include <utility>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/crypto/openssl.hpp"

namespace chorus {
namespace {

using openssl::Free;

constexpr std::array kRoles{std::pair{Role::device, std::string_view("device")},
                            std::pair{Role::server, std::string_view("server")},
                            std::pair{Role::viewer, std::string_view("viewer")},
                            std::pair{Role::operator_, std::string_view("operator")},
                            std::pair{Role::owner, std::string_view("owner")}};

Result<std::string> text_of(const ASN1_STRING* value) {
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, value);
  if (length < 0) return openssl::failure(errc::malformed_file, "a name in the certificate");
  const std::unique_ptr<unsigned char, Free<[](void* p) { OPENSSL_free(p); }>> owner(utf8);
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(length));
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return fail(errc::malformed_file, "a name in the certificate holds a control character");
  }
  return text;
}

/// The one entry of this kind; empty if absent. Two would let readers disagree on the name.
Result<std::string> name_entry(const X509_NAME* name, int nid) {
  const int first = X509_NAME_get_index_by_NID(name, nid, -1);
  if (first < 0) return std::string();
  if (X509_NAME_get_index_by_NID(name, nid, first) >= 0) {
    return fail(errc::malformed_file,
                std::string("the certificate's subject has two entries '") + OBJ_nid2sn(nid) + "'");
  }
  return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, first)));
}

Result<std::chrono::sys_seconds> instant_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    return fail(errc::malformed_file, "the certificate's validity is not a date");
  }
  return std::chrono::sys_seconds(std::chrono::seconds(::timegm(&parts)));
}

Result<std::string> address_of(const ASN1_OCTET_STRING* value) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int length = ASN1_STRING_length(value);
  if (length != 4 && length != 16) {
    return fail(errc::malformed_file,
                "an address in the certificate has " + std::to_string(length) + " bytes");
  }
  const int family = length == 4 ? AF_INET : AF_INET6;
  ::inet_ntop(family, ASN1_STRING_get0_data(value), text.data(), text.size());
  return std::string(text.data());
}

Result<void> read_alternative_names(const X509* certificate, CertificateInfo& info) {
  const std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return {};
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int kind = 0;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &kind);
    if (kind == GEN_DNS) {
      CHORUS_TRY(info.dns_names.emplace_back(), text_of(static_cast<const ASN1_STRING*>(value)));
    } else if (kind == GEN_IPADD) {
      CHORUS_TRY(info.ip_addresses.emplace_back(),
                 address_of(static_cast<const ASN1_OCTET_STRING*>(value)));
    }
  }
  return {};
}

std::string serial_of(const X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  const auto* data = reinterpret_cast<const std::byte*>(ASN1_STRING_get0_data(serial));
  return hex(std::span(data, static_cast<std::size_t>(ASN1_STRING_length(serial))));
}

bool is_p256(const EVP_PKEY* key) {
  std::array<char, 32> group{};
  std::size_t length = 0;
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(key, group.data(), group.size(), &length) == 1 &&
         std::string_view(group.data(), length) == SN_X9_62_prime256v1;
}

std::shared_ptr<evp_pkey_st> shared(openssl::Key key) {
  return {key.release(), EVP_PKEY_free};
}

Result<std::string> contents_of(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(length));
}

}  // namespace

namespace openssl {

std::string last_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason given";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

Failure failure(errc code, std::string_view doing) {
  return fail(code, std::string(doing) + ": " + last_error());
}

Bio memory_bio(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) {
  return -1;
}

Sha256 fingerprint_of(const X509* certificate) {
  Sha256 digest;
  unsigned length = 0;
  X509_digest(
      certificate, EVP_sha256(), reinterpret_cast<unsigned char*>(digest.bytes.data()), &length);
  return digest;
}

Result<CertificateInfo> info_of(const X509* certificate) {
  CertificateInfo info;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  CHORUS_TRY(info.common_name, name_entry(subject, NID_commonName));
  CHORUS_TRY(info.organisation, name_entry(subject, NID_organizationName));
  CHORUS_TRY(const std::string unit, name_entry(subject, NID_organizationalUnitName));
  // X509_check_ca caches flags inside the certificate and so wants it mutable.
  info.authority = X509_check_ca(const_cast<X509*>(certificate)) == 1;  // NOLINT
  if (auto role = parse_role(unit); role && !info.authority) info.role = *role;
  info.fingerprint = fingerprint_of(certificate);
  CHORUS_TRY(info.not_before, instant_of(X509_get0_notBefore(certificate)));
  CHORUS_TRY(info.not_after, instant_of(X509_get0_notAfter(certificate)));
  info.serial = serial_of(certificate);
  CHORUS_OK(read_alternative_names(certificate, info));
  return info;
}

std::string display_name(const X509* certificate) {
  if (certificate == nullptr) return "(no certificate)";
  auto name = name_entry(X509_get_subject_name(certificate), NID_commonName);
  return name && !name->empty() ? *name : "(no name)";
}

}  // namespace openssl

std::string_view to_string(Role role) noexcept {
  for (const auto& [value, name] : kRoles) {
    if (value == role) return name;
  }
  return "unknown";
}

Result<Role> parse_role(std::string_view text) {
  for (const auto& [value, name] : kRoles) {
    if (name == text) return value;
  }
  return fail(errc::invalid_argument,
              "role '" + std::string(text) +
                  "' is unknown; expected device, server, viewer, operator or owner");
}

Validity valid_for(std::chrono::seconds length) {
  return {std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()), length};
}

Result<PrivateKey> PrivateKey::generate() {
  openssl::Key key(EVP_EC_gen(SN_X9_62_prime256v1));
  if (key == nullptr) return openssl::failure(errc::internal, "generating a private key");
  return PrivateKey(shared(std::move(key)));
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view pem) {
  const openssl::Bio bio = openssl::memory_bio(pem);
  openssl::Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, openssl::no_password, nullptr));
  if (key == nullptr) {
    return openssl::failure(errc::malformed_file, "expected an unencrypted private key in PEM");
  }
  if (!is_p256(key.get())) {
    return fail(errc::malformed_file, "the private key is not on the curve P-256, as ours are");
  }
  return PrivateKey(shared(std::move(key)));
}

Result<std::string> PrivateKey::to_pem() const {
  const openssl::Bio bio(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl::failure(errc::internal, "writing a private key as PEM");
  }
  return contents_of(bio.get());
}

Certificate Certificate::adopt(x509_st* certificate) {
  return Certificate(std::shared_ptr<x509_st>(certificate, X509_free));
}

Result<Certificate> Certificate::from_pem(std::string_view pem) {
  const openssl::Bio bio = openssl::memory_bio(pem);
  X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, openssl::no_password, nullptr);
  if (certificate == nullptr) {
    return openssl::failure(errc::malformed_file, "expected a certificate in PEM");
  }
  return adopt(certificate);
}

Result<Certificate> Certificate::from_der(std::span<const std::byte> der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* const end = data + der.size();
  openssl::X509Ptr certificate(d2i_X509(nullptr, &data, static_cast<long>(der.size())));
  if (certificate == nullptr) {
    return openssl::failure(errc::malformed_message, "expected a certificate in DER");
  }
  if (data != end) {
    return fail(errc::malformed_message,
                std::to_string(end - data) + " bytes follow a certificate in DER");
  }
  return adopt(certificate.release());
}

Result<std::string> Certificate::to_pem() const {
  const openssl::Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), get()) != 1) {
    return openssl::failure(errc::internal, "writing a certificate as PEM");
  }
  return contents_of(bio.get());
}

Result<std::vector<std::byte>> Certificate::to_der() const {
  const int length = i2d_X509(get(), nullptr);
  if (length <= 0) return openssl::failure(errc::internal, "writing a certificate as DER");
  std::vector<std::byte> der(static_cast<std::size_t>(length));
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(get(), &out);
  return der;
}

Result<CertificateInfo> Certificate::info() const {
  return openssl::info_of(get());
}

bool Certificate::belongs_to(const PrivateKey& key) const {
  const bool match = X509_check_private_key(get(), key.get()) == 1;
  ERR_clear_error();
  return match;
}

}  // namespace chorus
