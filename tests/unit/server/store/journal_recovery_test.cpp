// What a crash, a power cut and a bad disk leave, byte by byte.
#include "server/store/journal_recovery.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/store/journal_format.hpp"
#include "tests/unit/server/store/journal_fixture.hpp"

namespace chorus::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void write_contents(const std::filesystem::path& path, const std::string& contents) {
  std::filesystem::remove(path);  // file systems sync a file that is truncated and rewritten
  std::ofstream(path, std::ios::binary | std::ios::trunc) << contents;
}

/// A journal whose every step is remembered: what lay in its one segment and its mark, and what was
/// promised then.
class Crash : public JournalTest {
 protected:
  struct Step {
    std::uint64_t bytes = 0;  ///< of the segment
    std::string mark;
    std::vector<std::string> committed;
    std::map<ClientId, std::uint64_t> partial;
  };

  std::filesystem::path segment() const { return folder() / "000001.seg"; }

  void remember(std::vector<std::string> committed, std::map<ClientId, std::uint64_t> partial) {
    steps_.push_back({std::filesystem::file_size(segment()),
                      contents_of(folder() / "durable.mark"),
                      std::move(committed),
                      std::move(partial)});
  }

  void begin_small(const std::string& client, const Body& body) {
    ASSERT_TRUE(journal_->begin(small_meta(client, body)));
  }
  static UpdateMeta small_meta(const std::string& client, const Body& body) {
    UpdateMeta meta = meta_of(client, body);
    meta.metrics.clear();
    return meta;
  }

  /// Three devices; a and b commit together, c stays unfinished.
  void make_history() {
    open();
    begin_small("a", a_);
    remember({}, {{ClientId{"a"}, 0}});
    append("a", a_, 0, 20);
    remember({}, {{ClientId{"a"}, 20}});
    begin_small("b", b_);
    append("b", b_, 0, 15);
    append("a", a_, 20, 30);
    commit({ClientId{"a"}, ClientId{"b"}});
    remember({"a", "b"}, {});
    begin_small("c", c_);
    append("c", c_, 0, 25);
    remember({"a", "b"}, {{ClientId{"c"}, 25}});
    journal_.reset();
    whole_ = contents_of(segment());
  }

  /// The folder as it is when only `bytes` bytes of the segment are on disk. The mark is the one of
  /// that time: it is written after what it speaks of.
  std::filesystem::path cut_at(std::uint64_t bytes) const {
    const auto copy = temp_.path() / "cut";
    std::filesystem::remove_all(copy);
    std::filesystem::create_directory(copy);
    write_contents(copy / "000001.seg", whole_.substr(0, bytes));
    const Step* last = nullptr;
    for (const Step& step : steps_) {
      if (step.bytes <= bytes) last = &step;
    }
    write_contents(copy / "durable.mark", last != nullptr ? last->mark : std::string());
    return copy;
  }

  const Body a_ = body_of(30, 1);
  const Body b_ = body_of(15, 2);
  const Body c_ = body_of(40, 3);
  std::vector<Step> steps_;
  std::string whole_;
};

TEST_F(Crash, AtEveryByteKeepsWhatWasCommittedAndNothingElse) {
  make_history();
  const std::uint64_t promised = steps_[2].bytes;
  for (std::uint64_t bytes = 0; bytes <= whole_.size(); ++bytes) {
    const auto copy = cut_at(bytes);
    options_.sync = bytes % 25 == 0;  // syncs are slow, and what is found does not depend on them
    RoundJournal::Recovered recovered;
    auto opened = RoundJournal::open(copy, options_, recovered);
    ASSERT_TRUE(opened) << bytes << ": " << opened.error().to_string();
    ASSERT_EQ(recovered.committed.size(), bytes >= promised ? 2U : 0U) << bytes;
    for (const auto& [client, stored] : recovered.partial) {
      Body body(stored);
      ASSERT_TRUE((*opened)->reader(client).value()->read(0, body));
      const Body& sent = client.value == "a" ? a_ : client.value == "b" ? b_ : c_;
      ASSERT_TRUE(std::equal(body.begin(), body.end(), sent.begin())) << bytes;
    }
    // It goes on from there, and the torn end does not trouble the next start.
    const auto offset = (*opened)->begin(small_meta("c", c_));
    ASSERT_TRUE(offset);
    ASSERT_TRUE((*opened)->append(ClientId{"c"}, *offset, std::span(c_).subspan(*offset)));
    const std::vector clients{ClientId{"c"}};
    ASSERT_TRUE((*opened)->commit(clients));
    opened = fail(errc::cancelled, "the process is killed");
    opened = RoundJournal::open(copy, options_, recovered);
    ASSERT_TRUE(opened) << bytes;
    ASSERT_EQ(recovered.committed.size(), bytes >= promised ? 3U : 1U);
    ASSERT_EQ(recovered.committed.back(), small_meta("c", c_));
  }
}

