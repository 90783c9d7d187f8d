#include "server/store/journal.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/disk.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "server/store/checkpoint_file.hpp"
#include "server/store/journal_recovery.hpp"
#include "server/store/journal_state.hpp"
#include "server/store/segment_file.hpp"

namespace chorus::server {

using journal_format::kPayloadBytesMax;
using journal_format::RecordKind;

namespace {

/// Where a journal's folder goes while it is being deleted.
std::filesystem::path doomed_name(const std::filesystem::path& folder) {
  return folder.string() + ".removed";
}

class SegmentReader final : public UpdateReader {
 public:
  SegmentReader(std::vector<Extent> extents, std::uint64_t bytes)
      : extents_(std::move(extents)), bytes_(bytes) {}

  std::uint64_t bytes() const override { return bytes_; }

  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (offset > bytes_ || into.size() > bytes_ - offset) {
      return fail(errc::invalid_argument,
                  fmt::format("{} bytes at {} are beyond the {} stored of this update",
                              into.size(),
                              offset,
                              bytes_));
    }
    const auto begins_after = [](std::uint64_t at, const Extent& extent) {
      return at < extent.body_offset;
    };
    auto extent = std::upper_bound(extents_.begin(), extents_.end(), offset, begins_after);
    while (!into.empty()) {
      CHORUS_ASSERT(extent != extents_.begin());
      const Extent& part = *std::prev(extent);
      const std::uint64_t skip = offset - part.body_offset;
      const auto piece = into.first(std::min<std::size_t>(into.size(), part.length - skip));
      CHORUS_OK(part.segment->file().read(part.file_offset + skip, piece));
      offset += piece.size();
      into = into.subspan(piece.size());
      ++extent;
    }
    return {};
  }

 private:
  std::vector<Extent> extents_;  // contiguous, in order, none empty
  std::uint64_t bytes_;
};

class FileJournal final : public RoundJournal {
 public:
  FileJournal(std::filesystem::path folder,
              const JournalOptions& options,
              DurableMark mark,
              RecoveredJournal recovered)
      : folder_(std::move(folder)),
        options_(options),
        mark_(std::move(mark)),
        state_(std::move(recovered.state)),
        segments_(std::move(recovered.segments)),
        next_segment_(recovered.next_segment) {}

  /// What recovery has found, names included, may be in the page cache only, and counts from now
  /// on: a process that died before it synced a segment's name has left one that a power cut takes.
  Result<void> start() {
    if (!options_.sync) return {};
    CHORUS_OK(options_.disk->sync_folder(folder_));
    return sync_all();
  }
  Recovered report(std::optional<LaneCheckpoint> checkpoint) const;

  Result<std::uint64_t> begin(const UpdateMeta& meta) override;
  Result<void> append(const ClientId& client,
                      std::uint64_t offset,
                      std::span<const std::byte> data) override;
  Result<void> commit(std::span<const ClientId> clients) override;
  void abandon(const ClientId& client) override;
  Result<std::shared_ptr<const UpdateReader>> reader(const ClientId& client) const override;
  Result<void> write_checkpoint(std::span<const UpdateMeta> folded,
                                std::int32_t scale,
                                std::int64_t denominator,
                                std::span<const std::int64_t> sums) override;
  std::uint64_t disk_bytes() const override;
  Result<void> remove() override;

 private:
  Result<void> usable() const;
  Result<std::shared_ptr<SegmentFile>> segment_for_append();
  Result<void> write(RecordHeader header, std::span<const std::byte> payload);
  Result<void> sync_all();
  Result<std::vector<std::uint64_t>> ids_to_commit(std::span<const ClientId> clients) const;
  Result<void> check_folded(std::span<const UpdateMeta> folded) const;
  JournalPosition position_after(const std::set<ClientId>& folded) const;
  Result<void> drop_segments_except(const std::vector<std::uint64_t>& kept);
  Result<void> release(std::shared_ptr<SegmentFile> segment, const std::filesystem::path& path);

