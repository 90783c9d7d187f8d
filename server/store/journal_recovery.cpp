#include "server/store/journal_recovery.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <vector>

#include "common/base/try.hpp"

namespace chorus::server {

using journal_format::kRecordHeaderBytes;
using journal_format::kSegmentHeaderBytes;
using journal_format::Position;

namespace {

/// Why and where the journal ends early.
struct Bad {
  Position at;
  std::string why;
};

class Recovery {
 public:
  Recovery(const JournalPlace& place, Position durable)
      : disk_(*place.disk), folder_(place.folder), identity_(place.identity), durable_(durable) {}

  Result<RecoveredJournal> run() {
    CHORUS_TRY(auto checkpoint, read_checkpoint_file(disk_, folder_));
    if (checkpoint) {
      result_.state = JournalState(*checkpoint);
      result_.next_segment = checkpoint->journal.next_segment;
      kept_.insert(checkpoint->journal.segments.begin(), checkpoint->journal.segments.end());
      result_.checkpoint = std::move(checkpoint->lane);
    }
    CHORUS_TRY(const auto expected, list_segments());
    for (const std::uint64_t number : expected) {
      CHORUS_TRY(const auto bad, read_segment(number));
      if (!bad) continue;
      CHORUS_OK(cut(*bad, expected));
      break;
    }
    if (!result_.segments.empty()) {
      result_.next_segment = std::max(result_.next_segment, result_.segments.rbegin()->first + 1);
    }
    return std::move(result_);
  }

 private:
  /// The numbers of all segments that there should be, ascending. Removes those that the checkpoint
  /// had dropped when a crash came between.
  Result<std::vector<std::uint64_t>> list_segments() {
    std::set<std::uint64_t> expected = kept_;
    std::uint64_t last = 0;
    CHORUS_TRY(const auto paths, disk_.list(folder_));
    for (const auto& path : paths) {
      const auto number = SegmentFile::number_of(path.filename());
      if (!number) continue;
      found_.insert(*number);
      if (*number >= result_.next_segment) last = std::max(last, *number);
      if (*number < result_.next_segment && !kept_.contains(*number)) {
        CHORUS_OK(remove(*number));
      }
    }
    // A number that is missing in between is where the journal ends.
    if (durable_.segment >= result_.next_segment) last = std::max(last, durable_.segment);
    for (std::uint64_t number = result_.next_segment; number <= last; ++number) {
      if (expected.insert(number); !found_.contains(number)) break;
    }
    for (const std::uint64_t number : found_) {
      if (number >= result_.next_segment) expected.insert(number);
    }
    return std::vector<std::uint64_t>(expected.begin(), expected.end());
  }

  SegmentFile::Place place_of(std::uint64_t number) const {
    return {folder_, identity_, number, &disk_};
  }

  Result<void> remove(std::uint64_t number) {
    return disk_.remove_if_there(folder_ / SegmentFile::name_of(number));
  }

  /// Applies a segment's records; where it stopped being a journal, if it did.
  Result<std::optional<Bad>> read_segment(std::uint64_t number) {
    if (!found_.contains(number)) return bad({number, 0}, "the file is missing");
    CHORUS_TRY(auto segment, SegmentFile::open(place_of(number)));
    if (segment == nullptr) return bad({number, 0}, "the segment header is damaged");
    result_.segments[number] = segment;
    for (std::uint64_t at = kSegmentHeaderBytes; at < segment->size();) {
      CHORUS_TRY(const auto why, read_record(segment, at));
      if (why) return bad({number, at}, *why);
      at += kRecordHeaderBytes + payload_.size();
    }
    return std::optional<Bad>();
  }

  /// Nothing, or what is wrong with the record at `at`.
  Result<std::optional<std::string>> read_record(const std::shared_ptr<SegmentFile>& segment,
                                                 std::uint64_t at) {
    const std::uint64_t left = segment->size() - at;
    RecordHeaderBytes bytes{};
    if (left < bytes.size()) return wrong("it ends within a record's header");
    CHORUS_OK(segment->file().read(at, bytes));
    const auto header = parse_record_header(bytes);
    if (!header) return wrong("there is no record header");
    if (header->payload_bytes > left - bytes.size()) return wrong("it ends within a record");
    payload_.resize(header->payload_bytes);
    const std::uint64_t payload_offset = at + bytes.size();
    CHORUS_OK(segment->file().read(payload_offset, payload_));
    if (!checksum_matches(bytes, payload_, segment->seed_at(at))) {
      return wrong("a record's checksum is wrong");
    }
    auto applied = result_.state.apply({.header = *header,
                                        .payload = payload_,
                                        .segment = segment,
                                        .payload_offset = payload_offset});
    if (!applied) return wrong(applied.error().detail);
    return std::optional<std::string>();
  }

  static Result<std::optional<std::string>> wrong(std::string why) {
    return std::optional<std::string>(std::move(why));
  }
  static Result<std::optional<Bad>> bad(Position at, std::string why) {
    return std::optional<Bad>(Bad{at, std::move(why)});
  }

  /// Ends the journal at `bad`: everything from there on was never promised.
  Result<void> cut(const Bad& bad, const std::vector<std::uint64_t>& expected) {
    if (bad.at < durable_) {
      const auto path = folder_ / SegmentFile::name_of(bad.at.segment);
      return fail(errc::corrupt_data,
                  fmt::format("journal '{}' is damaged at offset {}: {}; everything before offset "
                              "{} of '{}' was on disk. Restore the file, or abandon the round",
                              path.string(),
                              bad.at.offset,
                              bad.why,
                              durable_.offset,
                              SegmentFile::name_of(durable_.segment).string()));
    }
    bool removed = false;
    for (const std::uint64_t number : expected) {
      if (number < bad.at.segment) continue;
      if (number == bad.at.segment && bad.at.offset >= kSegmentHeaderBytes) {
        CHORUS_OK(result_.segments.at(number)->truncate(bad.at.offset));
      } else if (kept_.contains(number)) {
        // The checkpoint counts on it: it must exist, be it empty.
        CHORUS_TRY(result_.segments[number], SegmentFile::create(place_of(number), 0, nullptr));
      } else {
        CHORUS_OK(remove(number));
        removed = true;
      }
    }
    // A removed segment must not come back beside a new one: its records could seem to follow.
    return removed ? disk_.sync_folder(folder_) : Result<void>();
  }

  Disk& disk_;
  const std::filesystem::path& folder_;
  const std::uint64_t identity_;
  const Position durable_;
  RecoveredJournal result_;
  std::set<std::uint64_t> kept_;
  std::set<std::uint64_t> found_;
  std::vector<std::byte> payload_;
};

}  // namespace

Result<RecoveredJournal> recover_journal(const JournalPlace& place, Position durable) {
  return Recovery(place, durable).run();
}

}  // namespace chorus::server
