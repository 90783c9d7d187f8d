#include "server/store/versions.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_metadata.hpp"
#include "server/store/background_hasher.hpp"

namespace chorus::server {
namespace {

constexpr std::string_view kSuffix = ".safetensors";
constexpr std::string_view kTemporaryPrefix = "writing-";
constexpr std::size_t kPieceBytes = 1U << 20U;

Failure corrupt(const std::filesystem::path& path, std::string_view what) {
  return fail(
      errc::corrupt_data,
      fmt::format("version '{}' is damaged: {}; restore it from a copy", path.string(), what));
}

class FileVersionReader final : public VersionReader {
 public:
  static Result<std::shared_ptr<const VersionReader>> open(Disk& disk,
                                                           const std::filesystem::path& path,
                                                           const Sha256& name) {
    CHORUS_TRY(auto file, disk.open(path, FileUse::read));
    std::shared_ptr<FileVersionReader> reader(new FileVersionReader(std::move(file)));
    reader->info_.sha256 = name;
    CHORUS_TRY(reader->info_.bytes, reader->file_->size());
    if (auto read = reader->read_header(); !read) {
      if (read.error().code == errc::io_failed) return std::move(read).error();
      return corrupt(path, read.error().detail);
    }
    return std::shared_ptr<const VersionReader>(std::move(reader));
  }

  const VersionInfo& info() const override { return info_; }
  const TensorLayout& layout() const override { return layout_; }
  const ModelSpec& model() const override { return model_; }

  Result<void> read_bytes(std::uint64_t offset, std::span<std::byte> into) const override {
    if (offset > info_.bytes || into.size() > info_.bytes - offset) {
      return fail(errc::invalid_argument,
                  fmt::format("{} bytes at {} are beyond the {} of this version",
                              into.size(),
                              offset,
                              info_.bytes));
    }
    return file_->read(offset, into);
  }

  Result<void> read_parameters(std::uint64_t first, std::span<float> into) const override {
    if (first > layout_.parameters || into.size() > layout_.parameters - first) {
      return fail(errc::invalid_argument,
                  fmt::format("{} parameters at {} are beyond the {} of this version",
                              into.size(),
                              first,
                              layout_.parameters));
    }
    return file_->read(data_offset_ + first * sizeof(float), std::as_writable_bytes(into));
  }

  void forget(std::uint64_t end) const override {
    file_->forget(data_offset_ + end * sizeof(float));
  }

 private:
  explicit FileVersionReader(std::unique_ptr<File> file) : file_(std::move(file)) {}

  Result<void> read_header() {
    std::array<std::byte, tensor::kSafetensorsPrefixBytes> prefix{};
    CHORUS_OK(file_->read(0, prefix));
    CHORUS_TRY(data_offset_, tensor::data_offset_of(prefix, info_.bytes));
    std::vector<std::byte> header(data_offset_);
    CHORUS_OK(file_->read(0, header));
    CHORUS_TRY(auto parsed, tensor::parse_header(header, info_.bytes));
    CHORUS_TRY(auto version, tensor::version_metadata(parsed.metadata));
    model_ = std::move(version.model);
    CHORUS_TRY(layout_, layout_of(model_));
    if (layout_ != parsed.layout) {
      return fail(errc::corrupt_data, "its tensors are not those of its model");
    }
    return {};
  }

  std::unique_ptr<File> file_;
  VersionInfo info_;
  TensorLayout layout_;
  ModelSpec model_;
  std::uint64_t data_offset_ = 0;
};

class FileVersionWriter final : public VersionWriter {
 public:
  static Result<std::unique_ptr<VersionWriter>> begin(Disk& disk,
                                                      const std::filesystem::path& temporary,
                                                      const ModelSpec& model,
                                                      std::span<const FeatureScale> normalise) {
    CHORUS_TRY(const auto layout, layout_of(model));
    CHORUS_TRY(const auto metadata, tensor::metadata_of(model, normalise));
    CHORUS_TRY(const auto header, tensor::build_header(layout, metadata));
    CHORUS_TRY(auto file, disk.open(temporary, FileUse::replace));
    std::unique_ptr<FileVersionWriter> writer(
        new FileVersionWriter(disk, std::move(file), layout.parameters));
    const std::uint64_t total = header.size() + layout.parameters * sizeof(float);
    // Reserving finds out early when the disk is too small; where it is not possible, writing will.
    auto reserved = writer->file_->reserve(0, total);
    if (!reserved && reserved.error().code == errc::disk_full) return reserved.error();
    CHORUS_OK(writer->hasher_.start(total));
    CHORUS_OK(writer->put(header));
    return std::unique_ptr<VersionWriter>(std::move(writer));
  }

  ~FileVersionWriter() override {
    if (file_ != nullptr) static_cast<void>(disk_.remove(file_->path()));
  }

  Result<void> append(std::span<const float> parameters) override {
    CHORUS_OK(usable());
    if (parameters.size() > missing_) {
      return fail(errc::invalid_argument,
                  fmt::format("{} parameters are more than the {} this version still lacks",
                              parameters.size(),
                              missing_));
    }
    if (auto written = put(std::as_bytes(parameters)); !written) {
      writable_ = false;  // the digest has seen bytes that the file may lack
      return written;
    }
    missing_ -= parameters.size();
    return {};
  }

