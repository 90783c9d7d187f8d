#include "server/compress/downlink.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "chorus/kernels/kernels.hpp"
#include "common/base/assert.hpp"
#include "common/base/try.hpp"
#include "common/codec/method.hpp"
#include "common/codec/names.hpp"
#include "common/codec/update.hpp"

namespace chorus::server {
namespace {

class WithRest final : public VersionReader {
 public:
  WithRest(std::shared_ptr<const VersionReader> version, std::shared_ptr<const RestReader> rest)
      : version_(std::move(version)), rest_(std::move(rest)) {}

  const VersionInfo& info() const override { return version_->info(); }
  const TensorLayout& layout() const override { return version_->layout(); }
  const ModelSpec& model() const override { return version_->model(); }
  Result<void> read_bytes(std::uint64_t offset, std::span<std::byte> into) const override {
    return version_->read_bytes(offset, into);
  }
  Result<void> read_parameters(std::uint64_t first, std::span<float> into) const override {
    CHORUS_OK(version_->read_parameters(first, into));
    std::vector<float> rest(into.size());
    CHORUS_OK(rest_->read(first, rest));
    kernels::add_scaled_f32(into, 1.0, rest, into);
    return {};
  }
  void forget(std::uint64_t end) const override { version_->forget(end); }

 private:
  std::shared_ptr<const VersionReader> version_;
  std::shared_ptr<const RestReader> rest_;
};

}  // namespace

std::string_view name_of(Downlink::Sends sends) noexcept {
  return sends == Downlink::Sends::change ? "change" : "model";
}

Result<void> check_downlink(const Codec& codec, Downlink::Sends sends) {
  if (sends == Downlink::Sends::model && codec::for_changes_only(codec)) {
    return fail(errc::invalid_argument,
                "'" + codec::describe(codec) +
                    "' leaves most of a model out; expected bf16, uniform, qsgd or rotated, "
                    "or sends = \"change\"");
  }
  if (codec::has_basis(codec)) {
    return fail(errc::invalid_argument,
                "'" + codec::describe(codec) +
                    "' goes on from round to round with what many updates have in common; a "
                    "version is one: expected low_rank or another codec");
  }
  if (codec.kind == CodecKind::f16) {
    return fail(errc::invalid_argument,
                "f16 holds no number beyond 65504, and one such would end the job; expected bf16 "
                "or another codec");
  }
  return codec::check_contracts(codec);
}

codec::VersionSteps steps_of(const Downlink& downlink, const TrainPlan& plan) {
  codec::VersionSteps steps;
  steps.compression = downlink.compression;
  if (downlink.sends == Downlink::Sends::model) return steps;
  steps.trainable.only = plan.trainable.only;
  steps.trainable.frozen = plan.trainable.frozen;
  steps.local = plan.local;
  return steps;
}

std::shared_ptr<const VersionReader> with_rest(std::shared_ptr<const VersionReader> version,
                                               std::shared_ptr<const RestReader> rest) {
  return std::make_shared<WithRest>(std::move(version), std::move(rest));
}

DownlinkWriter::DownlinkWriter(std::shared_ptr<const codec::UpdateForm> form,
                               std::shared_ptr<const VersionReader> base,
                               std::unique_ptr<VersionWriter> version,
                               std::unique_ptr<ChangeWriter> change)
    : form_(std::move(form)),
      base_(std::move(base)),
      version_(std::move(version)),
      change_(std::move(change)),
      run_(run_at(0)) {}

DownlinkWriter::Run DownlinkWriter::run_at(std::uint64_t first) const {
  const auto pieces = form_->pieces();
  if (piece_ < pieces.size() && pieces[piece_].first == first) {
    return {first + pieces[piece_].count, true};
  }
  const std::uint64_t next = piece_ < pieces.size() ? pieces[piece_].first : form_->parameters();
  return {std::min(next, first + codec::UpdateForm::kPieceElements), false};
}

Result<void> DownlinkWriter::append(std::span<const float> parameters) {
  while (!parameters.empty()) {
    const std::uint64_t missing = run_.end - first_ - gathered_.size();
    const auto part = parameters.first(
        static_cast<std::size_t>(std::min<std::uint64_t>(missing, parameters.size())));
    gathered_.insert(gathered_.end(), part.begin(), part.end());
    parameters = parameters.subspan(part.size());
    if (part.size() == missing) CHORUS_OK(write_run());
  }
  return {};
}

Result<void> DownlinkWriter::write_run() {
  std::vector<float> w(gathered_.size());
  if (base_ != nullptr) CHORUS_OK(base_->read_parameters(first_, w));
  if (run_.sent) CHORUS_OK(encode(w));
  CHORUS_OK(version_->append(w));
  kernels::subtract_f32(gathered_, w, gathered_);
  CHORUS_OK(change_->append_rest(gathered_));
  gathered_.clear();
  first_ = run_.end;
  run_ = run_at(first_);
  return {};
}

// w becomes w': what devices make of it, too.
Result<void> DownlinkWriter::encode(std::span<float> w) {
  const codec::Piece& piece = form_->pieces()[piece_];
  std::vector<float> change(w.size());
  kernels::subtract_f32(gathered_, w, change);
  const auto payload = codec::encode(piece.codec, change, form_->keys(piece_));
  if (!payload) return codec::in_piece(piece, payload.error());
  CHORUS_OK(codec::add_payload(*form_, piece_, *payload, w));
  CHORUS_OK(change_->append_payload(*payload));
  sizes_.push_back(static_cast<std::uint32_t>(payload->size()));
  ++piece_;
  return {};
}

Result<ChangeInfo> DownlinkWriter::commit_change() {
  return change_->commit(form_->table_of(sizes_));
}

}  // namespace chorus::server
