#include "server/compress/round_basis.hpp"

#include <vector>

namespace chorus::server {

codec::Basis basis_after(const Lane& lane) {
  codec::Basis basis;
  const auto pieces = lane.form().pieces();
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    const codec::Piece& piece = pieces[p];
    if (codec::basis_elements(piece.codec, piece.count) == 0) continue;
    basis.shares_rows = !piece.codec.shares_rows;
    const std::vector<float> own =
        codec::next_basis(piece.codec, piece.count, lane.piece_mean(p), lane.form().keys(p).round);
    basis.values.insert(basis.values.end(), own.begin(), own.end());
  }
  return basis;
}

}  // namespace chorus::server
