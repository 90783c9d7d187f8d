// Forwards the kernels of rules over all updates to the variant in use; and the order in which
// columns are sorted.
#include <algorithm>
#include <array>

#include "chorus/kernels/robust.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/robust_table.hpp"

namespace chorus::kernels {
namespace {

const RobustTable& robust_table() noexcept {
  static constexpr std::array kTables{CHORUS_VARIANTS(RobustTable)};
  return *kTables[active_index()];
}

struct Merge {
  std::size_t runs;  // rows of each of the two sorted runs that are merged
  Exchange step;
};

// Runs of 1, 2, 4, … rows are merged in pairs, by steps that are runs, runs/2, …, 1 rows apart.
// Behind the last row one may think of rows of infinities, which every step leaves where they are.
std::vector<Merge> odd_even_merges(std::size_t rows) {
  std::vector<Merge> all;
  for (std::size_t runs = 1; runs < rows; runs *= 2) {
    for (std::size_t apart = runs; apart > 0; apart /= 2) {
      for (std::size_t first = apart % runs; first + apart < rows; first += 2 * apart) {
        for (std::size_t low = first; low < first + apart && low + apart < rows; ++low) {
          if (low / (2 * runs) != (low + apart) / (2 * runs)) continue;
          all.push_back(
              {runs, {static_cast<std::uint16_t>(low), static_cast<std::uint16_t>(low + apart)}});
        }
      }
    }
  }
  return all;
}

bool aligned(const void* p) noexcept {
  return reinterpret_cast<std::uintptr_t>(p) % 64 == 0;
}

RawRows raw(const Rows& x) noexcept {
  require(x.rows >= 1 && x.rows <= kRowsMax, "rows: 1 to kRowsMax");
  require(x.stride >= x.columns, "rows overlap");
  return {x.x, x.rows, x.columns, x.stride};
}

}  // namespace

ColumnOrder::ColumnOrder(std::size_t rows, std::size_t trim) : rows_(rows), trim_(trim) {
  require(rows >= 1 && rows <= kRowsMax, "ColumnOrder: 1 to kRowsMax rows");
  require(2 * trim < rows, "ColumnOrder: nothing is left");
  const std::vector<Merge> all = odd_even_merges(rows);
  const std::size_t in_blocks = rows / kRowBlock * kRowBlock;
  std::vector<bool> wanted(rows, false);
  for (std::size_t row = trim; row < rows - trim; ++row) wanted[row] = true;
  for (std::size_t at = all.size(); at-- > 0;) {
    const auto [low, high] = all[at].step;
    if (!wanted[low] && !wanted[high]) continue;
    wanted[low] = wanted[high] = true;
    if (all[at].runs >= kRowBlock || high >= in_blocks) exchanges_.push_back(all[at].step);
  }
  std::reverse(exchanges_.begin(), exchanges_.end());
}

std::size_t ColumnOrder::scratch_floats() const noexcept {
  return rows_ * kColumnsAside;
}

void trimmed_mean_f32(const Rows& x,
                      const ColumnOrder& order,
                      std::span<float> scratch,
                      std::span<float> mean) noexcept {
  require(x.rows == order.rows() && mean.size() == x.columns, "trimmed_mean_f32: sizes differ");
  require(scratch.size() == order.scratch_floats() && aligned(scratch.data()),
          "trimmed_mean_f32: working memory");
  static_assert(sizeof(Exchange) == sizeof(RawExchange) && kRowBlock == kBlockRows);
  const auto* const exchanges = reinterpret_cast<const RawExchange*>(order.exchanges().data());
  robust_table().trimmed_mean(
      raw(x), {exchanges, order.exchanges().size(), order.trim()}, scratch.data(), mean.data());
}

void gram_add_f32(const Rows& x, std::span<double> scratch, std::span<double> sums) noexcept {
  require(scratch.size() == x.rows * kGramScratch && aligned(scratch.data()),
          "gram_add_f32: working memory");
  require(sums.size() == gram_doubles(x.rows) && aligned(sums.data()), "gram_add_f32: sums");
  robust_table().gram_add(raw(x), scratch.data(), sums.data());
}

void gram_finish(std::size_t rows, std::span<double> sums, std::span<double> gram) noexcept {
  require(sums.size() == gram_doubles(rows) && gram.size() == rows * rows, "gram_finish: sizes");
  double* lanes = sums.data();
  for (std::size_t a = 0; a < rows; ++a) {
    for (std::size_t b = 0; b <= a; ++b, lanes += kGramLanes) {
      for (std::size_t half = kGramLanes / 2; half > 0; half /= 2) {
        for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
      }
      gram[a * rows + b] += lanes[0];
      if (a != b) gram[b * rows + a] = gram[a * rows + b];
      for (std::size_t lane = 0; lane < kGramLanes; ++lane) lanes[lane] = 0.0;
    }
  }
}

}  // namespace chorus::kernels
