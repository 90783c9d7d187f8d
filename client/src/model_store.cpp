#include "client/src/model_store.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/codec/update.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_metadata.hpp"

namespace chorus::client {
namespace {

// A smaller version stays in memory between tasks; a larger one is read from the cache again.
constexpr std::uint64_t kKeepBytesMax = 64ULL << 20U;

// Versions that are fetched as files after steps did not come out right: once is an accident, but
// then 4, 16, 64.
std::uint64_t versions_without_steps(unsigned broken) {
  constexpr unsigned kBrokenMax = 4;
  return broken < 2 ? 0 : std::uint64_t{1} << (2 * (std::min(broken, kBrokenMax) - 1));
}

bool ends_with(const codec::VersionSteps& all, const codec::VersionSteps& last) {
  if (last.steps.size() > all.steps.size()) return false;
  codec::VersionSteps tail = all;
  tail.steps.erase(tail.steps.begin(),
                   tail.steps.end() - static_cast<std::ptrdiff_t>(last.steps.size()));
  return tail == last;
}

}  // namespace

std::span<std::byte> ModelStore::file() noexcept {
  return std::as_writable_bytes(buffer_.span()).first(version_->bytes);
}

Result<void> ModelStore::make_room(std::uint64_t bytes) {
  const std::uint64_t floats = (bytes + sizeof(float) - 1) / sizeof(float);
  if (buffer_.size() == floats) return {};
  buffer_ = {};  // before there is a second one
  CHORUS_TRY(buffer_, tensor::AlignedBuffer<float>::create(floats));
  return {};
}

Result<Download> ModelStore::look_up(const wire::Work& work) {
  const wire::ModelRef& version = work.model;
  CHORUS_TRY(TensorLayout layout, layout_of(work.spec));
  const std::uint64_t data_bytes = layout.parameters * sizeof(float);
  const std::uint64_t head_max =
      tensor::kSafetensorsPrefixBytes + limits::kSafetensorsHeaderBytesMax;
  if (version.bytes <= data_bytes || version.bytes - data_bytes > head_max) {
    return fail(errc::shape_mismatch,
                "the version has " + std::to_string(version.bytes) +
                    " bytes, its architecture needs " + std::to_string(data_bytes) +
                    " and a header");
  }
  // Verified, or interrupted in this very process: all stands where it stopped.
  const bool same = version_ == version && layout_ == layout;
  if (same && verified_) return of_file(version.bytes);
  if (same && !steps_) return of_file(kept_);
  // Steps that nothing came of since the last time: the server may not be able to read them.
  const bool stuck = same && steps_ && kept_ <= stood_at_;
  if (same && !stuck && work.steps && ends_with(*work.steps, *steps_)) {
    stood_at_ = kept_;
    return of_steps();
  }

  std::optional<Sha256> held;  // what the buffer has
  if (layout_ == layout && verified_) held = version_->sha256;
  if (layout_ == layout && steps_) held = steps_->steps.front().base;
  verified_ = false;
  version_.reset();
  steps_.reset();
  bodies_ = {};
  CHORUS_OK(make_room(version.bytes));
  version_ = version;
  layout_ = std::move(layout);
  kept_ = 0;
  static_cast<void>(hasher_.finish());
  caching_ = cache_ != nullptr;
  if (caching_) {
    const Cached cached = read_from_cache();
    if (cached == Cached::good) return of_file(version.bytes);
    if (cached == Cached::damaged) held.reset();
  }
  if (!stuck && begin_steps(work, held)) return of_steps();
  return of_file(caching_ ? read_part() : 0);
}

ModelStore::Cached ModelStore::read_from_cache() {
  auto found = cache_->read(version_->sha256, file());
  if (!found) spdlog::warn("cached version: {}", found.error().to_string());
  if (!found) return Cached::damaged;
  if (!*found) return Cached::absent;
  hasher_.update(file());
  if (auto checked = check_content(); !checked) {
    spdlog::warn("cached version: {}; it is downloaded again", checked.error().to_string());
    remove_from_cache(version_->sha256);
    return Cached::damaged;
  }
  verified_ = true;
  return Cached::good;
}

void ModelStore::remove_from_cache(const Sha256& version) {
  if (auto removed = cache_->remove(version); !removed) {
    spdlog::warn("cached version: {}", removed.error().to_string());
  }
}

std::uint64_t ModelStore::read_part() {
  auto bytes = cache_->open_part(version_->sha256, file());
  if (!bytes) {
    // Without a cache the download works, too; it only cannot be resumed after a restart.
    spdlog::warn("interrupted download: {}", bytes.error().to_string());
    caching_ = false;
    return 0;
  }
  hasher_.update(file().first(*bytes));
  kept_ = *bytes;
  if (kept_ < version_->bytes) return kept_;
  if (auto checked = verify(); checked) return version_->bytes;
  restart();
  return 0;
}

// ---- steps ----

Download ModelStore::of_steps() const noexcept {
  return {bodies_.size(), kept_, static_cast<std::uint32_t>(steps_->steps.size())};
}

bool ModelStore::begin_steps(const wire::Work& work, std::optional<Sha256> held) {
  if (!work.steps) return false;
  if (without_steps_ > 0) {
    --without_steps_;
    return false;
  }
  const auto& all = work.steps->steps;
  for (std::size_t first = all.size(); first-- > 0;) {
    const std::uint64_t bytes = codec::bytes_of(std::span(all).subspan(first));
    if (bytes >= version_->bytes) return false;
    const auto& base = all[first].base;
    const bool there = base ? base == held || read_base(*base, held) : put_zeros(work);
    if (!there) continue;
    auto bodies = tensor::AlignedBuffer<std::byte>::create(bytes);
    if (!bodies) return false;  // the file needs no such memory
    bodies_ = std::move(*bodies);
    stood_at_ = 0;
    steps_ = *work.steps;
    steps_->steps.erase(steps_->steps.begin(),
                        steps_->steps.begin() + static_cast<std::ptrdiff_t>(first));
    return true;
  }
  return false;
}

// Its digest is not asked for: that of what is made of it tells.
bool ModelStore::read_base(const Sha256& base, std::optional<Sha256>& held) {
  if (cache_ == nullptr) return false;
  const auto found = cache_->read(base, file());
  if (found) return *found;
  spdlog::warn("cached version: {}", found.error().to_string());
  held.reset();  // some of it may lie in the buffer
  return false;
}

bool ModelStore::put_zeros(const wire::Work& work) {
  const auto normalise = std::visit([](const auto& plan) { return plan.normalise; }, work.plan);
  const auto make = [&]() -> Result<std::vector<std::byte>> {
    CHORUS_TRY(const auto metadata, tensor::metadata_of(work.spec, normalise));
    return tensor::build_header(layout_, metadata);
  };
  const auto header = make();
  if (!header || header->size() + layout_.parameters * sizeof(float) != version_->bytes) {
    return false;
  }
  std::copy(header->begin(), header->end(), file().begin());
  std::fill(
      file().begin() + static_cast<std::ptrdiff_t>(header->size()), file().end(), std::byte{0});
  return true;
}

Result<void> ModelStore::make_steps() {
  CHORUS_TRY(const auto info, tensor::parse_header(file(), version_->bytes));
  if (info.layout != layout_ || info.data_offset % sizeof(float) != 0) {
    return fail(errc::shape_mismatch, "the version that the steps begin with is of another model");
  }
  const auto x = buffer_.span().subspan(info.data_offset / sizeof(float), layout_.parameters);
  std::span<const std::byte> bodies = bodies_.span();
  for (const codec::VersionStep& step : steps_->steps) {
    CHORUS_TRY(const auto form, codec::form_of(*steps_, step.seed, layout_));
    CHORUS_OK(codec::add_update(form, bodies.first(step.bytes), x));
    bodies = bodies.subspan(step.bytes);
  }
  hasher_.update(file());
  return {};
}

// Base, bodies or arithmetic were not the server's.
void ModelStore::distrust_steps(const Failure& why) {
  ++broken_steps_;
  without_steps_ = versions_without_steps(broken_steps_);
  spdlog::warn("the steps to a version did not make it: {}; its file is fetched", why.to_string());
  const auto& base = steps_->steps.front().base;
  if (cache_ != nullptr && base) remove_from_cache(*base);
}

// ---- the download ----

void ModelStore::restart() {
  const bool was_file = !steps_;
  kept_ = 0;
  static_cast<void>(hasher_.finish());
  steps_.reset();
  bodies_ = {};
  if (!caching_) return;
  const auto empty_part = [&]() -> Result<void> {
    if (was_file) return cache_->clear_part();
    CHORUS_TRY(const std::uint64_t old, cache_->open_part(version_->sha256, {}));
    CHORUS_ASSERT(old == 0);
    return {};
  };
  auto cleared = empty_part();
  if (!cleared) spdlog::warn("download: {}", cleared.error().to_string());
  caching_ = cleared.has_value();
}

std::span<std::byte> ModelStore::place(std::uint64_t offset, std::size_t bytes) noexcept {
  return (steps_ ? bodies_.span() : file()).subspan(offset, bytes);
}

void ModelStore::keep(std::uint64_t offset, std::size_t bytes) {
  kept_ = offset + bytes;
  if (steps_) return;
  const auto data = file().subspan(offset, bytes);
  hasher_.update(data);
  if (!caching_) return;
  if (auto written = cache_->write_part(offset, data); !written) {
    spdlog::warn("caching the download: {}", written.error().to_string());
    caching_ = false;
  }
}

Result<void> ModelStore::check_content() {
  const Sha256 found = hasher_.finish();
  if (found != version_->sha256) {
    return fail(errc::digest_mismatch,
                "the version's SHA-256 is " + hex(found) + "; expected " + hex(version_->sha256));
  }
  CHORUS_TRY(const auto info, tensor::parse_header(file(), version_->bytes));
  if (info.layout != layout_) {
    return fail(errc::shape_mismatch,
                "the version has other tensors than its architecture: " +
                    std::to_string(info.layout.tensors.size()) + " tensors of " +
                    std::to_string(info.layout.parameters) + " elements; expected " +
                    std::to_string(layout_.tensors.size()) + " of " +
                    std::to_string(layout_.parameters));
  }
  if (info.data_offset % sizeof(float) != 0) {
    return fail(errc::malformed_file,
                "the version's numbers begin at byte " + std::to_string(info.data_offset) +
                    "; expected a multiple of 4");
  }
  data_offset_ = info.data_offset;
  return {};
}

Result<void> ModelStore::verify() {
  CHORUS_ASSERT(version_.has_value());
  Result<void> good;
  if (steps_) good = make_steps();
  if (good) good = check_content();
  if (!good) {
    if (steps_) distrust_steps(good.error());
    forget();
    return good;
  }
  verified_ = true;
  if (auto kept = keep_in_cache(); !kept) {
    spdlog::warn("caching the version: {}", kept.error().to_string());
  }
  return {};
}

Result<void> ModelStore::keep_in_cache() {
  const bool caching = std::exchange(caching_, false);
  if (!steps_) return caching ? cache_->finish_part() : Result<void>();
  steps_.reset();
  bodies_ = {};
  broken_steps_ = 0;
  return caching ? cache_->put(version_->sha256, file()) : Result<void>();
}

void ModelStore::forget() {
  verified_ = false;
  restart();
}

std::span<const float> ModelStore::parameters() const noexcept {
  CHORUS_ASSERT(verified_);
  return buffer_.span().subspan(data_offset_ / sizeof(float), layout_.parameters);
}

void ModelStore::release() {
  if (cache_ == nullptr || !version_ || version_->bytes <= kKeepBytesMax) return;
  version_.reset();
  verified_ = false;
  buffer_ = {};
}

}  // namespace chorus::client
