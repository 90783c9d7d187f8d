#include "common/config/suggest.hpp"

#include <algorithm>
#include <vector>

namespace chorus::config {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> cells((a.size() + 1) * width);
  const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& {
    return cells[i * width + j];
  };
  for (std::size_t i = 0; i <= a.size(); ++i) at(i, 0) = i;
  for (std::size_t j = 0; j <= b.size(); ++j) at(0, j) = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = a[i - 1] == b[j - 1] ? 0U : 1U;
      auto best = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + changed});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        best = std::min(best, at(i - 2, j - 2) + 1);
      }
      at(i, j) = best;
    }
  }
  return cells.back();
}

std::string_view nearest(std::string_view wrong, std::span<const std::string_view> known) {
  constexpr std::size_t kWordBytesMax = 64;  // the distance is quadratic: long words are not typos
  if (wrong.size() > kWordBytesMax) return {};
  std::string_view best;
  std::size_t best_distance = 4;
  for (const auto word : known) {
    const auto allowed = std::clamp<std::size_t>(word.size() / 3, 1, 3);
    const auto distance = edit_distance(wrong, word);
    if (distance <= allowed && distance < best_distance) {
      best = word;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view wrong, std::span<const std::string_view> known) {
  const auto word = nearest(wrong, known);
  return word.empty() ? std::string() : "; did you mean '" + std::string(word) + "'?";
}

}  // namespace chorus::config
