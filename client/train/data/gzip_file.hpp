// Reading a file that may be compressed with gzip.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "chorus/result.hpp"
#include "client/train/data/byte_source.hpp"

struct gzFile_s;

namespace chorus::client {

/// Reads decompressed bytes one after the other; plain files as they are.
class GzipFile final : public ByteSource {
 public:
  /// @errors not_found, io_failed
  static Result<GzipFile> open(const std::filesystem::path& path);

  GzipFile(GzipFile&& other) noexcept
      : ByteSource(), file_(std::exchange(other.file_, nullptr)), path_(std::move(other.path_)) {}
  GzipFile& operator=(GzipFile&&) = delete;
  ~GzipFile() override;

  /// @errors io_failed; malformed_file: damaged or truncated compression
  Result<std::size_t> read(std::span<std::byte> into) override;
  std::string name() const override { return "'" + path_.string() + "'"; }

  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  GzipFile(gzFile_s* file, std::filesystem::path path) : file_(file), path_(std::move(path)) {}

  gzFile_s* file_;
  std::filesystem::path path_;
};

}  // namespace chorus::client
