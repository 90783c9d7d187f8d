// One segment of a journal: an append-only file of records.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "chorus/result.hpp"
#include "common/base/disk.hpp"
#include "server/store/journal_format.hpp"
#include "server/store/record_codec.hpp"
#include "server/store/spare_segments.hpp"

namespace chorus::server {

/// Appends are from one thread; file() may be read from any, concurrently, below size().
class SegmentFile {
 public:
  /// "000007.seg"
  static std::filesystem::path name_of(std::uint64_t number);
  /// The number in such a name; nothing for any other.
  static std::optional<std::uint64_t> number_of(const std::filesystem::path& name);

  /// Where a segment is, and what its header says.
  struct Place {
    std::filesystem::path folder;
    std::uint64_t identity = 0;  ///< of the journal
    std::uint64_t number = 0;
    Disk* disk = &local_disk();
    std::filesystem::path path() const { return folder / name_of(number); }
  };

  /// Makes an empty segment, replacing one of that number. Its name is durable on return.
  /// @param expected_bytes  space is not reserved much beyond this
  /// @param spares          where to take the file from, if not null and not empty
  static Result<std::shared_ptr<SegmentFile>> create(const Place& place,
                                                     std::uint64_t expected_bytes,
                                                     SpareSegments* spares);
  /// Opens an existing one; nothing when its header is torn or not that of this place.
  static Result<std::shared_ptr<SegmentFile>> open(const Place& place);

  /// Appends a record; returns where its payload begins. After a failure the segment is as before.
  /// @errors disk_full, io_failed
  Result<std::uint64_t> append(const RecordHeader& header, std::span<const std::byte> payload);

  /// Tells the kernel to write out what has gathered, without waiting, so that the next sync()
  /// finds little to do. Cheap when little has gathered.
  void start_writeback();
  /// fdatasync, if anything was appended since the last one.
  Result<void> sync();
  /// Cuts everything from `bytes` on; the next sync() makes that durable.
  Result<void> truncate(std::uint64_t bytes);
  /// No more will be appended: ends the file at size(), and gives back what was reserved beyond it.
  /// @errors io_failed; what lies behind the end could then not be told from damage
  Result<void> finish();

  const File& file() const noexcept { return *file_; }
  std::uint64_t number() const noexcept { return number_; }
  std::uint64_t size() const noexcept { return size_; }
  bool dirty() const noexcept { return dirty_; }
  journal_format::Position end() const noexcept { return {number_, size_}; }
  /// Seed of the checksum of the record at `offset`.
  std::uint64_t seed_at(std::uint64_t offset) const noexcept { return salt_ + offset; }

 private:
  SegmentFile(std::unique_ptr<File> file, std::uint64_t number)
      : file_(std::move(file)), number_(number) {}
  void reserve(std::uint64_t bytes);

  std::unique_ptr<File> file_;
  std::uint64_t number_;
  std::uint64_t salt_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t expected_ = 0;
  std::uint64_t reserved_ = 0;   ///< preallocated up to here
  std::uint64_t writeback_ = 0;  ///< writing out was started up to here
  bool rubbish_ = false;         ///< the file goes on beyond size_, with what a former use left
  bool dirty_ = true;
  bool can_reserve_ = true;
};

/// The farthest place known to be on disk, kept in a file of its own that is overwritten after each
/// sync but never synced itself: it may be older than the truth, never newer. A bad record before
/// it is damage; one after it is what a power cut leaves.
class DurableMark {
 public:
  static Result<DurableMark> open(Disk& disk, const std::filesystem::path& folder);
  journal_format::Position position() const noexcept { return position_; }
  Result<void> move_to(journal_format::Position position);

 private:
  explicit DurableMark(std::unique_ptr<File> file) : file_(std::move(file)) {}

  std::unique_ptr<File> file_;
  journal_format::Position position_;
};

}  // namespace chorus::server
