#include "server/update/update_body.hpp"

#include <algorithm>
#include <utility>

#include "common/base/try.hpp"
#include "common/codec/update.hpp"

namespace chorus::server {

Result<UpdateBody> UpdateBody::open(std::shared_ptr<const UpdateReader> reader,
                                    const codec::UpdateForm& form) {
  std::vector<std::byte> table(
      static_cast<std::size_t>(std::min(form.table_bytes(), reader->bytes())));
  if (!table.empty()) CHORUS_OK(reader->read(0, table));
  CHORUS_TRY(auto offsets, form.offsets(table, reader->bytes()));
  return UpdateBody(std::move(reader), std::move(offsets));
}

Result<void> check_payloads(const UpdateBody& body,
                            const codec::UpdateForm& form,
                            float value_max) {
  std::vector<std::byte> payload;
  for (std::size_t p = 0; p < form.pieces().size(); ++p) {
    const codec::Piece& piece = form.pieces()[p];
    payload.resize(static_cast<std::size_t>(body.bytes(p)));
    CHORUS_OK(body.read(p, 0, payload));
    const auto good =
        codec::method_of(piece.codec).check(piece.codec, piece.count, payload, value_max);
    if (!good) return codec::in_piece(piece, good.error());
  }
  return {};
}

}  // namespace chorus::server
