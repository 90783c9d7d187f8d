// The lane checkpoint on disk: the sums folded so far, and what the journal needs to know to leave
// out the records that are in them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "server/store/journal.hpp"

namespace chorus::server {

/// How the journal stood when the checkpoint was made.
struct JournalPosition {
  std::uint64_t next_update = 1;        ///< ids from here on are younger than the checkpoint
  std::uint64_t next_segment = 1;       ///< segments from here on are younger
  std::vector<std::uint64_t> live;      ///< older updates that are not in the sums and still matter
  std::vector<std::uint64_t> segments;  ///< older segments that are kept, ascending
};

struct CheckpointFile {
  LaneCheckpoint lane;
  JournalPosition journal;
};

/// What to write; nothing is copied.
struct CheckpointView {
  std::span<const UpdateMeta> folded;
  std::int32_t scale = 0;
  std::int64_t denominator = 0;
  std::span<const std::int64_t> sums;
  JournalPosition journal;
};

/// Replaces the checkpoint as one step: temporary, fsync, rename, fsync of the folder.
/// @errors disk_full, io_failed: the old checkpoint stays
Result<void> write_checkpoint_file(Disk& disk,
                                   const std::filesystem::path& folder,
                                   const CheckpointView& view);

/// The checkpoint in this folder, if there is one. Removes what a crash left of an unfinished one.
/// @errors corrupt_data: its digest or any length is wrong; busy: no memory for the sums
Result<std::optional<CheckpointFile>> read_checkpoint_file(Disk& disk,
                                                           const std::filesystem::path& folder);

}  // namespace chorus::server