TEST_F(Crash, AtEveryStepFindsThatStep) {
  make_history();
  for (const Step& step : steps_) {
    RoundJournal::Recovered recovered;
    ASSERT_TRUE(RoundJournal::open(cut_at(step.bytes), options_, recovered));
    EXPECT_EQ(recovered.partial, step.partial);
    EXPECT_EQ(recovered.committed.size(), step.committed.size());
  }
}

TEST_F(Crash, EveryFlippedByteBeforeTheCommitIsReported) {
  make_history();
  const std::uint64_t promised = steps_[2].bytes;
  for (std::uint64_t at = 0; at < promised; ++at) {
    const auto copy = cut_at(whole_.size());
    std::string damaged = whole_;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_contents(copy / "000001.seg", damaged);
    const auto opened = try_open(copy);
    ASSERT_FALSE(opened) << at;
    ASSERT_EQ(opened.error().code, errc::corrupt_data) << at;
    ASSERT_THAT(opened.error().detail, HasSubstr("000001.seg"));
    ASSERT_THAT(opened.error().detail, HasSubstr("offset"));
    ASSERT_EQ(contents_of(copy / "000001.seg"), damaged) << "evidence must stay";
  }
}

TEST_F(Crash, EveryFlippedByteAfterTheCommitIsCutOff) {
  make_history();
  options_.sync = false;  // for the sake of time
  for (std::uint64_t at = steps_[2].bytes; at < whole_.size(); ++at) {
    const auto copy = cut_at(steps_[2].bytes);  // its mark ends at the commit
    std::string damaged = whole_;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_contents(copy / "000001.seg", damaged);
    RoundJournal::Recovered recovered;
    ASSERT_TRUE(RoundJournal::open(copy, options_, recovered)) << at;
    ASSERT_EQ(recovered.committed.size(), 2U);
  }
}

TEST_F(Crash, GarbageOrZerosAfterTheEndAreCutOff) {
  make_history();
  for (const std::string& tail : {std::string(4096, '\0'), std::string(5000, 'x'), whole_}) {
    const auto copy = cut_at(whole_.size());
    write_contents(copy / "000001.seg", whole_ + tail);
    RoundJournal::Recovered recovered;
    ASSERT_TRUE(RoundJournal::open(copy, options_, recovered));
    EXPECT_EQ(recovered.committed.size(), 2U);
    EXPECT_THAT(recovered.partial, ElementsAre(Pair(ClientId{"c"}, 25U)));
    EXPECT_EQ(contents_of(copy / "000001.seg"), whole_);
  }
}

TEST_F(Crash, MissingPromisedBytesAreReported) {
  make_history();
  const auto copy = cut_at(whole_.size());
  write_contents(copy / "000001.seg", whole_.substr(0, steps_[2].bytes - 1));
  EXPECT_EQ(try_open(copy).error().code, errc::corrupt_data);
  std::filesystem::remove(copy / "000001.seg");
  const auto opened = try_open(copy);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().detail, HasSubstr("missing"));
}

TEST_F(Crash, ADamagedMarkPromisesNothing) {
  make_history();
  const auto copy = cut_at(whole_.size());
  std::string mark = contents_of(copy / "durable.mark");
  ASSERT_EQ(mark.size(), journal_format::kMarkBytes);
  for (char& c : mark) {
    c = static_cast<char>(c ^ 1);
    write_contents(copy / "durable.mark", mark);
    write_contents(copy / "000001.seg", whole_.substr(0, 100));
    EXPECT_TRUE(try_open(copy));
    c = static_cast<char>(c ^ 1);
  }
}

