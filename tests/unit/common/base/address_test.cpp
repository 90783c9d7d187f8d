#include "common/base/address.hpp"

#include <gmock/gmock.h>

namespace chorus {
namespace {

using testing::HasSubstr;

TEST(Address, ReadsNamesAndNumbers) {
  EXPECT_EQ(parse_address("fed.example.org:7440").value(), (Address{"fed.example.org", 7440}));
  EXPECT_EQ(parse_address("127.0.0.1:0").value(), (Address{"127.0.0.1", 0}));
  EXPECT_EQ(parse_address("[::1]:65535").value(), (Address{"::1", 65535}));
}

TEST(Address, RoundTrips) {
  for (const auto* text : {"a:1",
                           "localhost:0",
                           "fl.example.org:4433",
                           "127.0.0.1:1",
                           "0.0.0.0:7440",
                           "[::1]:65535",
                           "[fe80::1%eth0]:2"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_string(*address), text);
  }
}

TEST(Address, RefusesTheRest) {
  for (const std::string text :
       {"",      ":",     "a",       "a:",      ":1",      "a:65536",    "a:99999999999", "a:-1",
        "a:+1",  "a: 1",  "a:1 ",    "a:1x",    "a b:1",   "a:b:1",      "::1:7440",      "[]:1",
        "[a]:1", "[::1]", "[::1]80", "[::1:80", "::1]:80", "[[::1]]:80", "http://a:1"}) {
    const auto address = parse_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, errc::invalid_argument);
    EXPECT_THAT(address.error().detail, HasSubstr("'" + text + "'"));
    EXPECT_THAT(address.error().detail, HasSubstr("expected host:port"));
  }
}

TEST(Address, HostNamesAreAsLongAsTheSystemOfNamesAllows) {
  EXPECT_FALSE(parse_address(std::string(254, 'a') + ":1"));
  EXPECT_TRUE(parse_address(std::string(253, 'a') + ":1"));
}

}  // namespace
}  // namespace chorus
