#include "common/crypto/digest.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <xxhash.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int hex_value(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

Result<void> parse_hex(std::string_view text, std::span<std::byte> into) {
  if (text.size() != 2 * into.size()) {
    return fail(errc::invalid_argument,
                "a digest of " + std::to_string(text.size()) + " characters; expected " +
                    std::to_string(2 * into.size()) + " hexadecimal digits");
  }
  for (std::size_t i = 0; i < into.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) {
      return fail(errc::invalid_argument,
                  "a digest has something else than a hexadecimal digit at character " +
                      std::to_string(2 * i + (high < 0 ? 1 : 2)));
    }
    into[i] = static_cast<std::byte>(high * 16 + low);
  }
  return {};
}

template <class Digest>
Result<Digest> from_bytes(std::span<const std::byte> data, std::string_view what) {
  Digest digest;
  if (data.size() != digest.bytes.size()) {
    return fail(errc::malformed_message,
                std::string(what) + " of " + std::to_string(data.size()) + " bytes; expected " +
                    std::to_string(digest.bytes.size()));
  }
  std::copy(data.begin(), data.end(), digest.bytes.begin());
  return digest;
}

BodyDigest canonical(XXH128_hash_t hash) noexcept {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  BodyDigest digest;
  static_assert(sizeof bytes.digest == sizeof digest.bytes);
  std::memcpy(digest.bytes.data(), bytes.digest, digest.bytes.size());
  return digest;
}

}  // namespace

struct Sha256Hasher::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256Hasher::Sha256Hasher() : state_(std::make_unique<State>()) {
  CHORUS_ASSERT(state_->context != nullptr);
  CHORUS_ASSERT(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Sha256Hasher::~Sha256Hasher() = default;
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;

void Sha256Hasher::update(std::span<const std::byte> data) {
  CHORUS_ASSERT(EVP_DigestUpdate(state_->context, data.data(), data.size()) == 1);
}

Sha256 Sha256Hasher::finish() {
  Sha256 digest;
  auto* out = reinterpret_cast<unsigned char*>(digest.bytes.data());
  CHORUS_ASSERT(EVP_DigestFinal_ex(state_->context, out, nullptr) == 1);
  CHORUS_ASSERT(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
  return digest;
}

Sha256 sha256(std::span<const std::byte> data) {
  Sha256Hasher hasher;
  hasher.update(data);
  return hasher.finish();
}

Sha256 sha256(std::string_view text) {
  return sha256(bytes_of(text));
}

struct BodyHasher::State {
  XXH3_state_t* xxh = XXH3_createState();

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { XXH3_freeState(xxh); }
};

BodyHasher::BodyHasher() : state_(std::make_unique<State>()) {
  CHORUS_ASSERT(state_->xxh != nullptr);
  reset();
}
BodyHasher::~BodyHasher() = default;
BodyHasher::BodyHasher(BodyHasher&&) noexcept = default;
BodyHasher& BodyHasher::operator=(BodyHasher&&) noexcept = default;

void BodyHasher::update(std::span<const std::byte> data) {
  if (data.empty()) return;
  CHORUS_ASSERT(XXH3_128bits_update(state_->xxh, data.data(), data.size()) == XXH_OK);
}

BodyDigest BodyHasher::digest() const {
  return canonical(XXH3_128bits_digest(state_->xxh));
}

void BodyHasher::reset() {
  CHORUS_ASSERT(XXH3_128bits_reset(state_->xxh) == XXH_OK);
}

BodyDigest body_digest(std::span<const std::byte> data) {
  return canonical(XXH3_128bits(data.data(), data.size()));
}

std::string hex(std::span<const std::byte> data) {
  std::string text;
  text.reserve(2 * data.size());
  for (const std::byte value : data) {
    text += kHexDigits[std::to_integer<std::size_t>(value >> 4U)];
    text += kHexDigits[std::to_integer<std::size_t>(value & std::byte{15})];
  }
  return text;
}

std::string hex(const Sha256& digest) {
  return hex(std::span(digest.bytes));
}
std::string hex(const BodyDigest& digest) {
  return hex(std::span(digest.bytes));
}

Result<Sha256> parse_sha256(std::string_view text) {
  Sha256 digest;
  CHORUS_OK(parse_hex(text, digest.bytes));
  return digest;
}

Result<BodyDigest> parse_body_digest(std::string_view text) {
  BodyDigest digest;
  CHORUS_OK(parse_hex(text, digest.bytes));
  return digest;
}

Result<Sha256> sha256_from_bytes(std::span<const std::byte> data) {
  return from_bytes<Sha256>(data, "a SHA-256 digest");
}

Result<BodyDigest> body_digest_from_bytes(std::span<const std::byte> data) {
  return from_bytes<BodyDigest>(data, "a body digest");
}

std::string base64url_encode(std::span<const std::byte> data) {
  std::string text;
  text.reserve((data.size() * 4 + 2) / 3);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const std::byte value : data) {
    bits = (bits << 8U) | std::to_integer<std::uint32_t>(value);
    count += 8;
    while (count >= 6) {
      count -= 6;
      text += kBase64Digits[(bits >> count) & 63U];
    }
  }
  if (count > 0) text += kBase64Digits[(bits << (6 - count)) & 63U];
  return text;
}

Result<std::vector<std::byte>> base64url_decode(std::string_view text) {
  if (text.size() % 4 == 1) {
    return fail(errc::invalid_argument,
                "base64url text of " + std::to_string(text.size()) +
                    " characters is impossible: one or more characters are missing");
  }
  std::vector<std::byte> data;
  data.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t value = kBase64Digits.find(text[i]);
    if (value == std::string_view::npos) {
      return fail(errc::invalid_argument,
                  "character " + std::to_string(i + 1) +
                      " is not base64url; expected letters, digits, '-' and '_' without padding");
    }
    bits = (bits << 6U) | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      data.push_back(static_cast<std::byte>((bits >> count) & 255U));
    }
  }
  if ((bits & ((1U << count) - 1U)) != 0) {
    return fail(errc::invalid_argument,
                "the last character of base64url text carries bits beyond the data: a character "
                "was changed or lost");
  }
  return data;
}

bool equal_secrets(std::span<const std::byte> a, std::span<const std::byte> b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<std::vector<std::byte>> random_bytes(std::size_t count) {
  std::vector<std::byte> data(count);
  // The _ex form takes a size_t; the old one an int.
  if (RAND_priv_bytes_ex(nullptr, reinterpret_cast<unsigned char*>(data.data()), count, 0) != 1) {
    return fail(errc::internal, "the system's random number generator could not be used");
  }
  return data;
}

}  // namespace chorus