TEST_F(Crash, ProcessDurabilitySurvivesAKilledProcess) {
  options_.sync = false;
  make_history();
  RoundJournal::Recovered recovered;
  ASSERT_TRUE(RoundJournal::open(cut_at(whole_.size()), options_, recovered));
  EXPECT_EQ(recovered.committed.size(), 2U);
  EXPECT_THAT(recovered.partial, ElementsAre(Pair(ClientId{"c"}, 25U)));
}

TEST_F(Crash, ASegmentFromAnotherPlaceIsNotTaken) {
  make_history();
  const auto copy = cut_at(whole_.size());
  write_contents(copy / "000002.seg", whole_);
  RoundJournal::Recovered recovered;
  ASSERT_TRUE(RoundJournal::open(copy, options_, recovered));
  EXPECT_EQ(recovered.committed.size(), 2U);
  EXPECT_FALSE(std::filesystem::exists(copy / "000002.seg"));
}

TEST_F(Crash, OtherFilesAreLeftAlone) {
  make_history();
  const auto copy = cut_at(whole_.size());
  for (const char* name :
       {"notes.txt", "1.seg", "000000.seg", "x00001.seg", ".seg", "0000002.seg"}) {
    write_contents(copy / name, "text");
  }
  ASSERT_TRUE(try_open(copy));
  EXPECT_EQ(contents_of(copy / "notes.txt"), "text");
  EXPECT_EQ(contents_of(copy / "0000002.seg"), "text");
}

// -- several segments --

class CrashOverSegments : public JournalTest {
 protected:
  CrashOverSegments() { options_.segment_bytes = 300; }
};

TEST_F(CrashOverSegments, LaterSegmentsGoWithATornOne) {
  const Body a = body_of(200, 1);
  const Body b = body_of(2000, 2);
  open();
  store("a", a);
  begin("b", b);
  for (std::uint64_t at = 0; at < 1000; at += 100) append("b", b, at, at + 100);
  ASSERT_TRUE(std::filesystem::exists(folder() / "000004.seg"));
  journal_.reset();
  std::filesystem::resize_file(folder() / "000003.seg", 100);
  open();
  EXPECT_THAT(committed(), ElementsAre("a"));
  EXPECT_FALSE(std::filesystem::exists(folder() / "000004.seg"));
  const std::uint64_t stored = recovered_.partial.at(ClientId{"b"});
  EXPECT_LT(stored, 1000U);
  EXPECT_EQ(read("a"), a);
  begin("b", b, stored);
  append("b", b, stored, 2000);
  commit({ClientId{"b"}});
  open();
  EXPECT_THAT(committed(), ElementsAre("a", "b"));
  EXPECT_EQ(read("b"), b);
}

TEST_F(CrashOverSegments, ALostTailAtARecordBoundaryIsCutOffAsWell) {
  // The second segment was written out, the end of the first was not: no checksum is wrong.
  options_.segment_bytes = 600;
  const Body a = body_of(50, 1);
  const Body b = body_of(2000, 2);
  open();
  store("a", a);
  const auto boundary = std::filesystem::file_size(folder() / "000001.seg");
  begin("b", b);
  for (std::uint64_t at = 0; at < 500; at += 100) append("b", b, at, at + 100);
  journal_.reset();
  std::filesystem::resize_file(folder() / "000001.seg", boundary);
  open();
  EXPECT_THAT(committed(), ElementsAre("a"));
  EXPECT_THAT(recovered_.partial, IsEmpty());
  store("b", b);
  open();
  EXPECT_THAT(committed(), ElementsAre("a", "b"));
}

TEST_F(CrashOverSegments, ASegmentWithoutHeaderIsMadeAnew) {
  options_.segment_bytes = 600;
  const Body a = body_of(200, 1);
  open();
  store("a", a);
  journal_.reset();
  write_contents(folder() / "000002.seg", "CHRS");
  open();
  EXPECT_THAT(committed(), ElementsAre("a"));
  store("b", a);
  store("c", a);
  open();
  EXPECT_THAT(committed(), ElementsAre("a", "b", "c"));
}

