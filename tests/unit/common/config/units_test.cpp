#include "common/config/units.hpp"

#include <gtest/gtest.h>

namespace chorus::config {
namespace {

using namespace std::chrono_literals;

TEST(Units, ReadsDurations) {
  EXPECT_EQ(parse_duration("250ms"), Duration(250));
  EXPECT_EQ(parse_duration("30s"), Duration(30s));
  EXPECT_EQ(parse_duration("5m"), Duration(5min));
  EXPECT_EQ(parse_duration("1h30m"), Duration(90min));
  EXPECT_EQ(parse_duration("1.5s"), Duration(1500));
  EXPECT_EQ(parse_duration("2d"), Duration(48h));
  EXPECT_EQ(parse_duration("0s"), Duration(0));
  EXPECT_EQ(parse_duration("10000d"), Duration(24h * 10'000));
}

TEST(Units, RefusesWhatIsNoDuration) {
  for (const auto* text :
       {"",     "30",   "s",    "-1s", "+1s", " 1s",        "1 s",   "1s ",    "1x",
        "1S",   "1m1h", "1s1s", "1.s", ".5s", "1.0000001s", "0.5ms", "10001d", "99999999999999s",
        "1e3s", "1,5s", "1s-",  "∞"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(Units, ReadsSizes) {
  EXPECT_EQ(parse_size("512"), 512U);
  EXPECT_EQ(parse_size("512B"), 512U);
  EXPECT_EQ(parse_size("64KiB"), 64U << 10U);
  EXPECT_EQ(parse_size("64MiB"), 64U << 20U);
  EXPECT_EQ(parse_size("1.5GiB"), 1536ULL << 20U);
  EXPECT_EQ(parse_size("2TiB"), 2ULL << 40U);
  EXPECT_EQ(parse_size("3MB"), 3'000'000U);
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("4194304TiB"), 1ULL << 62U);
}

TEST(Units, RefusesWhatIsNoSize) {
  for (const auto* text : {"",
                           "MiB",
                           "-1MiB",
                           "1 MiB",
                           "1mib",
                           "1MiB ",
                           "1.B",
                           "0.5B",
                           "1.1KiB",
                           "4194305TiB",
                           "99999999999999",
                           "1MiB2KiB",
                           "1PiB",
                           "0x10"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(Units, WhatIsWrittenReadsBackTheSame) {
  for (const std::int64_t ms : {0LL, 1LL, 999LL, 1000LL, 61'001LL, 86'400'000LL, 90'061'001LL}) {
    EXPECT_EQ(parse_duration(format_duration(Duration(ms))), Duration(ms)) << ms;
  }
  for (const std::uint64_t bytes : {0ULL, 1ULL, 1000ULL, 1024ULL, 1ULL << 33U, (1ULL << 33U) + 1}) {
    EXPECT_EQ(parse_size(format_size(bytes)), bytes) << bytes;
  }
  EXPECT_EQ(format_duration(Duration(5'400'000)), "1h30m");
  EXPECT_EQ(format_size(64U << 20U), "64MiB");
}

}  // namespace
}  // namespace chorus::config
