#include "server/store/journal_state.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::server {

using journal_format::RecordKind;

JournalState::JournalState(const CheckpointFile& checkpoint)
    : next_update_(checkpoint.journal.next_update),
      checkpoint_update_(checkpoint.journal.next_update),
      live_(checkpoint.journal.live.begin(), checkpoint.journal.live.end()) {
  for (const UpdateMeta& meta : checkpoint.lane.folded) folded_.emplace(meta.client, meta);
}

bool JournalState::is_obsolete(std::uint64_t id) const {
  return id < checkpoint_update_ && !live_.contains(id);
}

Result<void> JournalState::apply(const RecordAt& record) {
  switch (record.header.kind) {
    case RecordKind::begin:
      return apply_begin(record);
    case RecordKind::chunk:
      return apply_chunk(record);
    case RecordKind::commit:
      return apply_commit(record);
    case RecordKind::abandon:
      return apply_abandon(record.header.update);
  }
  return fail(errc::corrupt_data, "a record is of no known kind");
}

Result<void> JournalState::apply_begin(const RecordAt& record) {
  const std::uint64_t id = record.header.update;
  if (is_obsolete(id)) return {};
  CHORUS_TRY(UpdateMeta meta, parse_meta(record.payload));
  const auto known = ids_.find(meta.client);
  if (known != ids_.end() && updates_.at(known->second).committed) {
    return fail(errc::corrupt_data,
                fmt::format("device '{}' begins an update after its commit", meta.client.value));
  }
  if (known != ids_.end() && known->second == id) {
    StoredUpdate& update = updates_.at(id);
    if (meta.bytes != update.meta.bytes || meta.digest != update.meta.digest) {
      return fail(errc::corrupt_data, fmt::format("update {} changes its body", id));
    }
    update.meta = std::move(meta);
    update.segments.insert(record.segment->number());
    return {};
  }
  if (id == 0 || updates_.contains(id) || is_folded(meta.client)) {
    return fail(errc::corrupt_data, fmt::format("update {} begins where it cannot", id));
  }
  if (known != ids_.end()) forget(known->second);
  ids_[meta.client] = id;
  StoredUpdate& update = updates_[id];
  update.meta = std::move(meta);
  update.segments.insert(record.segment->number());
  next_update_ = std::max(next_update_, id + 1);
  return {};
}

Result<void> JournalState::apply_chunk(const RecordAt& record) {
  const std::uint64_t id = record.header.update;
  if (is_obsolete(id)) return {};
  const auto found = updates_.find(id);
  if (found == updates_.end()) {
    return fail(errc::corrupt_data, fmt::format("a chunk belongs to unknown update {}", id));
  }
  StoredUpdate& update = found->second;
  if (update.committed || record.header.body_offset != update.stored ||
      record.header.payload_bytes > update.meta.bytes - update.stored) {
    return fail(
        errc::corrupt_data,
        fmt::format("a chunk of update {} for body offset {} does not follow {} of {} bytes",
                    id,
                    record.header.body_offset,
                    update.stored,
                    update.meta.bytes));
  }
  update.extents.push_back({.segment = record.segment,
                            .file_offset = record.payload_offset,
                            .body_offset = update.stored,
                            .length = record.header.payload_bytes});
  update.stored += record.header.payload_bytes;
  update.segments.insert(record.segment->number());
  return {};
}

Result<void> JournalState::apply_commit(const RecordAt& record) {
  CHORUS_TRY(const auto ids, parse_commit(record.payload));
  for (const std::uint64_t id : ids) {
    if (is_obsolete(id)) continue;
    const auto found = updates_.find(id);
    if (found == updates_.end() || found->second.committed ||
        found->second.stored != found->second.meta.bytes) {
      return fail(errc::corrupt_data,
                  fmt::format("a commit names update {}, which is not complete here", id));
    }
  }
  for (const std::uint64_t id : ids) {
    if (is_obsolete(id)) continue;
    StoredUpdate& update = updates_.at(id);
    if (update.committed) continue;  // named twice in one record
    update.committed = true;
    update.segments.insert(record.segment->number());
    commit_order_.push_back(id);
  }
  return {};
}

Result<void> JournalState::apply_abandon(std::uint64_t id) {
  const auto found = updates_.find(id);
  if (found != updates_.end() && found->second.committed) {
    return fail(errc::corrupt_data, fmt::format("update {} is abandoned after its commit", id));
  }
  forget(id);
  return {};
}

void JournalState::forget(std::uint64_t id) {
  const auto found = updates_.find(id);
  if (found == updates_.end()) return;
  ids_.erase(found->second.meta.client);
  updates_.erase(found);
}

std::uint64_t JournalState::id_of(const ClientId& client) const {
  const auto found = ids_.find(client);
  return found == ids_.end() ? 0 : found->second;
}

StoredUpdate* JournalState::find(const ClientId& client) {
  const auto found = updates_.find(id_of(client));
  return found == updates_.end() ? nullptr : &found->second;
}

const StoredUpdate* JournalState::find(const ClientId& client) const {
  return const_cast<JournalState*>(this)->find(client);  // NOLINT: adds const only
}

std::vector<UpdateMeta> JournalState::committed_in_order() const {
  std::vector<UpdateMeta> metas;
  for (const std::uint64_t id : commit_order_) metas.push_back(updates_.at(id).meta);
  return metas;
}

void JournalState::fold(std::span<const UpdateMeta> folded) {
  for (const UpdateMeta& meta : folded) {
    if (!folded_.emplace(meta.client, meta).second) continue;
    const std::uint64_t id = id_of(meta.client);
    CHORUS_ASSERT(id != 0 && updates_.at(id).committed);
    forget(id);
  }
  std::erase_if(commit_order_, [this](std::uint64_t id) { return !updates_.contains(id); });
  checkpoint_update_ = next_update_;
  live_.clear();
  for (const auto& [id, update] : updates_) live_.insert(id);
}

}  // namespace chorus::server
