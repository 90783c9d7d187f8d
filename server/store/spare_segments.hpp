// Files of closed rounds, kept to be overwritten. A new file costs a round its pages, its blocks,
// and their release when it goes; one that is used again costs a rename.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "chorus/result.hpp"
#include "common/base/disk.hpp"

namespace chorus::server {

/// Shared by the journals of all rounds, on the store thread. What is in the files is rubbish; a
/// segment is told from it by the journal's identity (JournalOptions).
class SpareSegments {
 public:
  /// Makes the folder, or removes what a former process left in it.
  /// @pre on the same file system as the journals
  static Result<SpareSegments> open(const std::filesystem::path& folder, Disk& disk = local_disk());

  /// Takes `file` away from where it is: to here, or, if limits::kSpareSegmentBytesMax are kept
  /// already, for good. @pre nobody reads it any more
  Result<void> keep(const std::filesystem::path& file);
  /// A kept file under the name `path`, opened for reading and writing; null if there is none.
  Result<std::unique_ptr<File>> take(const std::filesystem::path& path);

  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  SpareSegments(std::filesystem::path folder, Disk& disk)
      : folder_(std::move(folder)), disk_(&disk) {}

  struct Spare {
    std::filesystem::path path;
    std::uint64_t bytes = 0;
  };
  std::filesystem::path folder_;
  Disk* disk_;
  std::vector<Spare> spares_;
  std::uint64_t bytes_ = 0;
  std::uint64_t next_ = 1;
};

}  // namespace chorus::server
