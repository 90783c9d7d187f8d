#include "common/crypto/x509.hpp"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "common/base/limits.hpp"
#include "common/crypto/digest.hpp"
#include "common/crypto/openssl.hpp"

namespace chorus {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const CertificateAuthority& authority() {
  static const auto kAuthority = CertificateAuthority::create("clinic", valid_for(24h)).value();
  return kAuthority;
}

std::vector<std::byte> csr_of(const PrivateKey& key, std::string_view name = "whatever") {
  return make_csr(key, name).value();
}

/// OpenSSL's verdict on `leaf` now: X509_V_OK or a reason.
int verdict(const Certificate& leaf, const Certificate& root, int purpose = X509_PURPOSE_ANY) {
  const std::unique_ptr<X509_STORE, openssl::Free<X509_STORE_free>> store(X509_STORE_new());
  X509_STORE_add_cert(store.get(), root.get());
  const std::unique_ptr<X509_STORE_CTX, openssl::Free<X509_STORE_CTX_free>> context(
      X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr);
  X509_STORE_CTX_set_purpose(context.get(), purpose);
  X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_X509_STRICT);
  X509_verify_cert(context.get());
  return X509_STORE_CTX_get_error(context.get());
}

TEST(Role, NamesRoundTrip) {
  for (const Role role : {Role::device, Role::server, Role::viewer, Role::operator_, Role::owner}) {
    EXPECT_EQ(*parse_role(to_string(role)), role);
  }
  EXPECT_EQ(to_string(Role::operator_), "operator");
  for (const char* text : {"", "operator_", "Owner", "admin", "device "}) {
    EXPECT_EQ(parse_role(text).error().code, errc::invalid_argument) << text;
  }
}

TEST(PrivateKey, RoundTripsThroughPem) {
  const auto key = PrivateKey::generate().value();
  const auto pem = key.to_pem().value();
  EXPECT_THAT(pem, StartsWith("-----BEGIN PRIVATE KEY-----\n"));
  const auto again = PrivateKey::from_pem(pem).value();
  EXPECT_EQ(EVP_PKEY_eq(key.get(), again.get()), 1);
}

TEST(PrivateKey, RefusesMalformedPem) {
  const auto pem = PrivateKey::generate()->to_pem().value();
  EXPECT_EQ(PrivateKey::from_pem("").error().code, errc::malformed_file);
  EXPECT_FALSE(PrivateKey::from_pem("hello"));
  EXPECT_FALSE(PrivateKey::from_pem(pem.substr(0, pem.size() / 2)));
  std::string changed = pem;
  changed[40] = changed[40] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(PrivateKey::from_pem(changed));
  EXPECT_FALSE(PrivateKey::from_pem(authority().certificate().to_pem().value()));
}

TEST(PrivateKey, RefusesEncryptedAndForeignKinds) {
  const auto key = PrivateKey::generate().value();
  const openssl::Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(
      bio.get(), key.get(), EVP_aes_128_cbc(), "secret", 6, nullptr, nullptr);
  char* data = nullptr;
  const auto length = static_cast<std::size_t>(BIO_get_mem_data(bio.get(), &data));
  EXPECT_FALSE(PrivateKey::from_pem(std::string_view(data, length)));

  for (const char* curve : {"P-384", "secp256k1"}) {
    const openssl::Key other(EVP_EC_gen(curve));
    const openssl::Bio out(BIO_new(BIO_s_mem()));
    PEM_write_bio_PKCS8PrivateKey(out.get(), other.get(), nullptr, nullptr, 0, nullptr, nullptr);
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(out.get(), &data));
    const auto refused = PrivateKey::from_pem(std::string_view(data, size));
    EXPECT_THAT(refused.error().detail, HasSubstr("P-256")) << curve;
  }
}

TEST(CertificateAuthority, CreatesAndLoads) {
  const auto& created = authority();
  const auto info = created.certificate().info().value();
  EXPECT_EQ(info.organisation, "clinic");
  EXPECT_TRUE(info.authority);
  EXPECT_FALSE(info.role.has_value());
  EXPECT_EQ(info.not_after - info.not_before, 24h + 5min);
  EXPECT_EQ(verdict(created.certificate(), created.certificate()), X509_V_OK);

  const auto loaded = CertificateAuthority::load(created.certificate().to_pem().value(),
                                                 created.key().to_pem().value());
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->federation(), "clinic");
  const auto admin = loaded->issue_admin("ann", Role::owner, valid_for(1h)).value();
  EXPECT_EQ(verdict(admin.certificate, created.certificate()), X509_V_OK);
}

