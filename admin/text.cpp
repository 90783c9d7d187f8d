#include "admin/text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <fmt/format.h>

#include "common/base/assert.hpp"

namespace chorus::admin {
namespace {

bool is_continuation(char c) noexcept {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

// A blank cell at the right end would only make lines longer.
std::string without_trailing_blanks(std::string text) {
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits{"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes) / 1000.0;
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  if (value < 9.95) return fmt::format("{:.1f} {}", value, kUnits[unit]);
  return fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string human_flops(double flops) {
  constexpr std::array<std::string_view, 7> kUnits{"", " k", " M", " G", " T", " P", " E"};
  std::size_t unit = 0;
  while (flops >= 999.5 && unit + 1 < kUnits.size()) {
    flops /= 1000.0;
    ++unit;
  }
  if (unit > 0 && flops < 9.95) return fmt::format("{:.1f}{}", flops, kUnits[unit]);
  return fmt::format("{:.0f}{}", flops, kUnits[unit]);
}

std::string human_count(std::uint64_t count) {
  auto digits = std::to_string(count);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

std::string human_time(double seconds) {
  if (!(seconds >= 0.0)) return "–";
  if (seconds < 9.995) return fmt::format("{:.2f} s", seconds);
  if (seconds < 99.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds + 0.5);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  if (whole < 48 * 3600) return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
  return fmt::format("{} days", whole / 86'400);
}

std::string human_instant(std::int64_t milliseconds) {
  if (milliseconds == 0) return "never";
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return "–";
  std::array<char, 32> text{};
  const auto length = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return {text.data(), length};
}

std::string human_distance(std::int64_t milliseconds, std::int64_t now_milliseconds) {
  if (milliseconds == 0) return "never";
  const auto distance = static_cast<double>(milliseconds - now_milliseconds) / 1000.0;
  return distance >= 0 ? "in " + human_time(distance) : human_time(-distance) + " ago";
}

std::string short_digest(std::string_view hex) {
  return hex.empty() ? "–" : std::string(hex.substr(0, 12));
}

std::string human_metric(double value) {
  return std::isnan(value) ? "–" : fmt::format("{:.4f}", value);
}

std::string bar(double part, unsigned width) {
  const double bounded = part >= 0.0 ? std::min(part, 1.0) : 0.0;
  const auto full = static_cast<unsigned>(std::lround(bounded * width));
  std::string text;
  for (unsigned i = 0; i < width; ++i) text += i < full ? "█" : "░";
  return text;
}

std::size_t columns_of(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

std::string cut(std::string_view text, std::size_t width) {
  if (columns_of(text) <= width) return std::string(text);
  if (width == 0) return "";
  std::size_t at = 0;
  for (std::size_t columns = 0; at < text.size(); ++at) {
    if (is_continuation(text[at])) continue;
    if (++columns == width) break;
  }
  return std::string(text.substr(0, at)) + "…";
}

std::string printable(std::string_view text) {
  std::string clean(text);
  for (auto& c : clean) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20U && c != '\n') || byte == 0x7FU) c = '?';
  }
  // C1 controls are two bytes in UTF-8: C2 80 … C2 9F.
  for (std::size_t i = 0; i + 1 < clean.size(); ++i) {
    const auto next = static_cast<unsigned char>(clean[i + 1]);
    if (static_cast<unsigned char>(clean[i]) == 0xC2U && next < 0xA0U) clean.replace(i, 2, "?");
  }
  return clean;
}

void Table::add(std::vector<std::string> cells) {
  CHORUS_ASSERT(cells.size() == columns_.size());
  for (auto& cell : cells) {
    cell = printable(cell);
    std::replace(cell.begin(), cell.end(), '\n', ' ');
  }
  rows_.push_back(std::move(cells));
}

std::vector<std::string> Table::lines() const {
  std::vector<std::size_t> widths;
  for (const auto& column : columns_) widths.push_back(columns_of(column.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], columns_of(row[i]));
    }
  }
  const auto line_of = [&](const auto& cell_at) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string& cell = cell_at(i);
      const std::string blanks(widths[i] - columns_of(cell), ' ');
      if (i != 0) line += "  ";
      line += columns_[i].align == Align::right ? blanks + cell : cell + blanks;
    }
    return without_trailing_blanks(std::move(line));
  };
  std::vector<std::string> all;
  all.push_back(line_of([&](std::size_t i) -> const std::string& { return columns_[i].title; }));
  std::size_t across = 2 * (widths.size() - 1);
  for (const std::size_t width : widths) across += width;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    if (std::find(rules_.begin(), rules_.end(), r) != rules_.end()) {
      std::string rule;
      for (std::size_t i = 0; i < across; ++i) rule += "─";
      all.push_back(std::move(rule));
    }
    all.push_back(line_of([&](std::size_t i) -> const std::string& { return rows_[r][i]; }));
  }
  return all;
}

}  // namespace chorus::admin