  Result<VersionInfo> commit() override {
    CHORUS_OK(usable());
    if (missing_ != 0) {
      return fail(errc::invalid_argument, fmt::format("the version lacks {} parameters", missing_));
    }
    writable_ = false;  // whatever happens now, it is not written to again
    CHORUS_OK(flush());
    CHORUS_OK(file_->sync());
    const VersionInfo info{.sha256 = hasher_.finish(), .bytes = offset_};
    const auto folder = file_->path().parent_path();
    CHORUS_OK(disk_.rename(file_->path(), folder / (hex(info.sha256) + std::string(kSuffix))));
    file_.reset();
    CHORUS_OK(disk_.sync_folder(folder));
    return info;
  }

 private:
  FileVersionWriter(Disk& disk, std::unique_ptr<File> file, std::uint64_t parameters)
      : disk_(disk), file_(std::move(file)), missing_(parameters) {}

  Result<void> usable() const {
    if (writable_) return {};
    return fail(errc::wrong_state, "this version is finished, or could not be written");
  }

  /// What is appended gathers in blocks; a full one is hashed and written at the same time.
  Result<void> put(std::span<const std::byte> data) {
    while (!data.empty()) {
      if (gathered_ == 0) block_ = hasher_.block();
      const auto piece = data.first(std::min(data.size(), block_.size() - gathered_));
      std::memcpy(block_.data() + gathered_, piece.data(), piece.size());
      gathered_ += piece.size();
      if (gathered_ == block_.size()) CHORUS_OK(flush());
      data = data.subspan(piece.size());
    }
    return {};
  }

  Result<void> flush() {
    const auto data = block_.first(std::exchange(gathered_, 0));
    if (data.empty()) return {};
    hasher_.submit(data.size());
    CHORUS_OK(file_->write(offset_, data));
    file_->start_writeback(offset_, offset_ + data.size());
    offset_ += data.size();
    return {};
  }

  Disk& disk_;
  std::unique_ptr<File> file_;
  std::uint64_t missing_;  ///< parameters
  bool writable_ = true;
  BackgroundHasher hasher_;
  std::span<std::byte> block_;  ///< the one being filled
  std::size_t gathered_ = 0;    ///< bytes in it
  std::uint64_t offset_ = 0;
};

class FolderVersionStore final : public VersionStore {
 public:
  FolderVersionStore(std::filesystem::path folder, Disk& disk)
      : folder_(std::move(folder)), disk_(disk) {}

  Result<void> remove_temporaries() const {
    CHORUS_TRY(const auto paths, disk_.list(folder_));
    for (const auto& path : paths) {
      if (path.filename().string().starts_with(kTemporaryPrefix)) CHORUS_OK(disk_.remove(path));
    }
    return {};
  }

  Result<std::unique_ptr<VersionWriter>> begin(const ModelSpec& model,
                                               std::span<const FeatureScale> normalise) override {
    const auto name = fmt::format("{}{}-{}", kTemporaryPrefix, ::getpid(), next_temporary_++);
    return FileVersionWriter::begin(disk_, folder_ / name, model, normalise);
  }

  Result<std::shared_ptr<const VersionReader>> open_version(const Sha256& name) const override {
    return FileVersionReader::open(disk_, path_of(name), name);
  }

  Result<void> verify(const Sha256& name) const override {
    const auto path = path_of(name);
    CHORUS_TRY(const auto file, disk_.open(path, FileUse::read));
    CHORUS_TRY(const std::uint64_t size, file->size());
    std::vector<std::byte> piece(kPieceBytes);
    Sha256Hasher hasher;
    for (std::uint64_t at = 0; at < size;) {
      const auto part = std::span(piece).first(std::min<std::uint64_t>(piece.size(), size - at));
      CHORUS_OK(file->read(at, part));
      hasher.update(part);
      at += part.size();
    }
    const Sha256 found = hasher.finish();
    if (found != name) return corrupt(path, "its SHA-256 is " + hex(found));
    return {};
  }

  Result<std::vector<Sha256>> list() const override {
    CHORUS_TRY(const auto paths, disk_.list(folder_));
    std::vector<Sha256> versions;
    for (const auto& path : paths) {
      const std::string name = path.filename().string();
      if (!name.ends_with(kSuffix)) continue;
      const auto digest = parse_sha256(name.substr(0, name.size() - kSuffix.size()));
      if (digest && path_of(*digest).filename() == name) versions.push_back(*digest);
    }
    std::sort(versions.begin(), versions.end());
    return versions;
  }

  Result<void> remove(const Sha256& name) override {
    CHORUS_OK(disk_.remove(path_of(name)));
    return disk_.sync_folder(folder_);
  }

  std::filesystem::path path_of(const Sha256& name) const override {
    return folder_ / (hex(name) + std::string(kSuffix));
  }

 private:
  std::filesystem::path folder_;
  Disk& disk_;
  std::atomic<std::uint64_t> next_temporary_ = 0;
};

}  // namespace

Result<std::unique_ptr<VersionStore>> VersionStore::open(const std::filesystem::path& folder,
                                                         Disk& disk) {
  CHORUS_OK(disk.make_folder(folder));
  auto store = std::make_unique<FolderVersionStore>(folder, disk);
  CHORUS_OK(store->remove_temporaries());
  return std::unique_ptr<VersionStore>(std::move(store));
}

}  // namespace chorus::server
