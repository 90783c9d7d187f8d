#include "common/net/tls_context.hpp"

#include <algorithm>
#include <array>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/net/socket_bio.hpp"
#include "common/net/tls_error.hpp"

namespace chorus::net {

struct TlsContext::Handles {
  // In this order: OpenSSL's library context goes last.
  openssl::LibContext library;
  BioMethod socket_method;
  openssl::SslContext context;
};

namespace {

/// Length-prefixed, as ALPN wants it.
constexpr auto kAlpnList = [] {
  std::array<unsigned char, kApplicationProtocol.size() + 1> list{};
  list[0] = static_cast<unsigned char>(kApplicationProtocol.size());
  std::copy(kApplicationProtocol.begin(), kApplicationProtocol.end(), list.begin() + 1);
  return list;
}();

openssl::X509Ptr read_certificate(OSSL_LIB_CTX* library, std::string_view pem) {
  const openssl::Bio bio = openssl::memory_bio(pem);
  X509* certificate = X509_new_ex(library, nullptr);
  if (PEM_read_bio_X509(bio.get(), &certificate, openssl::no_password, nullptr) == nullptr) {
    X509_free(certificate);
    return nullptr;
  }
  return openssl::X509Ptr(certificate);
}

Result<void> use_identity(SSL_CTX* context,
                          OSSL_LIB_CTX* library,
                          std::string_view certificate_pem,
                          std::string_view key_pem) {
  const auto certificate = read_certificate(library, certificate_pem);
  if (certificate == nullptr || SSL_CTX_use_certificate(context, certificate.get()) != 1) {
    return openssl::failure(errc::malformed_file, "expected our certificate in PEM");
  }
  const openssl::Bio bio = openssl::memory_bio(key_pem);
  const openssl::Key key(PEM_read_bio_PrivateKey_ex(
      bio.get(), nullptr, openssl::no_password, nullptr, library, nullptr));
  if (key == nullptr) {
    return openssl::failure(errc::malformed_file, "expected our unencrypted private key in PEM");
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return openssl::failure(errc::malformed_file,
                            "our certificate and private key do not belong together");
  }
  return {};
}

/// A client that names no protocol is refused here; the selection below is then never asked.
int check_client_hello(SSL* ssl, int* alert, void* /*context*/) {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(
          ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &size) == 1) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
  return SSL_CLIENT_HELLO_ERROR;
}

int select_protocol(SSL* /*ssl*/,
                    const unsigned char** out,
                    unsigned char* out_size,
                    const unsigned char* offered,
                    unsigned offered_size,
                    void* /*context*/) {
  unsigned char* selected = nullptr;
  const int found = SSL_select_next_proto(
      &selected, out_size, kAlpnList.data(), kAlpnList.size(), offered, offered_size);
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

/// Remembers whose certificate was refused: the handshake's own error does not say.
int note_verification(int accepted, X509_STORE_CTX* store) {
  if (accepted == 0) {
    const int index = SSL_get_ex_data_X509_STORE_CTX_idx();
    SSL* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, index));
    HandshakeNotes& notes = handshake_notes(ssl);
    notes.verify_error = X509_STORE_CTX_get_error(store);
    notes.refused_name = openssl::display_name(X509_STORE_CTX_get_current_cert(store));
  }
  return accepted;
}

/// Enrolment: trusts the certificate in the server's chain that has the pinned digest, if any.
int verify_pinned(X509_STORE_CTX* store, void* argument) {
  const Sha256& pin = *static_cast<const TlsContext*>(argument)->ca_pin();
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_untrusted(store);
  using Stack =
      std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * s) { sk_X509_free(s); })>;
  const Stack trusted(sk_X509_new_null());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* certificate = sk_X509_value(chain, i);
    if (openssl::fingerprint_of(certificate) == pin) sk_X509_push(trusted.get(), certificate);
  }
  X509_STORE_CTX_set0_trusted_stack(store, trusted.get());
  const int verified = X509_verify_cert(store);
  // The stack goes out of scope; nothing may look at it again.
  X509_STORE_CTX_set0_trusted_stack(store, nullptr);
  return verified;
}

bool set_protocol(SSL_CTX* context, bool is_server) {
  SSL_CTX_set_options(context,
                      SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
                          SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // Partial writes: a record at a time, so that a coroutine can give way between records. Released
  // buffers: an idle connection keeps none of its two 16 KB buffers.
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                       SSL_MODE_RELEASE_BUFFERS);
  // One recv() for a record instead of two, header and rest.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_max_cert_list(context, static_cast<long>(limits::kPeerChainBytesMax));
  if (is_server) {
    SSL_CTX_set_client_hello_cb(context, check_client_hello, nullptr);
    SSL_CTX_set_alpn_select_cb(context, select_protocol, nullptr);
  }
  return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_num_tickets(context, 0) == 1 &&
         SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1 &&
         SSL_CTX_set_ciphersuites(context,
                                  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                  "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
         // Zero is success, here alone.
         (is_server || SSL_CTX_set_alpn_protos(context, kAlpnList.data(), kAlpnList.size()) == 0);
}

}  // namespace

TlsContext::TlsContext(bool is_server, std::optional<Sha256> ca_pin)
    : is_server_(is_server), ca_pin_(ca_pin), handles_(std::make_unique<Handles>()) {}

TlsContext::~TlsContext() = default;

ssl_ctx_st* TlsContext::get() const noexcept {
  return handles_->context.get();
}

bio_method_st* TlsContext::socket_method() const noexcept {
  return handles_->socket_method.get();
}

Result<void> TlsContext::start(std::string_view ca_pem) {
  ERR_clear_error();
  handles_->library.reset(OSSL_LIB_CTX_new());
  handles_->socket_method = make_socket_method();
  handles_->context.reset(SSL_CTX_new_ex(
      handles_->library.get(), nullptr, is_server_ ? TLS_server_method() : TLS_client_method()));
  SSL_CTX* const context = get();
  if (context == nullptr || socket_method() == nullptr || !set_protocol(context, is_server_)) {
    return openssl::failure(errc::internal, "setting up TLS");
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, note_verification);
  if (ca_pin_) {
    SSL_CTX_set_cert_verify_callback(context, verify_pinned, this);
    return {};
  }
  const auto authority = read_certificate(handles_->library.get(), ca_pem);
  if (authority == nullptr ||
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1) {
    return openssl::failure(errc::malformed_file,
                            "expected the certificate of the federation's authority in PEM");
  }
  if (is_server_ && SSL_CTX_add1_chain_cert(context, authority.get()) != 1) {
    return openssl::failure(errc::internal, "setting up TLS");
  }
  return {};
}

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const TlsServerOptions& options) {
  const std::shared_ptr<TlsContext> made(new TlsContext(true, std::nullopt));
  CHORUS_OK(made->start(options.ca_pem));
  CHORUS_OK(use_identity(
      made->get(), made->handles_->library.get(), options.certificate_pem, options.key_pem));
  return std::shared_ptr<const TlsContext>(made);
}

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const TlsClientOptions& options) {
  const std::shared_ptr<TlsContext> made(new TlsContext(false, options.ca_pin));
  CHORUS_OK(made->start(options.ca_pem));
  if (!options.certificate_pem.empty() || !options.key_pem.empty()) {
    CHORUS_OK(use_identity(
        made->get(), made->handles_->library.get(), options.certificate_pem, options.key_pem));
  }
  return std::shared_ptr<const TlsContext>(made);
}

}  // namespace chorus::net