TEST(CertificateAuthority, LoadRefusesWhatIsNotAnAuthority) {
  const auto ca_pem = authority().certificate().to_pem().value();
  const auto ca_key = authority().key().to_pem().value();
  const auto admin = authority().issue_admin("ann", Role::viewer, valid_for(1h)).value();
  const auto admin_pem = admin.certificate.to_pem().value();
  const auto admin_key = admin.key.to_pem().value();
  EXPECT_EQ(CertificateAuthority::load(admin_pem, admin_key).error().code, errc::malformed_file);
  EXPECT_THAT(CertificateAuthority::load(ca_pem, admin_key).error().detail,
              HasSubstr("do not belong together"));
  EXPECT_FALSE(CertificateAuthority::load("", ca_key));
  EXPECT_FALSE(CertificateAuthority::load(ca_pem, ""));
  EXPECT_FALSE(CertificateAuthority::load(ca_key, ca_pem));
}

TEST(CertificateAuthority, RefusesImpossibleNamesAndValidities) {
  for (const std::string& name : {std::string(),
                                  std::string(64, 'a'),
                                  std::string("a\nb"),
                                  std::string("a\0b", 3),
                                  std::string("\xff\xfe")}) {
    EXPECT_EQ(CertificateAuthority::create(name, valid_for(1h)).error().code,
              errc::invalid_argument)
        << name;
  }
  EXPECT_TRUE(CertificateAuthority::create(std::string(63, 'a'), valid_for(1h)));
  EXPECT_TRUE(CertificateAuthority::create("Klinik Köln, Haus 3 + 4/CN=x", valid_for(1h)));
  EXPECT_FALSE(CertificateAuthority::create("x", valid_for(0s)));
  EXPECT_FALSE(CertificateAuthority::create("x", valid_for(-1s)));
  EXPECT_FALSE(CertificateAuthority::create("x", valid_for(std::chrono::years(101))));
}

TEST(IssueServer, CarriesNamesAndServesOnlyAsServer) {
  const ServerNames names{{"fl.example.org", "localhost"}, {"127.0.0.1", "::1"}};
  const auto server = authority().issue_server(names, valid_for(1h)).value();
  const auto info = server.certificate.info().value();
  EXPECT_EQ(info.role, Role::server);
  EXPECT_THAT(info.dns_names, ElementsAre("fl.example.org", "localhost"));
  EXPECT_THAT(info.ip_addresses, ElementsAre("127.0.0.1", "::1"));
  EXPECT_EQ(info.serial.size(), 32U);
  EXPECT_TRUE(server.certificate.belongs_to(server.key));
  EXPECT_FALSE(server.certificate.belongs_to(authority().key()));
  const auto& root = authority().certificate();
  EXPECT_EQ(verdict(server.certificate, root, X509_PURPOSE_SSL_SERVER), X509_V_OK);
  EXPECT_EQ(verdict(server.certificate, root, X509_PURPOSE_SSL_CLIENT), X509_V_ERR_INVALID_PURPOSE);
}

TEST(IssueServer, RefusesImpossibleNames) {
  const auto issue = [](ServerNames names) {
    return authority().issue_server(names, valid_for(1h));
  };
  EXPECT_EQ(issue({}).error().code, errc::invalid_argument);
  EXPECT_FALSE(issue({{""}, {}}));
  EXPECT_FALSE(issue({{"a,DNS:evil"}, {}}));
  EXPECT_FALSE(issue({{"a b"}, {}}));
  EXPECT_FALSE(issue({{std::string(254, 'a')}, {}}));
  EXPECT_TRUE(issue({{std::string(253, 'a')}, {}}));
  EXPECT_FALSE(issue({{}, {"127.0.0.256"}}));
  EXPECT_FALSE(issue({{}, {"localhost"}}));
  EXPECT_FALSE(issue({{}, {"::1::"}}));
}