  std::filesystem::path folder_;
  JournalOptions options_;
  DurableMark mark_;
  JournalState state_;
  std::map<std::uint64_t, std::shared_ptr<SegmentFile>> segments_;
  std::uint64_t next_segment_;
  /// Set when the files can no longer be trusted; only a restart recovers.
  std::optional<Failure> broken_;
};

RoundJournal::Recovered FileJournal::report(std::optional<LaneCheckpoint> checkpoint) const {
  Recovered recovered;
  recovered.checkpoint = std::move(checkpoint);
  recovered.committed = state_.committed_in_order();
  for (const auto& [id, update] : state_.updates()) {
    if (!update.committed) recovered.partial[update.meta.client] = update.stored;
  }
  return recovered;
}

Result<void> FileJournal::usable() const {
  if (broken_) return *broken_;
  return {};
}

Result<std::shared_ptr<SegmentFile>> FileJournal::segment_for_append() {
  if (!segments_.empty()) {
    const auto& last = segments_.rbegin()->second;
    // A number below next_segment_ - 1 is an old segment that a checkpoint kept.
    if (last->number() + 1 == next_segment_ && last->size() <= options_.segment_bytes) return last;
    CHORUS_OK(last->finish());
  }
  // It ends with the record that fills it.
  const std::uint64_t expected = options_.segment_bytes + limits::kChunkBytesMax;
  CHORUS_TRY(
      auto segment,
      SegmentFile::create({folder_, journal_identity(options_.name), next_segment_, options_.disk},
                          expected,
                          options_.spares));
  segments_[next_segment_++] = segment;
  return segment;
}

Result<void> FileJournal::write(RecordHeader header, std::span<const std::byte> payload) {
  CHORUS_TRY(const auto segment, segment_for_append());
  header.payload_bytes = static_cast<std::uint32_t>(payload.size());
  CHORUS_TRY(const std::uint64_t payload_offset, segment->append(header, payload));
  if (options_.sync) segment->start_writeback();
  const auto applied = state_.apply(
      {.header = header, .payload = payload, .segment = segment, .payload_offset = payload_offset});
  CHORUS_ASSERT(applied.has_value());
  return {};
}

/// Every segment with unsynced bytes, oldest first: a record on disk implies those before it.
Result<void> FileJournal::sync_all() {
  for (const auto& [number, segment] : segments_) {
    if (auto synced = segment->sync(); !synced) {
      // After a failed sync the kernel may have dropped the bytes and report success next time.
      broken_ = std::move(synced).error().during("the journal stopped; restart chorusd");
      return *broken_;
    }
  }
  // Should the mark not be written it stays older than the truth, which is allowed.
  if (!segments_.empty()) {
    static_cast<void>(mark_.move_to(segments_.rbegin()->second->end()));
  }
  return {};
}

Result<std::uint64_t> FileJournal::begin(const UpdateMeta& meta) {
  CHORUS_OK(usable());
  CHORUS_OK(check_meta(meta));
  const StoredUpdate* const known = state_.find(meta.client);
  if (state_.is_folded(meta.client) || (known != nullptr && known->committed)) {
    return fail(errc::wrong_state,
                fmt::format("the update of '{}' is committed already", meta.client.value));
  }
  RecordHeader header{.kind = RecordKind::begin, .update = state_.next_update()};
  if (known != nullptr && known->meta.bytes == meta.bytes && known->meta.digest == meta.digest) {
    if (known->meta == meta) return known->stored;
    header.update = state_.id_of(meta.client);  // the same body, other numbers beside it
  }
  CHORUS_OK(write(header, encode_meta(meta)));
  return state_.find(meta.client)->stored;
}

Result<void> FileJournal::append(const ClientId& client,
                                 std::uint64_t offset,
                                 std::span<const std::byte> data) {
  CHORUS_OK(usable());
  const StoredUpdate* const update = state_.find(client);
  if (update == nullptr) {
    return fail(errc::not_found, fmt::format("'{}' has begun no update", client.value));
  }
  if (offset != update->stored || data.size() > update->meta.bytes - update->stored) {
    return fail(errc::invalid_argument,
                fmt::format("{} bytes at {} of the update of '{}' do not follow its {} of {} bytes",
                            data.size(),
                            offset,
                            client.value,
                            update->stored,
                            update->meta.bytes));
  }
  const std::uint64_t records_max =
      limits::kUploadRecordsSlack + update->meta.bytes / limits::kUploadBytesPerRecordMin;
  while (!data.empty()) {
    if (update->extents.size() >= records_max) {
      return fail(errc::invalid_argument,
                  fmt::format("the update of '{}' came in more than {} pieces; send larger ones",
                              client.value,
                              records_max));
    }
    const auto piece = data.first(std::min(data.size(), kPayloadBytesMax));
    const RecordHeader header{
        .kind = RecordKind::chunk, .update = state_.id_of(client), .body_offset = update->stored};
    CHORUS_OK(write(header, piece));
    data = data.subspan(piece.size());
  }
  return {};
}

Result<std::vector<std::uint64_t>> FileJournal::ids_to_commit(
    std::span<const ClientId> clients) const {
  std::vector<std::uint64_t> ids;
  std::set<std::uint64_t> seen;
  for (const ClientId& client : clients) {
    const StoredUpdate* const update = state_.find(client);
    if (update == nullptr && !state_.is_folded(client)) {
      return fail(errc::not_found, fmt::format("'{}' has begun no update", client.value));
    }
    if (update == nullptr || update->committed || !seen.insert(state_.id_of(client)).second) {
      return fail(errc::wrong_state,
                  fmt::format("the update of '{}' is committed already", client.value));
    }
    if (update->stored != update->meta.bytes) {
      return fail(errc::invalid_argument,
                  fmt::format("the update of '{}' has {} of its {} bytes; it cannot be committed",
                              client.value,
                              update->stored,
                              update->meta.bytes));
    }
    ids.push_back(state_.id_of(client));
  }
  return ids;
}

Result<void> FileJournal::commit(std::span<const ClientId> clients) {
  CHORUS_OK(usable());
  if (clients.empty()) return {};
  CHORUS_TRY(const auto ids, ids_to_commit(clients));
  const auto payload = encode_commit(ids);
  if (payload.size() > kPayloadBytesMax) {
    return fail(errc::invalid_argument,
                fmt::format("{} updates are too many for one commit; {} are allowed",
                            ids.size(),
                            kPayloadBytesMax / sizeof(std::uint64_t)));
  }
  CHORUS_OK(write({.kind = RecordKind::commit}, payload));
  return options_.sync ? sync_all() : Result<void>();
}

void FileJournal::abandon(const ClientId& client) {
  const StoredUpdate* const update = state_.find(client);
  if (broken_ || update == nullptr || update->committed) return;
  // If it cannot be written the upload stays, which costs space only.
  static_cast<void>(write({.kind = RecordKind::abandon, .update = state_.id_of(client)}, {}));
}

Result<std::shared_ptr<const UpdateReader>> FileJournal::reader(const ClientId& client) const {
  const StoredUpdate* const update = state_.find(client);
  if (update == nullptr) {
    CHORUS_OK(usable());  // removed with its round: says so
    return fail(errc::not_found, fmt::format("the journal holds no update of '{}'", client.value));
  }
  return std::shared_ptr<const UpdateReader>(
      std::make_shared<SegmentReader>(update->extents, update->stored));
}

Result<void> FileJournal::check_folded(std::span<const UpdateMeta> folded) const {
  std::set<ClientId> names;
  std::size_t again = 0;
  for (const UpdateMeta& meta : folded) {
    const auto earlier = state_.folded().find(meta.client);
    const bool was_folded = earlier != state_.folded().end();
    const StoredUpdate* const update = state_.find(meta.client);
    const bool known = was_folded || (update != nullptr && update->committed);
    if (!known || (was_folded ? earlier->second : update->meta) != meta ||
        !names.insert(meta.client).second) {
      return fail(errc::invalid_argument,
                  fmt::format("the checkpoint names an update of '{}' {}",
                              meta.client.value,
                              known ? "twice, or another one than was committed"
                                    : "that is not committed"));
    }
    if (was_folded) ++again;
  }
  if (again != state_.folded().size()) {
    return fail(errc::invalid_argument,
                fmt::format("the checkpoint leaves out {} updates that the last one holds",
                            state_.folded().size() - again));
  }
  return {};
}

JournalPosition FileJournal::position_after(const std::set<ClientId>& folded) const {
  JournalPosition position;
  position.next_update = state_.next_update();
  position.next_segment = next_segment_;
  std::set<std::uint64_t> needed;
  for (const auto& [id, update] : state_.updates()) {
    if (folded.contains(update.meta.client)) continue;
    position.live.push_back(id);
    needed.insert(update.segments.begin(), update.segments.end());
  }
  position.segments.assign(needed.begin(), needed.end());
  return position;
}

Result<void> FileJournal::write_checkpoint(std::span<const UpdateMeta> folded,
                                           std::int32_t scale,
                                           std::int64_t denominator,
                                           std::span<const std::int64_t> sums) {
  CHORUS_OK(usable());
  CHORUS_OK(check_folded(folded));
  std::set<ClientId> names;
  for (const UpdateMeta& meta : folded) names.insert(meta.client);
  CheckpointView view{.folded = folded,
                      .scale = scale,
                      .denominator = denominator,
                      .sums = sums,
                      .journal = position_after(names)};
  CHORUS_OK(write_checkpoint_file(*options_.disk, folder_, view));
  state_.fold(folded);
  return drop_segments_except(view.journal.segments);
}

Result<void> FileJournal::drop_segments_except(const std::vector<std::uint64_t>& kept) {
  for (auto segment = segments_.begin(); segment != segments_.end();) {
    if (std::binary_search(kept.begin(), kept.end(), segment->first)) {
      ++segment;
      continue;
    }
    // Out of the list first: whether its file can go or not, it is no part of the journal any more.
    auto dropped = std::move(segment->second);
    segment = segments_.erase(segment);
    const auto path = dropped->file().path();
    CHORUS_OK(release(std::move(dropped), path));
  }
  return options_.disk->sync_folder(folder_);
}

std::uint64_t FileJournal::disk_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [number, segment] : segments_) bytes += segment->size();
  return bytes;
}

