// A file that is read where one wants, and rows of one length in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "client/train/data/byte_source.hpp"
#include "common/base/files.hpp"

namespace chorus::client {

/// Not compressed: of those only the beginning is at a known place.
class PlainFile final : public ByteSource {
 public:
  /// @errors not_found, io_failed; malformed_file: it is gzip
  static Result<PlainFile> open(const std::filesystem::path& path);

  /// From one place to the next, beginning with the first.
  Result<std::size_t> read(std::span<std::byte> into) override;
  std::string name() const override { return "'" + path_.string() + "'"; }

  std::uint64_t position() const noexcept { return position_; }  ///< of the next read()
  std::uint64_t size() const noexcept { return size_; }          ///< when it was opened

  /// Exactly into.size() bytes. May be called from several threads.
  /// @errors io_failed; malformed_file: it is shorter than it was
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> into) const;

 private:
  PlainFile(UniqueFd fd, std::filesystem::path path, std::uint64_t size)
      : fd_(std::move(fd)), path_(std::move(path)), size_(size) {}

  UniqueFd fd_;
  std::filesystem::path path_;
  std::uint64_t size_ = 0;
  std::uint64_t position_ = 0;
};

struct RowsInFile {
  std::uint64_t offset = 0;   ///< of the first
  std::size_t row_bytes = 0;  ///< of each
};

/// Hands rows to `take(rows, first)`, `first` being the place of the first of them among `numbers`;
/// rows that follow each other in the file are read at once. May be called from several threads.
/// @errors as PlainFile::read_at
Result<void> read_rows(const PlainFile& file,
                       const RowsInFile& rows,
                       std::span<const std::uint32_t> numbers,
                       const std::function<void(std::span<const std::byte>, std::size_t)>& take);

}  // namespace chorus::client
