#include "common/codec/update_form.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/rng.hpp"
#include "common/base/try.hpp"
#include "common/codec/basis.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/methods.hpp"
#include "common/codec/names.hpp"
#include "common/tensor/tensor_selection.hpp"

namespace chorus::codec {
namespace {

constexpr std::uint64_t kTableHead = 8;

static_assert(UpdateForm::kPieceElements % limits::kCodecBucketMax == 0);

std::uint64_t key_of(std::uint64_t seed, std::string_view what, std::size_t piece) {
  const std::string number = std::to_string(piece);
  const std::array<std::string_view, 2> parts{what, number};
  return stream_key(seed, parts);
}

/// The codec of every tensor.
Result<std::vector<Codec>> codecs_of(const Compression& compression,
                                     const TensorLayout& layout,
                                     bool shares_rows) {
  CHORUS_OK(check_codec(compression.codec));
  if (compression.tensors.size() > limits::kCodecRulesMax) {
    return fail(errc::invalid_argument,
                "compression.tensors has " + std::to_string(compression.tensors.size()) +
                    " rules; at most " + std::to_string(limits::kCodecRulesMax) + " are allowed");
  }
  std::vector<Codec> codecs(layout.tensors.size(), compression.codec);
  for (std::size_t rule = compression.tensors.size(); rule > 0; --rule) {
    const TensorCodec& own = compression.tensors[rule - 1];
    CHORUS_OK(check_codec(own.codec));
    const std::array<std::string, 1> pattern{own.tensors};
    CHORUS_TRY(const auto named, tensor::select(pattern, layout, "compression.tensors"));
    for (std::size_t t = 0; t < named.size(); ++t) {
      if (named[t]) codecs[t] = own.codec;
    }
  }
  for (std::size_t t = 0; t < codecs.size(); ++t) {
    const TensorSpec& tensor = layout.tensors[t];
    codecs[t] = tensor.buffer ? Codec{} : for_tensor(codecs[t], tensor);
    if (has_basis(codecs[t])) codecs[t].shares_rows = shares_rows;
  }
  return codecs;
}

/// For every tensor, whether its change is part of the report.
Result<std::vector<bool>> sent_of(const TrainPlan& plan, const TensorLayout& layout) {
  CHORUS_TRY(auto sent, tensor::trainable_of(plan, layout));
  CHORUS_TRY(const auto local, tensor::select(plan.local, layout, "local"));
  for (std::size_t t = 0; t < sent.size(); ++t) sent[t] = sent[t] && !local[t];
  return sent;
}

}  // namespace

Codec for_tensor(Codec codec, const TensorSpec& tensor) {
  if (!is_matrix(codec)) return codec;
  const std::uint64_t rows = tensor.shape.empty() ? 0 : tensor.shape.front();
  const std::uint64_t columns = rows == 0 ? 0 : tensor.count / rows;
  if (columns <= UpdateForm::kMatrixElements) codec.columns = static_cast<std::uint32_t>(columns);
  const std::uint64_t piece = std::min(tensor.count, piece_elements(codec, tensor.count));
  const bool smaller = without_entropy(codec.kind).bytes_max(codec, piece) < sizeof(float) * piece;
  return smaller ? codec : Codec{.kind = CodecKind::f32, .entropy = codec.entropy};
}

std::uint64_t piece_elements(const Codec& codec, std::uint64_t count) noexcept {
  if (!is_matrix(codec) || codec.columns == 0) return UpdateForm::kPieceElements;
  const std::uint64_t rows = count / codec.columns;
  const std::uint64_t most =
      std::max<std::uint64_t>(UpdateForm::kMatrixElements / codec.columns, 1);
  const std::uint64_t pieces = std::max<std::uint64_t>((rows + most - 1) / most, 1);
  return std::max<std::uint64_t>((rows + pieces - 1) / pieces, 1) * codec.columns;
}

std::uint64_t bytes_max(const Codec& codec, std::uint64_t count) {
  const Method& method = method_of(codec);
  const std::uint64_t piece = piece_elements(codec, count);
  const std::uint64_t rest = count % piece;
  return count / piece * method.bytes_max(codec, piece) +
         (rest > 0 ? method.bytes_max(codec, rest) : 0);
}

UpdateForm UpdateForm::plain(std::uint64_t parameters) {
  UpdateForm form;
  form.parameters_ = parameters;
  form.pieces_.push_back({Codec{}, 0, parameters});
  return form;
}

Result<UpdateForm> UpdateForm::of(const TrainPlan& plan,
                                  const TensorLayout& layout,
                                  std::shared_ptr<const Basis> basis) {
  if (!plan.compression) return plain(layout.parameters);
  const Compression& compression = *plan.compression;
  CHORUS_TRY(const auto codecs,
             codecs_of(compression, layout, basis != nullptr && basis->shares_rows));
  CHORUS_TRY(const auto sent, sent_of(plan, layout));

  UpdateForm form;
  form.compressed_ = true;
  form.parameters_ = layout.parameters;
  form.table_ = compression.table;
  form.keys_ = {.round = compression.seed, .device = plan.seed};
  for (std::size_t t = 0; t < codecs.size();) {
    std::size_t next = t;
    std::uint64_t count = 0;
    do {
      count += layout.tensors[next++].count;
    } while (next < codecs.size() && !is_matrix(codecs[t]) && sent[next] == sent[t] &&
             codecs[next] == codecs[t]);
    if (sent[t]) form.add_run(codecs[t], layout.tensors[t].offset, count);
    t = next;
  }
  if (form.pieces_.size() > limits::kUpdatePiecesMax) {
    return fail(errc::invalid_argument,
                "compression cuts an update into " + std::to_string(form.pieces_.size()) +
                    " pieces; at most " + std::to_string(limits::kUpdatePiecesMax) +
                    " are allowed");
  }
  if (basis != nullptr && basis->values.size() != form.basis_elements()) {
    return fail(errc::shape_mismatch,
                "a basis of " + std::to_string(basis->values.size()) + " numbers; the plan has " +
                    std::to_string(form.basis_elements()));
  }
  form.basis_ = std::move(basis);
  return form;
}

void UpdateForm::add_run(const Codec& codec, std::uint64_t first, std::uint64_t count) {
  const std::uint64_t most = piece_elements(codec, count);
  for (std::uint64_t done = 0; done < count; done += most) {
    basis_at_.push_back(basis_elements());
    pieces_.push_back({codec, first + done, std::min(most, count - done)});
  }
}

std::uint64_t UpdateForm::largest_piece() const noexcept {
  std::uint64_t largest = 0;
  for (const Piece& piece : pieces_) largest = std::max(largest, piece.count);
  return largest;
}

std::uint64_t UpdateForm::largest_payload() const noexcept {
  std::uint64_t largest = 0;
  for (const Piece& piece : pieces_) {
    if (piece.codec == Codec{}) continue;
    largest = std::max(largest, method_of(piece.codec).bytes_max(piece.codec, piece.count));
  }
  return largest;
}

Keys UpdateForm::keys(std::size_t piece) const noexcept {
  Keys keys{.round = key_of(keys_.round, "round", piece),
            .device = key_of(keys_.device, "device", piece)};
  if (basis_ == nullptr) return keys;
  const Piece& of = pieces_[piece];
  keys.basis = std::span(basis_->values)
                   .subspan(static_cast<std::size_t>(basis_at_[piece]),
                            static_cast<std::size_t>(codec::basis_elements(of.codec, of.count)));
  return keys;
}

std::uint64_t UpdateForm::basis_elements() const noexcept {
  if (pieces_.empty() || basis_at_.empty()) return 0;
  const Piece& last = pieces_.back();
  return basis_at_.back() + codec::basis_elements(last.codec, last.count);
}

std::uint64_t UpdateForm::table_bytes() const noexcept {
  return compressed_ ? kTableHead + sizeof(std::uint32_t) * pieces_.size() : 0;
}

std::uint64_t UpdateForm::bytes_max() const noexcept {
  std::uint64_t bytes = table_bytes();
  for (const Piece& piece : pieces_) {
    bytes += method_of(piece.codec).bytes_max(piece.codec, piece.count);
  }
  return bytes;
}

double UpdateForm::lane_value_max(double value_max) const noexcept {
  double most = value_max;
  for (const Piece& piece : pieces_) {
    most =
        std::max(most, method_of(piece.codec).lane_value_max(piece.codec, piece.count, value_max));
  }
  return most;
}

std::uint64_t UpdateForm::lane_elements() const noexcept {
  std::uint64_t elements = 0;
  for (const Piece& piece : pieces_) {
    elements += method_of(piece.codec).lane_elements(piece.codec, piece.count);
  }
  return elements;
}

std::vector<std::byte> UpdateForm::table_of(std::span<const std::uint32_t> bytes) const {
  std::vector<std::byte> table;
  append(table, table_);
  append(table, static_cast<std::uint32_t>(pieces_.size()));
  for (const std::uint32_t payload : bytes) append(table, payload);
  return table;
}

Result<std::vector<std::uint64_t>> UpdateForm::offsets(std::span<const std::byte> table,
                                                       std::uint64_t body_bytes) const {
  if (!compressed_) return std::vector<std::uint64_t>{0, body_bytes};
  if (table.size() != table_bytes() || body_bytes < table.size()) {
    return fail(errc::shape_mismatch,
                "a compressed update of " + std::to_string(body_bytes) +
                    " bytes; its table alone takes " + std::to_string(table_bytes()));
  }
  const auto number = load<std::uint32_t>(table, 0);
  const auto pieces = load<std::uint32_t>(table, sizeof number);
  if (number != table_ || pieces != pieces_.size()) {
    return fail(errc::shape_mismatch,
                "the update follows plan of codecs " + std::to_string(number) + " with " +
                    std::to_string(pieces) + " payloads; this round's is " +
                    std::to_string(table_) + " with " + std::to_string(pieces_.size()));
  }
  std::vector<std::uint64_t> offsets{table.size()};
  for (std::size_t p = 0; p < pieces_.size(); ++p) {
    const auto bytes = load<std::uint32_t>(table, kTableHead + p * sizeof(std::uint32_t));
    const Piece& piece = pieces_[p];
    const std::uint64_t most = method_of(piece.codec).bytes_max(piece.codec, piece.count);
    if (bytes > most || bytes > body_bytes - offsets.back()) {
      return fail(errc::shape_mismatch,
                  "payload " + std::to_string(p) + " has " + std::to_string(bytes) +
                      " bytes; at most " +
                      std::to_string(std::min(most, body_bytes - offsets.back())) + " fit");
    }
    offsets.push_back(offsets.back() + bytes);
  }
  if (offsets.back() != body_bytes) {
    return fail(errc::shape_mismatch,
                "the payloads end at byte " + std::to_string(offsets.back()) + " of an update of " +
                    std::to_string(body_bytes));
  }
  return offsets;
}

}  // namespace chorus::codec
