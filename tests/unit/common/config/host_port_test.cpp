#include "common/config/host_port.hpp"

#include <gtest/gtest.h>

namespace chorus::config {
namespace {

TEST(HostPort, ReadsNamesAndAddresses) {
  EXPECT_EQ(parse_host_port("fed.example.org:7440").value(), (HostPort{"fed.example.org", 7440}));
  EXPECT_EQ(parse_host_port("127.0.0.1:0").value(), (HostPort{"127.0.0.1", 0}));
  EXPECT_EQ(parse_host_port("[::1]:65535").value(), (HostPort{"::1", 65535}));
  for (const auto* text : {"a:1", "[fe80::1%eth0]:2", "0.0.0.0:7440"}) {
    EXPECT_EQ(to_string(parse_host_port(text).value()), text);
  }
}

TEST(HostPort, RefusesTheRest) {
  for (const std::string text : {"",
                                 ":",
                                 "a",
                                 "a:",
                                 ":1",
                                 "a:65536",
                                 "a:-1",
                                 "a:+1",
                                 "a: 1",
                                 "a:1 ",
                                 "a b:1",
                                 "::1:7440",
                                 "[]:1",
                                 "[::1]",
                                 "a:1x",
                                 "http://a:1"}) {
    const auto address = parse_host_port(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, errc::invalid_argument);
  }
  EXPECT_FALSE(parse_host_port(std::string(254, 'a') + ":1"));
  EXPECT_TRUE(parse_host_port(std::string(253, 'a') + ":1"));
}

}  // namespace
}  // namespace chorus::config
