// Digests, their text forms, and random bytes.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/result.hpp"
#include "common/base/types.hpp"

namespace chorus {

/// The bytes of a text, for the functions below.
inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// SHA-256 (FIPS 180-4) of bytes that arrive in pieces.
class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(Sha256Hasher&& other) noexcept;
  Sha256Hasher& operator=(Sha256Hasher&& other) noexcept;

  void update(std::span<const std::byte> data);
  /// The digest of everything since construction or the last finish(); starts over.
  Sha256 finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Sha256 sha256(std::span<const std::byte> data);
Sha256 sha256(std::string_view text);

/// XXH3-128 of an update body that arrives in pieces, seed 0. Guards against accidents, not against
/// an enemy: the sender is authenticated by its certificate.
/// @determinism  canonical (big-endian) bytes: the same on every machine
class BodyHasher {
 public:
  BodyHasher();
  ~BodyHasher();
  BodyHasher(BodyHasher&&) noexcept;
  BodyHasher& operator=(BodyHasher&&) noexcept;

  void update(std::span<const std::byte> data);
  /// The digest of everything since construction or the last reset(). May be asked repeatedly.
  BodyDigest digest() const;
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

BodyDigest body_digest(std::span<const std::byte> data);

/// Lower-case hexadecimal.
std::string hex(std::span<const std::byte> data);
std::string hex(const Sha256& digest);
std::string hex(const BodyDigest& digest);

/// Exactly 64 hexadecimal digits, either case. @errors invalid_argument
Result<Sha256> parse_sha256(std::string_view text);
/// Exactly 32 hexadecimal digits, either case. @errors invalid_argument
Result<BodyDigest> parse_body_digest(std::string_view text);

/// A digest received as raw bytes. @errors malformed_message (wrong length)
Result<Sha256> sha256_from_bytes(std::span<const std::byte> data);
Result<BodyDigest> body_digest_from_bytes(std::span<const std::byte> data);

/// RFC 4648 §5 without padding.
std::string base64url_encode(std::span<const std::byte> data);
/// Refuses padding, other alphabets, white space and non-zero trailing bits, so that one value has
/// exactly one text. @errors invalid_argument
Result<std::vector<std::byte>> base64url_decode(std::string_view text);

/// True if equal. Takes the same time wherever the first difference lies; the length is no secret.
bool equal_secrets(std::span<const std::byte> a, std::span<const std::byte> b) noexcept;

/// Bytes for keys and tokens, from the operating system's generator by way of OpenSSL.
/// @errors internal (the generator could not be seeded)
Result<std::vector<std::byte>> random_bytes(std::size_t count);

}  // namespace chorus
