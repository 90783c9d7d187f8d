// Keys and certificates of a federation: EC P-256, ECDSA with SHA-256, X.509 v3.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/result.hpp"
#include "common/base/types.hpp"

struct evp_pkey_st;
struct x509_st;

namespace chorus {

/// What the owner of a certificate may be; stands in the certificate's OU. The three last are
/// administrators, each may do what the one before may.
enum class Role : std::uint8_t { device = 1, server = 2, viewer = 3, operator_ = 4, owner = 5 };

/// "device", "server", "viewer", "operator", "owner".
std::string_view to_string(Role role) noexcept;
/// @errors invalid_argument, listing the roles
Result<Role> parse_role(std::string_view text);

/// From when and for how long. Certificates begin five minutes earlier, because devices' clocks
/// are not exact, and never outlive their authority.
struct Validity {
  std::chrono::sys_seconds from;
  std::chrono::seconds length{0};  ///< > 0, at most 100 years
};
/// `length` from now.
Validity valid_for(std::chrono::seconds length);

/// What a certificate says.
struct CertificateInfo {
  std::string common_name;   ///< the device's, administrator's or server's name
  std::string organisation;  ///< the federation
  std::optional<Role> role;  ///< none: an authority, or not one of ours
  bool authority = false;    ///< may sign others
  Sha256 fingerprint;        ///< SHA-256 of the DER form
  std::chrono::sys_seconds not_before;
  std::chrono::sys_seconds not_after;
  std::string serial;                     ///< lower-case hexadecimal
  std::vector<std::string> dns_names;     ///< subject alternative names
  std::vector<std::string> ip_addresses;  ///< likewise, as text
};

/// An EC P-256 private key. Copies share the key, which never changes.
class PrivateKey {
 public:
  static Result<PrivateKey> generate();
  /// PKCS#8 or SEC 1, not encrypted. @errors malformed_file
  static Result<PrivateKey> from_pem(std::string_view pem);
  /// PKCS#8, not encrypted. Store it with write_durably(path, pem, 0600).
  Result<std::string> to_pem() const;

  evp_pkey_st* get() const noexcept { return key_.get(); }

 private:
  explicit PrivateKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

/// A certificate. Copies share it; it never changes.
class Certificate {
 public:
  /// The first certificate in the text. @errors malformed_file
  static Result<Certificate> from_pem(std::string_view pem);
  /// Exactly one certificate. @errors malformed_message
  static Result<Certificate> from_der(std::span<const std::byte> der);
  /// Takes over one reference.
  static Certificate adopt(x509_st* certificate);

  Result<std::string> to_pem() const;
  Result<std::vector<std::byte>> to_der() const;
  /// @errors malformed_file (a name or date that cannot be read)
  Result<CertificateInfo> info() const;
  /// Whether `key` is the private half of this certificate's key.
  bool belongs_to(const PrivateKey& key) const;

  x509_st* get() const noexcept { return certificate_.get(); }

 private:
  explicit Certificate(std::shared_ptr<x509_st> certificate)
      : certificate_(std::move(certificate)) {}
  std::shared_ptr<x509_st> certificate_;
};

/// A PKCS#10 request (DER) for a certificate on `key`, signed with it.
Result<std::vector<std::byte>> make_csr(const PrivateKey& key, std::string_view common_name);

/// SHA-256 of a request's public key (SubjectPublicKeyInfo, DER): the same for every request and
/// certificate on that key. @errors as CertificateAuthority::sign_device
Result<Sha256> csr_public_key_sha256(std::span<const std::byte> csr_der);

/// A certificate with its key.
struct Identity {
  Certificate certificate;
  PrivateKey key;
};

/// The addresses a server certificate is good for; at least one.
struct ServerNames {
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
};

/// Signs the certificates of one federation. Const members may be called from several threads.
class CertificateAuthority {
 public:
  /// A new self-signed authority. @errors invalid_argument (name or validity)
  static Result<CertificateAuthority> create(std::string_view federation, Validity validity);
  /// @errors malformed_file (not an authority's certificate, or not its key)
  static Result<CertificateAuthority> load(std::string_view certificate_pem,
                                           std::string_view key_pem);

  const Certificate& certificate() const noexcept { return certificate_; }
  const PrivateKey& key() const noexcept { return key_; }
  const std::string& federation() const noexcept { return federation_; }

  /// @errors invalid_argument (no or impossible names), certificate_expired (the authority is)
  Result<Identity> issue_server(const ServerNames& names, Validity validity) const;
  /// @param role  viewer, operator or owner
  Result<Identity> issue_admin(std::string_view name, Role role, Validity validity) const;
  /// A device's certificate on the key of its request. The request's subject and extensions are
  /// ignored: name, federation and role are ours.
  /// @errors malformed_message (not a request), unauthenticated (not signed with its own key),
  ///         invalid_argument (another kind of key, or an impossible name), certificate_expired
  Result<Certificate> sign_device(std::span<const std::byte> csr_der,
                                  const ClientId& device,
                                  Validity validity) const;

 private:
  CertificateAuthority(Identity self, CertificateInfo info);

  Certificate certificate_;
  PrivateKey key_;
  std::string federation_;
  std::chrono::sys_seconds not_before_;
  std::chrono::sys_seconds not_after_;
};

}  // namespace chorus
