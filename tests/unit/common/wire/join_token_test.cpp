#include "common/wire/join_token.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/base/rng.hpp"
#include "tests/support/messages.hpp"

namespace chorus::wire {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

JoinToken some_token() {
  return {"example.org:7443", test::sha256_of_byte(0xA5), "s3cr3t"};
}

void expect_invalid(std::string_view text, const std::string& words) {
  const auto token = parse_join_token(text);
  ASSERT_FALSE(token) << text;
  EXPECT_EQ(token.error().code, errc::token_invalid);
  EXPECT_THAT(token.error().detail, HasSubstr(words));
}

TEST(JoinToken, RoundTrips) {
  const auto text = encode_join_token(some_token()).value();
  EXPECT_THAT(text, StartsWith("chorus-join-1."));
  EXPECT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789-_."),
            std::string::npos);
  EXPECT_EQ(parse_join_token(text).value(), some_token());
  EXPECT_EQ(parse_join_token("  " + text + "\r\n").value(), some_token());
}

TEST(JoinToken, RoundTripsEveryLength) {
  for (std::size_t n = 1; n <= limits::kTokenBytesMax; ++n) {
    JoinToken token = some_token();
    token.secret = std::string(n, static_cast<char>(n));
    token.server = std::string(1 + n % 255, 'h');
    EXPECT_EQ(parse_join_token(encode_join_token(token).value()).value(), token) << n;
  }
}

TEST(JoinToken, RefusesToEncodeWhatItCannotHold) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{256}}) {
    JoinToken token = some_token();
    token.server = std::string(bytes, 'h');
    EXPECT_EQ(encode_join_token(token).error().code, errc::invalid_argument);
  }
  for (const std::size_t bytes : {std::size_t{0}, limits::kTokenBytesMax + 1}) {
    JoinToken token = some_token();
    token.secret = std::string(bytes, 's');
    EXPECT_EQ(encode_join_token(token).error().code, errc::invalid_argument);
  }
}

TEST(JoinToken, SaysWhatIsWrongWithOther) {
  expect_invalid("", "does not begin with");
  expect_invalid("hello", "does not begin with");
  expect_invalid("chorus-join-2.AAAA", "version");
  expect_invalid("chorus-join-1.", "damaged");
  expect_invalid("chorus-join-1.A!", "damaged");
  expect_invalid(std::string("chorus-join-1.") + std::string(80, 'A'), "checksum");
}

TEST(JoinToken, NoticesEveryCutAndEveryChangedCharacter) {
  const auto text = encode_join_token(some_token()).value();
  for (std::size_t n = 0; n < text.size(); ++n) {
    EXPECT_FALSE(parse_join_token(std::string_view(text).substr(0, n))) << n;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'B' ? 'C' : 'B';
    EXPECT_FALSE(parse_join_token(changed)) << i;
  }
}

TEST(JoinToken, SurvivesRandomText) {
  Rng rng(5);
  for (int run = 0; run < 10'000; ++run) {
    std::string text = "chorus-join-1.";
    const auto length = rng.below(200);
    for (std::uint64_t i = 0; i < length; ++i) text += static_cast<char>(rng.next_u32());
    EXPECT_FALSE(parse_join_token(text));
  }
}

}  // namespace
}  // namespace chorus::wire
