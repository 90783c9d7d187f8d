// Numbers, times and tables as people read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chorus::admin {

/// "0 B", "999 B", "1.2 kB", "548 kB", "6.7 MB": decimal units, three digits at most.
std::string human_bytes(std::uint64_t bytes);
/// "1,663,370".
std::string human_count(std::uint64_t count);
/// "840", "235 k", "2.3 M", "41 G": operations, three digits at most.
std::string human_flops(double flops);
/// "0.42 s", "12.3 s", "2 min 05 s", "3 h 20 min", "12 days".
std::string human_time(double seconds);
/// "2026-11-22 14:03:07" in the local time zone; "never" for 0.
std::string human_instant(std::int64_t milliseconds);
/// "in 3 h 20 min", "2 min 05 s ago"; "never" for 0.
std::string human_distance(std::int64_t milliseconds, std::int64_t now_milliseconds);
/// The first twelve digits of a digest; "–" when there is none.
std::string short_digest(std::string_view hex);
/// "0.9312", "–" for a number that is not there (NaN).
std::string human_metric(double value);

/// `width` cells, `part` of them full: "█████░░░".
std::string bar(double part, unsigned width);

/// Columns that a terminal needs for a UTF-8 text without control characters.
std::size_t columns_of(std::string_view text) noexcept;
/// At most `width` columns of it, ending in "…" if something is missing.
std::string cut(std::string_view text, std::size_t width);
/// Control characters (of names and details that came from elsewhere) replaced: a terminal must not
/// obey them.
std::string printable(std::string_view text);

/// Rows under a head, columns aligned; numbers to the right.
class Table {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// @pre as many cells as columns
  void add(std::vector<std::string> cells);
  /// A line across, before what is added next.
  void rule() { rules_.push_back(rows_.size()); }
  bool empty() const noexcept { return rows_.empty(); }
  /// Without trailing blanks.
  std::vector<std::string> lines() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> rules_;  // before which rows
};

}  // namespace chorus::admin