TEST(IssueAdmin, TakesOnlyAdministratorsRoles) {
  const auto admin = authority().issue_admin("ann", Role::operator_, valid_for(1h)).value();
  EXPECT_EQ(admin.certificate.info()->role, Role::operator_);
  EXPECT_EQ(admin.certificate.info()->common_name, "ann");
  EXPECT_EQ(authority().issue_admin("ann", Role::device, valid_for(1h)).error().code,
            errc::invalid_argument);
  EXPECT_FALSE(authority().issue_admin("ann", Role::server, valid_for(1h)));
  EXPECT_FALSE(authority().issue_admin("Ann Smith", Role::owner, valid_for(1h)));
  EXPECT_FALSE(authority().issue_admin("", Role::owner, valid_for(1h)));
}

TEST(SignDevice, TakesNothingButTheKeyFromTheRequest) {
  const auto key = PrivateKey::generate().value();
  const auto certificate =
      authority().sign_device(csr_of(key, "owner"), ClientId{"gate-7"}, valid_for(1h)).value();
  const auto info = certificate.info().value();
  EXPECT_EQ(info.common_name, "gate-7");
  EXPECT_EQ(info.organisation, "clinic");
  EXPECT_EQ(info.role, Role::device);
  EXPECT_FALSE(info.authority);
  EXPECT_TRUE(certificate.belongs_to(key));
  EXPECT_EQ(info.not_after - info.not_before, 1h + 5min);
  EXPECT_EQ(info.fingerprint, sha256(certificate.to_der().value()));
  const auto& root = authority().certificate();
  EXPECT_EQ(verdict(certificate, root, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
  EXPECT_EQ(verdict(certificate, root, X509_PURPOSE_SSL_SERVER), X509_V_ERR_INVALID_PURPOSE);
}

TEST(SignDevice, RefusesARequestWithoutProofOfPossession) {
  const auto key = PrivateKey::generate().value();
  const auto thief = PrivateKey::generate().value();
  // Somebody else's public key, signed with one's own.
  const openssl::X509Req request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), key.get());
  X509_REQ_sign(request.get(), thief.get(), EVP_sha256());
  std::vector<std::byte> der(static_cast<std::size_t>(i2d_X509_REQ(request.get(), nullptr)));
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509_REQ(request.get(), &out);
  const auto refused = authority().sign_device(der, ClientId{"gate-7"}, valid_for(1h));
  EXPECT_EQ(refused.error().code, errc::unauthenticated);
}

TEST(SignDevice, RefusesEveryTamperedByte) {
  const auto good = csr_of(PrivateKey::generate().value());
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= std::byte{0x01};
    EXPECT_FALSE(authority().sign_device(bad, ClientId{"gate-7"}, valid_for(1h))) << i;
  }
}

TEST(SignDevice, RefusesTruncatedOverlongAndEmptyRequests) {
  const auto good = csr_of(PrivateKey::generate().value());
  const auto sign = [](std::span<const std::byte> der) {
    return authority().sign_device(der, ClientId{"gate-7"}, valid_for(1h));
  };
  EXPECT_EQ(sign({}).error().code, errc::malformed_message);
  for (std::size_t n = 0; n < good.size(); n += 7) EXPECT_FALSE(sign(std::span(good).first(n)));
  auto longer = good;
  longer.push_back(std::byte{0});
  EXPECT_EQ(sign(longer).error().code, errc::malformed_message);
  std::vector<std::byte> huge(limits::kCsrBytesMax + 1);
  std::copy(good.begin(), good.end(), huge.begin());
  EXPECT_THAT(sign(huge).error().detail, HasSubstr("the limit is"));
}

TEST(SignDevice, RefusesOtherKindsOfKeys) {
  const openssl::Key other(EVP_EC_gen("P-384"));
  const openssl::X509Req request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), other.get());
  X509_REQ_sign(request.get(), other.get(), EVP_sha256());
  std::vector<std::byte> der(static_cast<std::size_t>(i2d_X509_REQ(request.get(), nullptr)));
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509_REQ(request.get(), &out);
  EXPECT_EQ(authority().sign_device(der, ClientId{"gate-7"}, valid_for(1h)).error().code,
            errc::invalid_argument);
}

