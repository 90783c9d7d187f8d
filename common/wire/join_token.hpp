// The join token: one line of text that an operator hands to a device. It says where the server
// is, how to recognise it before any certificate is known, and the secret that admits the device.
#pragma once

#include <string>
#include <string_view>

#include "chorus/result.hpp"
#include "common/base/types.hpp"

namespace chorus::wire {

struct JoinToken {
  std::string server;  ///< "host:port"
  Sha256 ca_sha256;    ///< of the federation's CA certificate, DER
  std::string secret;  ///< 1 to limits::kTokenBytesMax bytes; the server stores only its hash
  bool operator==(const JoinToken&) const = default;
};

/// "chorus-join-1." and base64url, without padding, of:
///   length of server (1 byte), server, SHA-256 of the CA (32), secret, checksum (4)
/// The checksum (first four bytes of the SHA-256 of what precedes it) catches a token that was cut
/// or mistyped on its way.
/// @errors invalid_argument (server or secret empty or too long)
Result<std::string> encode_join_token(const JoinToken& token);

/// Reads a token; surrounding white space is ignored.
/// @errors token_invalid, saying whether it is no token at all, of another version, or damaged
Result<JoinToken> parse_join_token(std::string_view text);

}  // namespace chorus::wire