TEST_F(CrashOverSegments, CommitSyncsOlderSegmentsOfOthersToo) {
  // The mark after a commit covers every byte before it, also those of unfinished uploads.
  const Body slow = body_of(2000, 1);
  const Body quick = body_of(100, 2);
  open();
  begin("slow", slow);
  append("slow", slow, 0, 500);
  store("quick", quick);
  ASSERT_TRUE(std::filesystem::exists(folder() / "000002.seg"));
  journal_.reset();
  std::filesystem::resize_file(folder() / "000001.seg", 200);
  const auto opened = try_open(folder());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::corrupt_data);
  EXPECT_THAT(opened.error().detail, HasSubstr("000001.seg"));
}

TEST_F(CrashOverSegments, AMissingSegmentInBetweenIsReported) {
  const Body a = body_of(200, 1);
  open();
  for (const char* name : {"a", "b", "c", "d"}) store(name, a);
  journal_.reset();
  std::filesystem::remove(folder() / "000002.seg");
  const auto opened = try_open(folder());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::corrupt_data);
  EXPECT_THAT(opened.error().detail, HasSubstr("000002.seg"));
}

TEST_F(CrashOverSegments, AKeptSegmentIsNeededAfterItsCheckpoint) {
  const Body slow = body_of(2000, 1);
  const Body quick = body_of(250, 2);
  open();
  begin("slow", slow);
  append("slow", slow, 0, 300);
  store("quick", quick);
  const std::vector folded{meta_of("quick", quick)};
  ASSERT_TRUE(journal_->write_checkpoint(folded, 0, 1, {}));
  append("slow", slow, 300, 600);
  store("other", quick);
  journal_.reset();
  ASSERT_TRUE(std::filesystem::exists(folder() / "000001.seg"));
  ASSERT_FALSE(std::filesystem::exists(folder() / "000002.seg"));
  std::filesystem::remove(folder() / "000001.seg");
  const auto opened = try_open(folder());
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().detail, HasSubstr("000001.seg"));
}

TEST_F(CrashOverSegments, ATornKeptSegmentIsEmptiedAndStaysUsable) {
  const Body slow = body_of(2000, 1);
  const Body quick = body_of(250, 2);
  options_.sync = false;  // nothing is promised to survive a power cut
  open();
  begin("slow", slow);
  append("slow", slow, 0, 300);
  store("quick", quick);
  const std::vector folded{meta_of("quick", quick)};
  ASSERT_TRUE(journal_->write_checkpoint(folded, 0, 1, {}));
  journal_.reset();
  std::filesystem::resize_file(folder() / "000001.seg", 10);
  for (int start = 0; start < 2; ++start) {
    open();
    ASSERT_TRUE(recovered_.checkpoint);
    EXPECT_THAT(recovered_.partial, IsEmpty());
  }
  store("other", quick);
  for (int start = 0; start < 2; ++start) {
    open();
    EXPECT_THAT(committed(), ElementsAre("other"));
  }
}

// -- the checkpoint file --

TEST_F(CrashOverSegments, EveryDamagedByteOfACheckpointIsReported) {
  const Body a = body_of(200, 1);
  open();
  store("a", a);
  const std::vector folded{meta_of("a", a)};
  const std::vector<std::int64_t> sums{1, 2, 3};
  ASSERT_TRUE(journal_->write_checkpoint(folded, 0, 1, sums));
  journal_.reset();
  const auto path = folder() / "checkpoint";
  const std::string good = contents_of(path);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x80);
    write_contents(path, bad);
    const auto opened = try_open(folder());
    ASSERT_FALSE(opened) << at;
    ASSERT_EQ(opened.error().code, errc::corrupt_data) << at;
    write_contents(path, good.substr(0, at));
    ASSERT_EQ(try_open(folder()).error().code, errc::corrupt_data) << at;
  }
  write_contents(path, good + "x");
  EXPECT_EQ(try_open(folder()).error().code, errc::corrupt_data);
  write_contents(path, good);
  EXPECT_TRUE(try_open(folder()));
}

TEST_F(CrashOverSegments, AnUnfinishedCheckpointIsIgnored) {
  const Body a = body_of(200, 1);
  open();
  store("a", a);
  journal_.reset();
  write_contents(folder() / "checkpoint.tmp", "CHRSLANE and then the power went");
  open();
  EXPECT_FALSE(recovered_.checkpoint);
  EXPECT_THAT(committed(), ElementsAre("a"));
  EXPECT_FALSE(std::filesystem::exists(folder() / "checkpoint.tmp"));
}

}  // namespace
}  // namespace chorus::server
