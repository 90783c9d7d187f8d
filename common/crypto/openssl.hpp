// OpenSSL handles with owners. For sources of common/crypto and common/net only.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "chorus/result.hpp"
#include "common/crypto/x509.hpp"

namespace chorus::openssl {

/// Calls an OpenSSL free function.
template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* handle) const noexcept {
    kFree(handle);
  }
};

using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using X509Req = std::unique_ptr<X509_REQ, Free<X509_REQ_free>>;
using LibContext = std::unique_ptr<OSSL_LIB_CTX, Free<OSSL_LIB_CTX_free>>;
using SslContext = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Free<SSL_free>>;

/// The reason of the oldest error in this thread's queue, in OpenSSL's words; empties the queue.
std::string last_error();

/// A Failure with last_error() behind `doing`.
Failure failure(errc code, std::string_view doing);

/// A read-only BIO over text that outlives it.
Bio memory_bio(std::string_view text);

/// A password callback that has none: OpenSSL's own would ask at the terminal.
int no_password(char* buffer, int size, int writing, void* context);

/// What a certificate says. @errors malformed_file
Result<CertificateInfo> info_of(const X509* certificate);

/// SHA-256 of the DER form.
Sha256 fingerprint_of(const X509* certificate);

/// The common name, or "(no name)", for messages; control characters are replaced.
std::string display_name(const X509* certificate);

}  // namespace chorus::openssl
