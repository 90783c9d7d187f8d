#include "server/robust/coded_updates.hpp"

#include <algorithm>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::server {
namespace {

using codec::Piece;

class CodedUpdates final : public UpdateSet {
 public:
  CodedUpdates(std::shared_ptr<const codec::UpdateForm> form, std::vector<UpdateBody> bodies)
      : form_(std::move(form)), bodies_(std::move(bodies)) {}

  std::size_t updates() const override { return bodies_.size(); }
  std::uint64_t parameters() const override { return form_->parameters(); }
  bool coded() const override { return true; }

  UpdateRun run(std::uint64_t first) const override {
    const auto pieces = form_->pieces();
    const std::size_t p = piece_behind(first);
    if (p == pieces.size()) return {parameters() - first, false};
    if (first < pieces[p].first) return {pieces[p].first - first, false};
    return {pieces[p].first + pieces[p].count - first, true};
  }

  Result<void> read(std::size_t update, std::uint64_t first, std::span<float> into) const override {
    CHORUS_ASSERT(update < bodies_.size() && first <= parameters() &&
                  into.size() <= parameters() - first);
    const auto pieces = form_->pieces();
    std::size_t p = piece_behind(first);
    while (!into.empty()) {
      const UpdateRun next = run(first);
      const auto part =
          into.first(static_cast<std::size_t>(std::min<std::uint64_t>(next.count, into.size())));
      if (next.sent) {
        CHORUS_OK(decode(bodies_[update], p, first - pieces[p].first, part));
        ++p;
      } else {
        std::fill(part.begin(), part.end(), 0.0F);
      }
      first += part.size();
      into = into.subspan(part.size());
    }
    return {};
  }

 private:
  /// The first piece that ends behind a parameter.
  std::size_t piece_behind(std::uint64_t parameter) const {
    const auto pieces = form_->pieces();
    const auto behind = [](std::uint64_t at, const Piece& piece) {
      return at < piece.first + piece.count;
    };
    return static_cast<std::size_t>(
        std::upper_bound(pieces.begin(), pieces.end(), parameter, behind) - pieces.begin());
  }

  // As a whole: buckets have random numbers of their own by their place in the piece, sparse
  // elements and entropy codes come one after the other.
  Result<void> decode(const UpdateBody& body,
                      std::size_t p,
                      std::uint64_t from,
                      std::span<float> into) const {
    const Piece& piece = form_->pieces()[p];
    if (piece.codec.kind == CodecKind::f32 && !piece.codec.entropy) {
      return body.read(p, from * sizeof(float), std::as_writable_bytes(into));
    }
    std::vector<std::byte> payload(static_cast<std::size_t>(body.bytes(p)));
    CHORUS_OK(body.read(p, 0, payload));
    const codec::Method& method = codec::method_of(piece.codec);
    if (into.size() == piece.count) {
      method.decode(piece.codec, payload, form_->keys(p), into);
      return {};
    }
    std::vector<float> whole(static_cast<std::size_t>(piece.count));
    method.decode(piece.codec, payload, form_->keys(p), whole);
    std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(from), into.size(), into.begin());
    return {};
  }

  std::shared_ptr<const codec::UpdateForm> form_;
  std::vector<UpdateBody> bodies_;
};

}  // namespace

std::unique_ptr<UpdateSet> coded_updates(std::shared_ptr<const codec::UpdateForm> form,
                                         std::vector<UpdateBody> bodies) {
  CHORUS_ASSERT(form->compressed());
  return std::make_unique<CodedUpdates>(std::move(form), std::move(bodies));
}

Result<std::unique_ptr<UpdateSet>> updates_of_form(
    std::shared_ptr<const codec::UpdateForm> form,
    std::vector<std::shared_ptr<const UpdateReader>> bodies) {
  if (!form->compressed()) return staged_updates(std::move(bodies), form->parameters());
  std::vector<UpdateBody> coded;
  for (auto& reader : bodies) {
    CHORUS_TRY(auto body, UpdateBody::open(std::move(reader), *form));
    coded.push_back(std::move(body));
  }
  return coded_updates(std::move(form), std::move(coded));
}

}  // namespace chorus::server
