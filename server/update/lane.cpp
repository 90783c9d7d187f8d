#include "server/update/lane.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include "chorus/kernels/kernels.hpp"
#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/codec/method.hpp"

namespace chorus::server {
namespace {

static_assert(limits::kFoldBatch <= kernels::kFoldInputsMax);
static_assert(std::endian::native == std::endian::little, "update bodies are little-endian floats");

constexpr std::int32_t kScaleMax = 52;
constexpr std::int32_t kScaleMin = 8;
constexpr double kRoom = 0x1.0p62;

/// Payloads of a tile, all updates together, and its sums: both stay in the second-level cache.
constexpr std::uint64_t kTileBytes = 1U << 19U;
constexpr std::uint64_t kTileSums = 32768;
/// Of a mean that is asked for at once: stays there, too.
constexpr std::uint64_t kMeanTile = 65536;
/// Elements below which one thread folds alone.
constexpr std::uint64_t kShardMin = 1U << 18U;

/// Elements that can be folded by themselves; 0: the piece as a whole.
std::uint64_t granule_of(const codec::Piece& piece) {
  return codec::method_of(piece.codec).granule(piece.codec);
}

/// Elements of a granular piece whose payloads are read at once, of so many updates.
std::uint64_t tile_of(const codec::Piece& piece, std::size_t updates) {
  const std::uint64_t granule = granule_of(piece);
  const std::uint64_t bytes = codec::method_of(piece.codec).bytes_max(piece.codec, granule);
  const std::uint64_t fit = std::min(kTileBytes / (updates * bytes), kTileSums / granule);
  return std::max<std::uint64_t>(fit, 1) * granule;
}

}  // namespace

std::uint64_t fold_bytes(const codec::UpdateForm& form) {
  std::uint64_t whole = 0;
  for (const codec::Piece& piece : form.pieces()) {
    if (granule_of(piece) != 0) continue;
    whole = std::max(whole, codec::method_of(piece.codec).bytes_max(piece.codec, piece.count));
  }
  return 2 * whole * limits::kFoldBatch;
}

Result<std::int32_t> lane_scale(const LaneBounds& bounds) {
  const double largest = static_cast<double>(bounds.contributions_max) *
                         static_cast<double>(bounds.weight_max) * bounds.value_max;
  if (!(largest > 0.0) || !std::isfinite(largest)) {
    return fail(errc::invalid_argument, "lane bounds must be positive and finite");
  }
  std::int32_t scale = kScaleMax;
  while (scale >= kScaleMin && std::ldexp(largest, scale) >= kRoom) --scale;
  if (scale < kScaleMin) {
    return fail(errc::invalid_argument,
                "cohort x examples_max x value_max is too large for exact 64-bit sums: lower "
                "limits.examples_max or limits.value_max so that the product stays below 2^54");
  }
  return scale;
}

Result<Lane> Lane::create(Form form, const LaneBounds& bounds) {
  Lane lane;
  CHORUS_TRY(lane.scale_, lane_scale(bounds));
  CHORUS_TRY(
      lane.sums_,
      tensor::AlignedBuffer<std::int64_t>::create(form->lane_elements(), tensor::Fill::zero));
  lane.lay_out(std::move(form));
  return lane;
}

Result<void> Lane::restart(Form form, const LaneBounds& bounds) {
  CHORUS_ASSERT(form->lane_elements() == sums_.size());
  CHORUS_TRY(scale_, lane_scale(bounds));
  denominator_ = 0;
  lay_out(std::move(form));
  return {};
}

Result<Lane> Lane::restore(LaneCheckpoint checkpoint, Form form, const LaneBounds& bounds) {
  CHORUS_TRY(const std::int32_t scale, lane_scale(bounds));
  if (scale != checkpoint.scale || checkpoint.sums.size() != form->lane_elements()) {
    return fail(errc::corrupt_data,
                "the lane checkpoint has " + std::to_string(checkpoint.sums.size()) +
                    " sums of scale " + std::to_string(checkpoint.scale) +
                    ", the job's model and limits give " + std::to_string(form->lane_elements()) +
                    " of scale " + std::to_string(scale));
  }
  Lane lane;
  lane.scale_ = scale;
  lane.denominator_ = checkpoint.denominator;
  lane.sums_ = std::move(checkpoint.sums);
  lane.lay_out(std::move(form));
  return lane;
}

void Lane::lay_out(Form form) {
  form_ = std::move(form);
  parts_.clear();
  std::uint64_t at = 0;
  for (std::size_t p = 0; p < form_->pieces().size(); ++p) {
    const codec::Piece& piece = form_->pieces()[p];
    const std::uint64_t count =
        codec::method_of(piece.codec).lane_elements(piece.codec, piece.count);
    parts_.push_back({p, {at, count}, granule_of(piece)});
    at += count;
  }
}

const Lane::Part& Lane::part_at(std::uint64_t element) const {
  const auto after = std::upper_bound(
      parts_.begin(), parts_.end(), element, [](std::uint64_t at, const Part& part) {
        return at < part.at.first;
      });
  return *std::prev(after);
}

// A part that is folded as a whole is one thread's.
std::vector<LaneRange> Lane::shards(unsigned count) const {
  const std::uint64_t total = sums_.size();
  const std::uint64_t most = std::clamp<std::uint64_t>(total / kShardMin, 1, count);
  std::vector<LaneRange> shards;
  std::uint64_t begun = 0;
  for (std::uint64_t shard = 1; shard <= most; ++shard) {
    std::uint64_t end = total * shard / most;
    if (shard < most) {
      const Part& part = part_at(end);
      const std::uint64_t within = end - part.at.first;
      end -= part.granule == 0 ? within : within % part.granule;
    }
    if (end > begun) shards.push_back({begun, end - begun});
    begun = std::max(begun, end);
  }
  return shards;
}

// ---- folding ----

/// Where a range's payloads lie while they are folded.
class Lane::Staging {
 public:
  /// Of a payload: on a cache line of its own, and payloads of one size no power of two apart, or
  /// they would meet in the same few places of the cache.
  static constexpr std::size_t room(std::size_t bytes) {
    constexpr std::size_t kLine = 64;
    return (bytes / kLine + 3) / 2 * 2 * kLine + kLine;
  }

