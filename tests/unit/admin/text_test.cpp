#include "admin/text.hpp"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace chorus::admin {
namespace {

TEST(Text, Flops) {
  EXPECT_EQ(human_flops(0), "0");
  EXPECT_EQ(human_flops(999), "999");
  EXPECT_EQ(human_flops(1'264), "1.3 k");
  EXPECT_EQ(human_flops(235'200), "235 k");
  EXPECT_EQ(human_flops(999'600), "1.0 M");
  EXPECT_EQ(human_flops(2.54e8), "254 M");
  EXPECT_EQ(human_flops(4.1e10), "41 G");
}

TEST(Text, Bytes) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1.0 kB");
  EXPECT_EQ(human_bytes(9'949), "9.9 kB");
  EXPECT_EQ(human_bytes(9'951), "10 kB");
  EXPECT_EQ(human_bytes(548'240), "548 kB");
  EXPECT_EQ(human_bytes(999'499), "999 kB");
  EXPECT_EQ(human_bytes(999'501), "1.0 MB");
  EXPECT_EQ(human_bytes(6'653'480), "6.7 MB");
  EXPECT_EQ(human_bytes(std::numeric_limits<std::uint64_t>::max()), "18 EB");
}

TEST(Text, Counts) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1000), "1,000");
  EXPECT_EQ(human_count(1'663'370), "1,663,370");
  EXPECT_EQ(human_count(123'456), "123,456");
}

TEST(Text, Times) {
  EXPECT_EQ(human_time(0.0), "0.00 s");
  EXPECT_EQ(human_time(9.99), "9.99 s");
  EXPECT_EQ(human_time(9.999), "10.0 s");
  EXPECT_EQ(human_time(99.96), "1 min 40 s");
  EXPECT_EQ(human_time(125), "2 min 05 s");
  EXPECT_EQ(human_time(12'000), "3 h 20 min");
  EXPECT_EQ(human_time(48 * 3600), "2 days");
  EXPECT_EQ(human_time(-1), "–");
  EXPECT_EQ(human_time(std::nan("")), "–");
  EXPECT_EQ(human_distance(126'000, 1'000), "in 2 min 05 s");
  EXPECT_EQ(human_distance(1'000, 3'500), "2.50 s ago");
  EXPECT_EQ(human_distance(0, 3'500), "never");
  EXPECT_EQ(human_instant(0), "never");
  EXPECT_EQ(human_instant(1'700'000'000'000).size(), 19U);
}

TEST(Text, MetricsAndDigests) {
  EXPECT_EQ(human_metric(0.93125), "0.9313");
  EXPECT_EQ(human_metric(std::nan("")), "–");
  EXPECT_EQ(short_digest(""), "–");
  EXPECT_EQ(short_digest("0123456789abcdef"), "0123456789ab");
}

TEST(Text, BarsStayWithinTheirWidth) {
  EXPECT_EQ(bar(0.0, 4), "░░░░");
  EXPECT_EQ(bar(0.5, 4), "██░░");
  EXPECT_EQ(bar(1.0, 4), "████");
  EXPECT_EQ(bar(7.0, 4), "████");
  EXPECT_EQ(bar(-1.0, 4), "░░░░");
  EXPECT_EQ(bar(std::nan(""), 4), "░░░░");
}

TEST(Text, CutsByColumnsNotBytes) {
  EXPECT_EQ(columns_of("äöü█"), 4U);
  EXPECT_EQ(cut("abc", 3), "abc");
  EXPECT_EQ(cut("abcd", 3), "ab…");
  EXPECT_EQ(cut("äöüß", 3), "äö…");
  EXPECT_EQ(cut("abc", 0), "");
  EXPECT_EQ(cut("", 0), "");
}

TEST(Text, ATerminalIsNotObeyed) {
  EXPECT_EQ(printable("a\x1b[2Jb\tc\x7f"), "a?[2Jb?c?");
  EXPECT_EQ(printable("two\nlines"), "two\nlines");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "?31m");
  EXPECT_EQ(printable("grün"), "grün");
}

TEST(Table, AlignsColumns) {
  using enum Table::Align;
  Table table({{"name", left}, {"count", right}, {"", left}});
  table.add({"ä", "7", "x"});
  table.add({"longer", "12345678", ""});
  EXPECT_EQ(table.lines(),
            (std::vector<std::string>{
                "name       count",
                "ä              7  x",
                "longer  12345678",
            }));
}

TEST(Table, KeepsRowsOnOneLine) {
  Table table({{"a"}});
  table.add({"one\ntwo\x1b"});
  EXPECT_EQ(table.lines().back(), "one two?");
}

}  // namespace
}  // namespace chorus::admin