TEST(SignDevice, RefusesImpossibleNames) {
  const auto csr = csr_of(PrivateKey::generate().value());
  for (const std::string& name : {std::string(),
                                  std::string(64, 'a'),
                                  std::string("A"),
                                  std::string("a b"),
                                  std::string("a/b"),
                                  std::string("a\0b", 3)}) {
    EXPECT_EQ(authority().sign_device(csr, ClientId{name}, valid_for(1h)).error().code,
              errc::invalid_argument)
        << name;
  }
  EXPECT_TRUE(authority().sign_device(csr, ClientId{std::string(63, 'a')}, valid_for(1h)));
}

TEST(SignDevice, NeverOutlivesTheAuthority) {
  const auto csr = csr_of(PrivateKey::generate().value());
  const auto certificate =
      authority().sign_device(csr, ClientId{"gate-7"}, valid_for(std::chrono::years(5))).value();
  EXPECT_EQ(certificate.info()->not_after, authority().certificate().info()->not_after);

  Validity past = valid_for(1h);
  past.from -= 48h;
  const auto expired = CertificateAuthority::create("clinic", past).value();
  EXPECT_EQ(expired.sign_device(csr, ClientId{"gate-7"}, valid_for(1h)).error().code,
            errc::certificate_expired);
}

TEST(SignDevice, ExpiredCertificatesFailVerification) {
  Validity past = valid_for(1h);
  past.from -= 10h;
  Validity long_ago = valid_for(100h);
  long_ago.from -= 20h;
  const auto old = CertificateAuthority::create("clinic", long_ago).value();
  const auto csr = csr_of(PrivateKey::generate().value());
  const auto certificate = old.sign_device(csr, ClientId{"gate-7"}, past).value();
  EXPECT_EQ(verdict(certificate, old.certificate()), X509_V_ERR_CERT_HAS_EXPIRED);
}

TEST(SignDevice, ForeignAuthorityFailsVerification) {
  const auto other = CertificateAuthority::create("clinic", valid_for(24h)).value();
  const auto csr = csr_of(PrivateKey::generate().value());
  const auto certificate = other.sign_device(csr, ClientId{"gate-7"}, valid_for(1h)).value();
  EXPECT_NE(verdict(certificate, authority().certificate()), X509_V_OK);
}

TEST(Certificate, RoundTripsThroughDerAndPem) {
  const auto& certificate = authority().certificate();
  const auto der = certificate.to_der().value();
  EXPECT_EQ(Certificate::from_der(der)->to_der().value(), der);
  const auto pem = certificate.to_pem().value();
  EXPECT_EQ(Certificate::from_pem(pem)->to_der().value(), der);
}

TEST(Certificate, RefusesMalformedText) {
  auto der = authority().certificate().to_der().value();
  EXPECT_FALSE(Certificate::from_der({}));
  for (std::size_t n = 0; n < der.size(); n += 11) {
    EXPECT_FALSE(Certificate::from_der(std::span(der).first(n))) << n;
  }
  der.push_back(std::byte{0});
  EXPECT_EQ(Certificate::from_der(der).error().code, errc::malformed_message);
  EXPECT_EQ(Certificate::from_pem("").error().code, errc::malformed_file);
  EXPECT_FALSE(
      Certificate::from_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"));
  EXPECT_FALSE(Certificate::from_pem(authority().key().to_pem().value()));
}

TEST(Certificate, SerialsAreDistinct) {
  const auto csr = csr_of(PrivateKey::generate().value());
  const auto a = authority().sign_device(csr, ClientId{"gate-7"}, valid_for(1h)).value();
  const auto b = authority().sign_device(csr, ClientId{"gate-7"}, valid_for(1h)).value();
  EXPECT_NE(a.info()->serial, b.info()->serial);
}

TEST(Certificate, RefusesTwoCommonNames) {
  const auto key = PrivateKey::generate().value();
  const openssl::X509Ptr certificate(X509_new());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 60);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  for (const char* text : {"gate-7", "gate-8"}) {
    X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text), -1, -1, 0);
  }
  X509_set_pubkey(certificate.get(), key.get());
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  EXPECT_EQ(openssl::info_of(certificate.get()).error().code, errc::malformed_file);
}

}  // namespace
}  // namespace chorus