/// Its readers may still be at work; then the file goes with the last of them.
Result<void> FileJournal::release(std::shared_ptr<SegmentFile> segment,
                                  const std::filesystem::path& path) {
  if (options_.spares != nullptr && segment.use_count() == 1) return options_.spares->keep(path);
  return options_.disk->remove(path);
}

Result<void> FileJournal::remove() {
  broken_ = fail(errc::wrong_state, "the journal of this round was removed");
  state_ = JournalState();
  auto segments = std::exchange(segments_, {});
  // One rename first: half a journal must never be found under the journal's name.
  const auto doomed = doomed_name(folder_);
  CHORUS_OK(options_.disk->remove_folder(doomed));
  CHORUS_OK(options_.disk->rename(folder_, doomed));
  for (auto& [number, segment] : segments) {
    CHORUS_OK(release(std::move(segment), doomed / SegmentFile::name_of(number)));
  }
  return options_.disk->remove_folder(doomed);
}

}  // namespace

Result<std::unique_ptr<RoundJournal>> RoundJournal::open(const std::filesystem::path& folder,
                                                         const JournalOptions& options,
                                                         Recovered& recovered) {
  Disk& disk = *options.disk;
  CHORUS_OK(disk.remove_folder(doomed_name(folder)));
  CHORUS_OK(disk.make_folder(folder));
  CHORUS_TRY(auto mark, DurableMark::open(disk, folder));
  CHORUS_TRY(auto found,
             recover_journal({folder, journal_identity(options.name), &disk}, mark.position()));
  auto checkpoint = std::move(found.checkpoint);
  auto journal = std::make_unique<FileJournal>(folder, options, std::move(mark), std::move(found));
  CHORUS_OK(journal->start());
  recovered = journal->report(std::move(checkpoint));
  return std::unique_ptr<RoundJournal>(std::move(journal));
}

}  // namespace chorus::server
