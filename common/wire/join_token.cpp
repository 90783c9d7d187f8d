#include "common/wire/join_token.hpp"

#include <cstring>

#include "common/base/limits.hpp"
#include "common/crypto/digest.hpp"

namespace chorus::wire {
namespace {

constexpr std::string_view kPrefix = "chorus-join-";
constexpr std::string_view kVersion = "1.";
constexpr std::size_t kServerBytesMax = 255;
constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kChecksumBytes = 4;

std::string checksum_of(std::string_view bytes) {
  const Sha256 digest = sha256(bytes);
  return {reinterpret_cast<const char*>(digest.bytes.data()), kChecksumBytes};
}

Failure invalid(std::string_view what) {
  return fail(
      errc::token_invalid,
      "the join token " + std::string(what) + "; copy the whole line that 'chorus enroll' printed");
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

Result<std::string> encode_join_token(const JoinToken& token) {
  if (token.server.empty() || token.server.size() > kServerBytesMax) {
    return fail(errc::invalid_argument,
                "the server's address has " + std::to_string(token.server.size()) +
                    " bytes; a join token holds 1 to " + std::to_string(kServerBytesMax));
  }
  if (token.secret.empty() || token.secret.size() > limits::kTokenBytesMax) {
    return fail(errc::invalid_argument,
                "the secret has " + std::to_string(token.secret.size()) +
                    " bytes; a join token holds 1 to " + std::to_string(limits::kTokenBytesMax));
  }
  std::string bytes;
  bytes += static_cast<char>(static_cast<unsigned char>(token.server.size()));
  bytes += token.server;
  bytes.append(reinterpret_cast<const char*>(token.ca_sha256.bytes.data()), kDigestBytes);
  bytes += token.secret;
  bytes += checksum_of(bytes);
  return std::string(kPrefix) + std::string(kVersion) + base64url_encode(bytes_of(bytes));
}

Result<JoinToken> parse_join_token(std::string_view text) {
  text = trimmed(text);
  if (text.substr(0, kPrefix.size()) != kPrefix) {
    return invalid("does not begin with '" + std::string(kPrefix) + "'");
  }
  text.remove_prefix(kPrefix.size());
  if (text.substr(0, kVersion.size()) != kVersion) {
    return invalid("is of a version that this build does not know (it knows version 1)");
  }
  text.remove_prefix(kVersion.size());
  const auto decoded = base64url_decode(text);
  const std::size_t least = 1 + 1 + kDigestBytes + 1 + kChecksumBytes;
  if (!decoded || decoded->size() < least) return invalid("is damaged or cut short");
  const std::string_view bytes(reinterpret_cast<const char*>(decoded->data()), decoded->size());
  const std::string_view content = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (checksum_of(content) != bytes.substr(content.size())) {
    return invalid("is damaged: its checksum differs");
  }
  const std::size_t server_bytes = static_cast<unsigned char>(content[0]);
  if (server_bytes == 0 || content.size() < 1 + server_bytes + kDigestBytes + 1) {
    return invalid("is damaged or cut short");
  }
  JoinToken token;
  token.server = content.substr(1, server_bytes);
  std::memcpy(token.ca_sha256.bytes.data(), content.data() + 1 + server_bytes, kDigestBytes);
  token.secret = content.substr(1 + server_bytes + kDigestBytes);
  if (token.secret.size() > limits::kTokenBytesMax)
    return invalid("holds a secret that is too long");
  return token;
}

}  // namespace chorus::wire
