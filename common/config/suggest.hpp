// "did you mean …?": the known word nearest to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace chorus::config {

/// Number of single-letter insertions, deletions, replacements and swaps of neighbours between two
/// words (restricted Damerau-Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The nearest of `known` when it is near enough to be meant (a third of its length, at least one
/// letter, at most three), else empty. Ties go to the first.
std::string_view nearest(std::string_view wrong, std::span<const std::string_view> known);

/// "; did you mean 'cohort'?" or "".
std::string did_you_mean(std::string_view wrong, std::span<const std::string_view> known);

}  // namespace chorus::config
