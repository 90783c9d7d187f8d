// What a round leaves beside its version when versions or differences travel, by job and round:
//
//   <job>/<round>.change  the step to the version: body of a compressed update (common/codec)
//   <job>/<round>.rest    f32 per parameter: what the codec left out, for the next round to add
//   <job>/<round>.sent    f32 per parameter: what all devices have sent, their mean
//                         (server/compress/sent_mean.hpp)
//
// The newest steps are kept for devices that have been away, and the newest of the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "chorus/result.hpp"
#include "common/base/disk.hpp"
#include "common/base/types.hpp"
#include "server/store/ledger_rows.hpp"

namespace chorus::server {

/// Reads the body of a step. Usable on any thread.
class ChangeReader {
 public:
  virtual ~ChangeReader() = default;
  virtual std::uint64_t bytes() const = 0;
  virtual Result<void> read(std::uint64_t offset, std::span<std::byte> into) const = 0;
};

/// Reads numbers that a round left for the next. Usable on any thread.
class RestReader {
 public:
  virtual ~RestReader() = default;
  /// Of parameters [first, first + into.size()).
  virtual Result<void> read(std::uint64_t first, std::span<float> into) const = 0;
  /// Reads all of it. @errors corrupt_data: another digest
  virtual Result<void> verify(const BodyDigest& expected) const = 0;
};

/// Writes both files of a round. Destroying it without commit leaves nothing behind.
class ChangeWriter {
 public:
  virtual ~ChangeWriter() = default;
  /// The payloads, in order; they follow the table.
  virtual Result<void> append_payload(std::span<const std::byte> payload) = 0;
  virtual Result<void> append_rest(std::span<const float> rest) = 0;
  /// Both are on the disk under their names afterwards, in place of what was there.
  /// @param table  of as many bytes as begin() was told
  virtual Result<ChangeInfo> commit(std::span<const std::byte> table) = 0;
};

/// Writes the mean of what devices have sent. Destroying it without commit leaves nothing behind.
class SentWriter {
 public:
  virtual ~SentWriter() = default;
  virtual Result<void> append(std::span<const float> mean) = 0;
  /// On the disk under its name afterwards, in place of what was there.
  virtual Result<BodyDigest> commit() = 0;
};

/// The folder of all. Thread-safe for different jobs.
class ChangeStore {
 public:
  /// Opens or creates; removes what a crash left of unfinished files.
  static Result<std::unique_ptr<ChangeStore>> open(const std::filesystem::path& folder,
                                                   Disk& disk = local_disk());
  virtual ~ChangeStore() = default;

  virtual Result<std::unique_ptr<ChangeWriter>> begin(const JobId& job,
                                                      RoundId round,
                                                      std::uint64_t table_bytes) = 0;
  /// @errors not_found; corrupt_data: another length than `info` says
  virtual Result<std::shared_ptr<const ChangeReader>> open_change(const JobId& job,
                                                                  RoundId round,
                                                                  const ChangeInfo& info) const = 0;
  /// @errors not_found; corrupt_data: another length
  virtual Result<std::shared_ptr<const RestReader>> open_rest(const JobId& job,
                                                              RoundId round,
                                                              std::uint64_t parameters) const = 0;
  virtual Result<std::unique_ptr<SentWriter>> begin_sent(const JobId& job, RoundId round) = 0;
  /// @errors not_found; corrupt_data: another length
  virtual Result<std::shared_ptr<const RestReader>> open_sent(const JobId& job,
                                                              RoundId round,
                                                              std::uint64_t parameters) const = 0;
  /// Files of rounds before these go.
  struct Oldest {
    RoundId change{};
    RoundId rest{};
    RoundId sent{};
  };
  virtual Result<void> prune(const JobId& job, const Oldest& kept) = 0;
};

}  // namespace chorus::server
