#include "common/config/value_rules.hpp"

#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace chorus::config {

std::string range_text(const WholeRule& rule) {
  constexpr auto kNoMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (rule.max >= kNoMax) return fmt::format("a whole number of at least {}", rule.min);
  return fmt::format("a whole number from {} to {}", rule.min, rule.max);
}

std::string range_text(const NumberRule& rule) {
  const bool low = rule.min > std::numeric_limits<double>::lowest();
  const bool high = rule.max < std::numeric_limits<double>::max();
  if (low && high) {
    return fmt::format("a number in {}{}, {}{}",
                       rule.min_excluded ? '(' : '[',
                       rule.min,
                       rule.max,
                       rule.max_excluded ? ')' : ']');
  }
  if (low)
    return fmt::format("a number {} {}", rule.min_excluded ? "above" : "of at least", rule.min);
  if (high)
    return fmt::format("a number {} {}", rule.max_excluded ? "below" : "of at most", rule.max);
  return "a number";
}

bool within(double value, const NumberRule& rule) {
  if (!std::isfinite(value)) return false;
  if (rule.min_excluded ? value <= rule.min : value < rule.min) return false;
  return rule.max_excluded ? value < rule.max : value <= rule.max;
}

}  // namespace chorus::config
