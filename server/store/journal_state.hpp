// What a journal knows in memory, and how one record changes it. Recovery applies the records it
// reads, the running journal those it has written: one function, so that the two cannot differ.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "server/store/checkpoint_file.hpp"
#include "server/store/record_codec.hpp"
#include "server/store/segment_file.hpp"

namespace chorus::server {

/// Body bytes [body_offset, body_offset + length) lie at file_offset.
struct Extent {
  std::shared_ptr<const SegmentFile> segment;
  std::uint64_t file_offset = 0;
  std::uint64_t body_offset = 0;
  std::uint64_t length = 0;
};

/// An update that was begun, and neither abandoned nor folded.
struct StoredUpdate {
  UpdateMeta meta;
  std::uint64_t stored = 0;  ///< contiguous body bytes
  bool committed = false;
  std::vector<Extent> extents;
  std::set<std::uint64_t> segments;  ///< numbers of those that hold any record of it
};

/// One record and where it lies.
struct RecordAt {
  RecordHeader header;
  std::span<const std::byte> payload;
  std::shared_ptr<const SegmentFile> segment;
  std::uint64_t payload_offset = 0;  ///< in the file
};

class JournalState {
 public:
  JournalState() = default;
  explicit JournalState(const CheckpointFile& checkpoint);

  /// @errors corrupt_data: the record does not follow from those before it; nothing is changed
  Result<void> apply(const RecordAt& record);

  /// The id of this client's update, or 0.
  std::uint64_t id_of(const ClientId& client) const;
  StoredUpdate* find(const ClientId& client);
  const StoredUpdate* find(const ClientId& client) const;
  /// True if this client's update is in the checkpoint.
  bool is_folded(const ClientId& client) const { return folded_.contains(client); }
  const std::map<ClientId, UpdateMeta>& folded() const { return folded_; }
  const std::map<std::uint64_t, StoredUpdate>& updates() const { return updates_; }
  std::vector<UpdateMeta> committed_in_order() const;
  std::uint64_t next_update() const { return next_update_; }

  /// Moves committed updates into the checkpoint.
  /// @pre each is committed or folded
  void fold(std::span<const UpdateMeta> folded);

 private:
  Result<void> apply_begin(const RecordAt& record);
  Result<void> apply_chunk(const RecordAt& record);
  Result<void> apply_commit(const RecordAt& record);
  Result<void> apply_abandon(std::uint64_t id);
  void forget(std::uint64_t id);
  /// Records of an update that the checkpoint folded or that was abandoned before it.
  bool is_obsolete(std::uint64_t id) const;

  std::map<std::uint64_t, StoredUpdate> updates_;
  std::map<ClientId, std::uint64_t> ids_;
  std::vector<std::uint64_t> commit_order_;
  std::map<ClientId, UpdateMeta> folded_;
  std::uint64_t next_update_ = 1;
  std::uint64_t checkpoint_update_ = 1;  ///< ids below are older than the checkpoint
  std::set<std::uint64_t> live_;         ///< of those, the ones whose records still count
};

}  // namespace chorus::server
