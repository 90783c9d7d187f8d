#include "server/strategy/mean_step.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "chorus/kernels/kernels.hpp"

namespace chorus::server {

void step_along_mean(const Lane& lane, std::uint64_t first, double rate, std::span<float> x) {
  constexpr std::size_t kPiece = 2048;
  std::array<float, kPiece> buffer;
  for (std::size_t at = 0; at < x.size(); at += kPiece) {
    const auto piece = x.subspan(at, std::min(kPiece, x.size() - at));
    const auto mean = std::span(buffer).first(piece.size());
    lane.mean(first + at, mean);
    kernels::add_scaled_f32(piece, rate, mean, piece);
  }
}

}  // namespace chorus::server
