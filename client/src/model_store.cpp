#include "client/src/model_store.hpp"

#include <string>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/tensor/safetensors.hpp"

namespace chorus::client {
namespace {

// A smaller version stays in memory between tasks; a larger one is read from the cache again.
constexpr std::uint64_t kKeepBytesMax = 64ULL << 20U;

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

Result<std::uint64_t> ModelStore::look_up(const wire::ModelRef& version, const ModelSpec& spec) {
  CHORUS_TRY(TensorLayout layout, layout_of(spec));
  const std::uint64_t data_bytes = layout.parameters * sizeof(float);
  const std::uint64_t head_max =
      tensor::kSafetensorsPrefixBytes + limits::kSafetensorsHeaderBytesMax;
  if (version.bytes <= data_bytes || version.bytes - data_bytes > head_max) {
    return fail(errc::shape_mismatch,
                "the version has " + std::to_string(version.bytes) +
                    " bytes, its architecture needs " + std::to_string(data_bytes) +
                    " and a header");
  }
  // Verified, or interrupted in this very process: buffer and digest stand where they stopped.
  if (version_ == version && layout_ == layout) return verified_ ? version.bytes : kept_;
  verified_ = false;
  version_.reset();
  CHORUS_OK(make_room(version.bytes));
  version_ = version;
  layout_ = std::move(layout);
  kept_ = 0;
  static_cast<void>(hasher_.finish());
  caching_ = cache_ != nullptr;
  if (cache_ == nullptr) return 0;
  if (read_from_cache()) return version.bytes;
  return read_part();
}

bool ModelStore::read_from_cache() {
  auto found = cache_->read(version_->sha256, file());
  if (!found) spdlog::warn("cached version: {}", found.error().to_string());
  if (!found || !*found) return false;
  hasher_.update(file());
  if (auto checked = check_content(); !checked) {
    spdlog::warn("cached version: {}; it is downloaded again", checked.error().to_string());
    if (auto removed = cache_->remove(version_->sha256); !removed) {
      spdlog::warn("cached version: {}", removed.error().to_string());
    }
    return false;
  }
  verified_ = true;
  return true;
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

void ModelStore::restart() {
  kept_ = 0;
  static_cast<void>(hasher_.finish());
  if (!caching_) return;
  auto cleared = cache_->clear_part();
  if (!cleared) spdlog::warn("download: {}", cleared.error().to_string());
  caching_ = cleared.has_value();
}

std::span<std::byte> ModelStore::place(std::uint64_t offset, std::size_t bytes) noexcept {
  return file().subspan(offset, bytes);
}

void ModelStore::keep(std::uint64_t offset, std::size_t bytes) {
  const auto data = file().subspan(offset, bytes);
  hasher_.update(data);
  kept_ = offset + bytes;
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
  if (auto checked = check_content(); !checked) {
    forget();
    return checked;
  }
  verified_ = true;
  if (!caching_) return {};
  caching_ = false;
  if (auto kept = cache_->finish_part(); !kept) {
    spdlog::warn("caching the version: {}", kept.error().to_string());
  }
  return {};
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
