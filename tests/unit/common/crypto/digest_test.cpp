#include "common/crypto/digest.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace chorus {
namespace {

std::span<const std::byte> bytes(std::string_view text) {
  return bytes_of(text);
}

TEST(Sha256, MatchesFips180Examples) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(sha256(std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesGiveTheSameAndFinishStartsOver) {
  Sha256Hasher hasher;
  hasher.update(bytes("a"));
  hasher.update({});
  hasher.update(bytes("bc"));
  EXPECT_EQ(hasher.finish(), sha256("abc"));
  EXPECT_EQ(hasher.finish(), sha256(""));
  hasher.update(bytes("abc"));
  Sha256Hasher moved = std::move(hasher);
  EXPECT_EQ(moved.finish(), sha256("abc"));
}

/// xxHash's own test buffer, and its published XXH3-128 values for seed 0 (low, high).
/// @source xxHash 0.8, cli/xsum_sanity_check.c
std::vector<std::byte> xxhash_test_buffer(std::size_t length) {
  std::vector<std::byte> buffer(length);
  std::uint64_t state = 2654435761U;
  for (auto& value : buffer) {
    value = static_cast<std::byte>(state >> 56U);
    state *= 11400714785074694797ULL;
  }
  return buffer;
}

struct XxhVector {
  std::size_t length;
  const char* high_then_low;
};

constexpr XxhVector kXxhVectors[] = {{0, "99aa06d3014798d86001c324468d497f"},
                                     {1, "a6cd5e9392000f6ac44bdff4074eecdb"},
                                     {6, "082afe0b8162d12a3e7039bdda43cfc6"},
                                     {12, "6e3efd8fc7802b18061a192713f69ad9"},
                                     {24, "0ce966e4678d37611e7044d28b1b901d"},
                                     {48, "a002ac4e5478227ef942219aed80f67b"},
                                     {81, "4952f58181ab00425e8bafb9f95fb803"},
                                     {222, "337e09641b948717f1aebd597cec6b3a"},
                                     {403, "1b6de21e332dd73dcdeb804d65c6dea4"},
                                     {2048, "f736557fd47073a5dd59e2c3a5f038e0"},
                                     {2367, "e89c0f6ff369b427cb37aeb9e5d361ed"}};

TEST(BodyHasher, MatchesPublishedXxh3Values) {
  const auto buffer = xxhash_test_buffer(2367);
  for (const auto& [length, expected] : kXxhVectors) {
    EXPECT_EQ(hex(body_digest(std::span(buffer).first(length))), expected) << length;
  }
}

TEST(BodyHasher, PiecesOfAnySizeGiveTheSame) {
  const auto buffer = xxhash_test_buffer(2367);
  for (const std::size_t piece : {1U, 7U, 64U, 255U, 1024U}) {
    BodyHasher hasher;
    for (std::size_t at = 0; at < buffer.size(); at += piece) {
      hasher.update(std::span(buffer).subspan(at, std::min(piece, buffer.size() - at)));
    }
    EXPECT_EQ(hasher.digest(), body_digest(buffer)) << piece;
    hasher.reset();
    EXPECT_EQ(hex(hasher.digest()), kXxhVectors[0].high_then_low);
  }
}

TEST(Hex, RoundTripsDigests) {
  const Sha256 digest = sha256("abc");
  ASSERT_TRUE(parse_sha256(hex(digest)));
  EXPECT_EQ(*parse_sha256(hex(digest)), digest);
  EXPECT_EQ(*parse_sha256("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
            digest);
  const BodyDigest body = body_digest(bytes("abc"));
  EXPECT_EQ(*parse_body_digest(hex(body)), body);
}

TEST(Hex, RefusesWhatIsNotADigest) {
  const std::string good = hex(sha256("abc"));
  EXPECT_EQ(parse_sha256("").error().code, errc::invalid_argument);
  EXPECT_FALSE(parse_sha256(good.substr(1)));
  EXPECT_FALSE(parse_sha256(good + "0"));
  EXPECT_FALSE(parse_sha256(good + "00"));
  for (const char bad : {'g', 'G', ' ', '-', '\0', '\xff', '/', ':', '@', '`'}) {
    std::string text = good;
    text[63] = bad;
    EXPECT_FALSE(parse_sha256(text)) << int{bad};
    text = good;
    text[0] = bad;
    EXPECT_FALSE(parse_sha256(text)) << int{bad};
  }
  std::string text = good;
  text[9] = 'x';
  EXPECT_NE(parse_sha256(text).error().detail.find("character 10"), std::string::npos);
  EXPECT_FALSE(parse_body_digest(good));
}

TEST(Digest, FromBytesChecksTheLength) {
  const Sha256 digest = sha256("abc");
  EXPECT_EQ(*sha256_from_bytes(digest.bytes), digest);
  EXPECT_EQ(sha256_from_bytes(std::span(digest.bytes).first(31)).error().code,
            errc::malformed_message);
  EXPECT_FALSE(sha256_from_bytes({}));
  EXPECT_EQ(*body_digest_from_bytes(std::span(digest.bytes).first(16)),
            *parse_body_digest("ba7816bf8f01cfea414140de5dae2223"));
  EXPECT_FALSE(body_digest_from_bytes(std::span(digest.bytes).first(17)));
}

TEST(Base64Url, MatchesRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg"},
                                                         {"fo", "Zm8"},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg"},
                                                         {"fooba", "Zm9vYmE"},
                                                         {"foobar", "Zm9vYmFy"},
                                                         {"\xfb\xff", "-_8"}};
  for (const auto& [plain, coded] : vectors) {
    EXPECT_EQ(base64url_encode(bytes(plain)), coded);
    const auto decoded = base64url_decode(coded);
    ASSERT_TRUE(decoded) << coded;
    EXPECT_TRUE(equal_secrets(*decoded, bytes(plain))) << coded;
  }
}

TEST(Base64Url, RefusesOtherSpellings) {
  for (const char* text :
       {"Zg==", "Zg=", "Zm9v\n", " Zm9v", "Zm+v", "Zm/v", "Z", "Zm9vY", "Zm9\xc3"}) {
    EXPECT_EQ(base64url_decode(text).error().code, errc::invalid_argument) << text;
  }
  // "Zh" and "Zm9" carry bits beyond the last byte: other texts for the values of "Zg" and "Zm8".
  EXPECT_FALSE(base64url_decode("Zh"));
  EXPECT_FALSE(base64url_decode("Zm9"));
}

TEST(EqualSecrets, ComparesLengthAndContent) {
  EXPECT_TRUE(equal_secrets(bytes("token"), bytes("token")));
  EXPECT_TRUE(equal_secrets({}, {}));
  EXPECT_FALSE(equal_secrets(bytes("token"), bytes("tokeN")));
  EXPECT_FALSE(equal_secrets(bytes("token"), bytes("Token")));
  EXPECT_FALSE(equal_secrets(bytes("token"), bytes("toke")));
}

TEST(RandomBytes, AreDifferentEachTime) {
  std::set<std::vector<std::byte>> seen;
  for (int i = 0; i < 64; ++i) {
    auto data = random_bytes(16);
    ASSERT_TRUE(data);
    ASSERT_EQ(data->size(), 16U);
    EXPECT_TRUE(seen.insert(*data).second);
  }
  EXPECT_TRUE(random_bytes(0)->empty());
}

}  // namespace
}  // namespace chorus
