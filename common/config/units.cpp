#include "common/config/units.hpp"

#include <array>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace chorus::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Largest first: formatting takes the first that fits.
constexpr std::array<Unit, 5> kTimes{
    {{"d", 86'400'000U}, {"h", 3'600'000U}, {"m", 60'000U}, {"s", 1'000U}, {"ms", 1U}}};
constexpr std::array<Unit, 5> kSizes{{{"TiB", 1ULL << 40U},
                                      {"GiB", 1ULL << 30U},
                                      {"MiB", 1ULL << 20U},
                                      {"KiB", 1ULL << 10U},
                                      {"B", 1U}}};
constexpr std::array<Unit, 4> kDecimalSizes{
    {{"TB", 1'000'000'000'000U}, {"GB", 1'000'000'000U}, {"MB", 1'000'000U}, {"kB", 1'000U}}};
constexpr std::uint64_t kDurationMax = 10'000ULL * 86'400'000ULL;
constexpr std::uint64_t kSizeMax = 1ULL << 62U;

template <std::size_t N>
const Unit* find_unit(const std::array<Unit, N>& units, std::string_view name) noexcept {
  for (const auto& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

// Takes "12" or "1.5" off the front of `text`, times `1`; digits after the point at most 6.
struct Decimal {
  std::uint64_t millionths = 0;
};

std::optional<Decimal> take_decimal(std::string_view& text) noexcept {
  std::uint64_t whole = 0;
  std::size_t digits = 0;
  while (!text.empty() && is_digit(text.front())) {
    if (++digits > 13) return std::nullopt;
    whole = whole * 10 + static_cast<std::uint64_t>(text.front() - '0');
    text.remove_prefix(1);
  }
  if (digits == 0) return std::nullopt;
  std::uint64_t fraction = 0;
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    std::uint64_t place = 100'000;
    if (text.empty() || !is_digit(text.front())) return std::nullopt;
    while (!text.empty() && is_digit(text.front())) {
      if (place == 0) return std::nullopt;
      fraction += place * static_cast<std::uint64_t>(text.front() - '0');
      place /= 10;
      text.remove_prefix(1);
    }
  }
  if (whole > std::numeric_limits<std::uint64_t>::max() / 1'000'000U - 1) return std::nullopt;
  return Decimal{whole * 1'000'000U + fraction};
}

// decimal * factor, when that is whole and at most `max`.
std::optional<std::uint64_t> times(Decimal decimal,
                                   std::uint64_t factor,
                                   std::uint64_t max) noexcept {
  const auto whole = decimal.millionths / 1'000'000U;
  const auto fraction = decimal.millionths % 1'000'000U;
  if (whole > max / factor) return std::nullopt;
  // fraction < 10^6 and factor <= 2^40: the product stays below 2^60.
  if ((fraction * factor) % 1'000'000U != 0) return std::nullopt;
  const auto value = whole * factor + fraction * factor / 1'000'000U;
  return value <= max ? std::optional(value) : std::nullopt;
}

std::string_view take_letters(std::string_view& text) noexcept {
  std::size_t n = 0;
  while (n < text.size() && !is_digit(text[n])) ++n;
  const auto letters = text.substr(0, n);
  text.remove_prefix(n);
  return letters;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  std::uint64_t total = 0;
  std::uint64_t smaller_than = kDurationMax;
  while (!text.empty()) {
    const auto amount = take_decimal(text);
    if (!amount) return std::nullopt;
    const auto* unit = find_unit(kTimes, take_letters(text));
    if (unit == nullptr || unit->factor >= smaller_than) return std::nullopt;
    smaller_than = unit->factor;
    const auto part = times(*amount, unit->factor, kDurationMax - total);
    if (!part) return std::nullopt;
    total += *part;
  }
  return Duration(static_cast<Duration::rep>(total));
}

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  const auto amount = take_decimal(text);
  if (!amount) return std::nullopt;
  const auto* unit = text.empty() ? &kSizes.back() : find_unit(kSizes, text);
  if (unit == nullptr) unit = find_unit(kDecimalSizes, text);
  if (unit == nullptr) return std::nullopt;
  return times(*amount, unit->factor, kSizeMax);
}

std::string format_duration(Duration duration) {
  if (duration.count() <= 0) return "0s";
  auto rest = static_cast<std::uint64_t>(duration.count());
  std::string text;
  for (const auto& unit : kTimes) {
    if (rest / unit.factor == 0) continue;
    text += fmt::format("{}{}", rest / unit.factor, unit.name);
    rest %= unit.factor;
  }
  return text;
}

std::string format_size(std::uint64_t bytes) {
  for (const auto& unit : kSizes) {
    if (bytes != 0 && bytes % unit.factor == 0) {
      return fmt::format("{}{}", bytes / unit.factor, unit.name);
    }
  }
  return "0B";
}

}  // namespace chorus::config