  Result<std::span<std::byte>> take(std::size_t bytes) {
    if (bytes > memory_.size()) {
      CHORUS_TRY(memory_, tensor::AlignedBuffer<std::byte>::create(bytes));
    }
    return memory_.span().first(bytes);
  }

 private:
  tensor::AlignedBuffer<std::byte> memory_;
};

double Lane::multiplier(const Contribution& update) const {
  return std::ldexp(static_cast<double>(update.weight), scale_);
}

Result<void> Lane::fold(std::span<const Contribution> updates, LaneRange& range) {
  CHORUS_ASSERT(!updates.empty() && updates.size() <= kernels::kFoldInputsMax);
  CHORUS_ASSERT(range.first <= sums_.size() && range.count <= sums_.size() - range.first);
  Staging staging;
  while (range.count > 0) {
    const Part& part = part_at(range.first);
    LaneRange at{range.first, part.at.first + part.at.count - range.first};
    if (part.granule != 0) {
      at.count = std::min({tile_of(piece_of(part), updates.size()), at.count, range.count});
    }
    CHORUS_ASSERT(at.count <= range.count && (part.granule != 0 || at.first == part.at.first));
    CHORUS_OK(fold_part(updates, part, at, staging));
    range.first += at.count;
    range.count -= at.count;
  }
  return {};
}

// Weights are at least 1, and counted after all ranges: without them the sums are old.
Result<void> Lane::fold_part(std::span<const Contribution> updates,
                             const Part& part,
                             LaneRange at,
                             Staging& staging) {
  const codec::Piece& piece = piece_of(part);
  const codec::Method& method = codec::method_of(piece.codec);
  // Lane elements are the piece's here: only after the last granule are there more of them.
  const std::uint64_t first = at.first - part.at.first;
  const std::uint64_t count =
      part.granule == 0 ? piece.count : std::min(at.count, piece.count - first);
  const std::uint64_t offset = part.granule == 0 ? 0 : method.bytes_max(piece.codec, first);
  const auto bytes = [&](const Contribution& update) {
    return static_cast<std::size_t>(part.granule == 0 ? update.update->bytes(part.piece)
                                                      : method.bytes_max(piece.codec, count));
  };
  std::size_t all = 0;
  for (const Contribution& update : updates) all += Staging::room(bytes(update));
  CHORUS_TRY(std::span<std::byte> room, staging.take(all));
  std::array<codec::FoldPart, kernels::kFoldInputsMax> inputs{};
  for (std::size_t k = 0; k < updates.size(); ++k) {
    const std::span<std::byte> payload = room.first(bytes(updates[k]));
    CHORUS_OK(updates[k].update->read(part.piece, offset, payload));
    inputs[k] = {payload, multiplier(updates[k])};
    room = room.subspan(Staging::room(payload.size()));
  }
  const std::span<std::int64_t> sums(sums_.data() + at.first, static_cast<std::size_t>(at.count));
  if (denominator_ == 0) std::fill(sums.begin(), sums.end(), 0);
  method.fold(
      piece.codec, count, std::span(inputs).first(updates.size()), form_->keys(part.piece), sums);
  return {};
}

void Lane::count_weights(std::span<const Contribution> updates) {
  for (const Contribution& update : updates) {
    denominator_ += static_cast<std::int64_t>(update.weight);
  }
}

// ---- the mean ----

namespace {

/// The first piece that ends behind a parameter.
std::size_t piece_behind(std::span<const codec::Piece> pieces, std::uint64_t parameter) {
  const auto behind = [](std::uint64_t at, const codec::Piece& piece) {
    return at < piece.first + piece.count;
  };
  return static_cast<std::size_t>(
      std::upper_bound(pieces.begin(), pieces.end(), parameter, behind) - pieces.begin());
}

}  // namespace

std::uint64_t Lane::run(std::uint64_t first) const {
  const auto pieces = form_->pieces();
  const std::size_t p = piece_behind(pieces, first);
  if (p == pieces.size()) return std::min(kMeanTile, parameters() - first);
  const codec::Piece& piece = pieces[p];
  if (first < piece.first) return std::min(kMeanTile, piece.first - first);
  const std::uint64_t left = piece.first + piece.count - first;
  const bool turned = codec::method_of(piece.codec).lane_is_turned(piece.codec);
  return turned ? left : std::min(kMeanTile, left);
}

void Lane::mean(std::uint64_t first, std::span<float> into) const {
  CHORUS_ASSERT(denominator_ > 0 && first + into.size() <= parameters());
  const std::uint64_t end = first + into.size();
  const auto pieces = form_->pieces();
  std::uint64_t at = first;
  const auto part = [&](std::uint64_t to) {
    return into.subspan(static_cast<std::size_t>(at - first), static_cast<std::size_t>(to - at));
  };
  for (std::size_t p = piece_behind(pieces, first); p < pieces.size() && at < end; ++p) {
    const std::uint64_t begin = std::min(std::max(pieces[p].first, at), end);
    const std::uint64_t past = std::min(pieces[p].first + pieces[p].count, end);
    std::fill_n(part(begin).begin(), begin - at, 0.0F);
    at = begin;
    if (past <= at) break;
    part_mean(parts_[p], at - pieces[p].first, part(past));
    at = past;
  }
  std::fill(into.begin() + static_cast<std::ptrdiff_t>(at - first), into.end(), 0.0F);
}

void Lane::sums_mean(std::uint64_t first, std::span<float> into) const {
  const double divisor = std::ldexp(static_cast<double>(denominator_), scale_);
  kernels::lane_mean_f32(
      sums().subspan(static_cast<std::size_t>(first), into.size()), divisor, into);
}

std::vector<float> Lane::piece_mean(std::size_t piece) const {
  const LaneRange& at = parts_[piece].at;
  std::vector<float> mean(static_cast<std::size_t>(at.count));
  sums_mean(at.first, mean);
  return mean;
}

void Lane::part_mean(const Part& part, std::uint64_t from, std::span<float> into) const {
  const codec::Piece& piece = piece_of(part);
  const codec::Method& method = codec::method_of(piece.codec);
  if (!method.lane_is_turned(piece.codec)) return sums_mean(part.at.first + from, into);
  std::vector<float> mean = piece_mean(part.piece);
  const codec::Keys keys = form_->keys(part.piece);
  if (into.size() == piece.count) return method.from_lane(piece.codec, keys, mean, into);
  std::vector<float> whole(static_cast<std::size_t>(piece.count));
  method.from_lane(piece.codec, keys, mean, whole);
  const auto wanted = std::span(whole).subspan(static_cast<std::size_t>(from), into.size());
  std::copy(wanted.begin(), wanted.end(), into.begin());
}

}  // namespace chorus::server
