// Reads a journal's folder after a restart and decides what of it is true.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "chorus/result.hpp"
#include "server/store/journal_state.hpp"

namespace chorus::server {

struct RecoveredJournal {
  JournalState state;
  std::optional<LaneCheckpoint> checkpoint;
  std::map<std::uint64_t, std::shared_ptr<SegmentFile>> segments;
  std::uint64_t next_segment = 1;
};

/// Where a journal is, and whose segments are its own.
struct JournalPlace {
  std::filesystem::path folder;
  std::uint64_t identity = 0;
  Disk* disk = &local_disk();
};

/// Reads every record once and checks its checksum. The first bad record ends the journal: if it
/// lies before `durable` the disk has lost what was promised, and the failure names file and
/// offset; else it and all that follows are what a crash leaves, and are cut off.
/// @errors corrupt_data, io_failed, disk_full; busy (no memory for the checkpoint's sums)
Result<RecoveredJournal> recover_journal(const JournalPlace& place,
                                         journal_format::Position durable);

}  // namespace chorus::server
