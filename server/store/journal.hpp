// The bodies of one open round, on disk: append-only segment files with checksummed records. What
// commit() has returned for is never lost and never doubled; everything else may vanish.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chorus/result.hpp"
#include "common/base/disk.hpp"
#include "common/base/types.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "server/store/update_meta.hpp"

namespace chorus::server {

class SpareSegments;

struct JournalOptions {
  /// A new segment is begun when the present one is longer than this.
  std::uint64_t segment_bytes = 256ULL << 20U;
  /// full: commit() returns after fdatasync. process: after write(2).
  bool sync = true;
  /// Of the round; no two journals that share spares have the same. A file that was another
  /// journal's segment before is known by it.
  std::string name;
  /// Where files come from and go to when the round is over; null: made and removed.
  SpareSegments* spares = nullptr;
  Disk* disk = &local_disk();
};

/// Sums already folded, and what must be known of the updates in them, so that their bodies can go.
struct LaneCheckpoint {
  std::vector<UpdateMeta> folded;            ///< every update contained in `sums`
  std::int32_t scale = 0;                    ///< of the lane (server/update/lane.hpp)
  std::int64_t denominator = 0;              ///< sum of the weights in `sums`
  tensor::AlignedBuffer<std::int64_t> sums;  ///< i64[parameters]
};

/// Reads the body of one stored update. Usable on any thread, also while others append; keeps the
/// segments it needs alive.
class UpdateReader {
 public:
  virtual ~UpdateReader() = default;
  virtual std::uint64_t bytes() const = 0;
  /// The bytes stored when the reader was made, as the file returns them. They were checked when
  /// they came or, after a restart, by recovery; they are not checked again here, nor by those who
  /// fold.
  /// @errors invalid_argument (beyond bytes()), corrupt_data (the file was cut short), io_failed
  virtual Result<void> read(std::uint64_t offset, std::span<std::byte> into) const = 0;
};

/// One round's journal, in a folder of its own. All calls from one thread at a time (the store
/// thread) unless said otherwise.
class RoundJournal {
 public:
  /// What a fresh process finds.
  struct Recovered {
    std::optional<LaneCheckpoint> checkpoint;
    std::vector<UpdateMeta> committed;          ///< not in the checkpoint; in commit order
    std::map<ClientId, std::uint64_t> partial;  ///< contiguous bytes of unfinished uploads
  };

  /// Opens or creates. A torn tail (power cut while writing) is cut off silently; a bad checksum
  /// before the last committed record is corrupt_data, naming file and offset, and changes nothing.
  static Result<std::unique_ptr<RoundJournal>> open(const std::filesystem::path& folder,
                                                    const JournalOptions& options,
                                                    Recovered& recovered);
  virtual ~RoundJournal() = default;

  /// Begins or resumes an upload. Returns the offset to go on from: what is stored already when
  /// the same (client, bytes, digest) was begun before, else 0 (an older different upload of this
  /// client is abandoned).
  /// @errors wrong_state (this client's update is committed); invalid_argument (beyond limits.hpp)
  virtual Result<std::uint64_t> begin(const UpdateMeta& meta) = 0;

  /// Appends body bytes at `offset`, which must be where the upload stands. Not yet durable.
  /// After a failure the upload stands where it did, but for whole 16 MiB pieces before it.
  /// @errors invalid_argument (wrong offset, beyond meta.bytes, or in too many too small pieces),
  ///         not_found (nothing begun), disk_full, io_failed
  virtual Result<void> append(const ClientId& client,
                              std::uint64_t offset,
                              std::span<const std::byte> data) = 0;

  /// Makes complete uploads durable: one record each, one sync for all (group commit).
  /// @errors not_found (nothing begun), invalid_argument (bytes are missing), wrong_state
  /// (committed
  ///         already, or named twice): nothing is committed; disk_full, io_failed: perhaps
  ///         committed; after a failed sync every later call fails until a restart
  virtual Result<void> commit(std::span<const ClientId> clients) = 0;

  /// Forgets an unfinished upload.
  virtual void abandon(const ClientId& client) = 0;

  /// A reader of a begun or committed update's stored bytes.
  virtual Result<std::shared_ptr<const UpdateReader>> reader(const ClientId& client) const = 0;

  /// Stores the checkpoint durably (temporary, fsync, rename, fsync folder), then drops every
  /// segment whose committed updates are all in it and that holds no unfinished upload.
  /// @param folded  every update in `sums`, those of the last checkpoint included
  /// @errors invalid_argument (an update is not committed here, differs, is named twice, or one of
  ///         the last checkpoint is missing); disk_full, io_failed: the old checkpoint stays
  virtual Result<void> write_checkpoint(std::span<const UpdateMeta> folded,
                                        std::int32_t scale,
                                        std::int64_t denominator,
                                        std::span<const std::int64_t> sums) = 0;

  /// Bytes of all segments now on disk.
  virtual std::uint64_t disk_bytes() const = 0;

  /// The round is published or abandoned: its files become spare, the rest is deleted. A crash may
  /// leave some of it.
  virtual Result<void> remove() = 0;
};

}  // namespace chorus::server
