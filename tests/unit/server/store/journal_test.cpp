#include "server/store/journal.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sys/resource.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "tests/unit/server/store/journal_fixture.hpp"

namespace chorus::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST_F(JournalTest, StartsEmpty) {
  open();
  EXPECT_FALSE(recovered_.checkpoint);
  EXPECT_THAT(recovered_.committed, IsEmpty());
  EXPECT_THAT(recovered_.partial, IsEmpty());
  EXPECT_EQ(journal_->disk_bytes(), 0U);
}

TEST_F(JournalTest, KeepsCommittedUpdatesInCommitOrder) {
  const Body a = body_of(1000, 1);
  const Body b = body_of(2000, 2);
  open();
  begin("a", a);
  begin("b", b);
  append("a", a, 0, 1000);
  append("b", b, 0, 2000);
  commit({ClientId{"b"}});
  commit({ClientId{"a"}});
  open();
  ASSERT_THAT(committed(), ElementsAre("b", "a"));
  EXPECT_EQ(recovered_.committed[0], meta_of("b", b));
  EXPECT_EQ(recovered_.committed[1], meta_of("a", a));
  EXPECT_EQ(read("a"), a);
  EXPECT_EQ(read("b"), b);
}

TEST_F(JournalTest, InterleavesUploadsOverSegments) {
  options_.segment_bytes = 700;
  const Body a = body_of(5000, 1);
  const Body b = body_of(5000, 2);
  open();
  begin("a", a);
  begin("b", b);
  for (std::uint64_t at = 0; at < 5000; at += 500) {
    append("a", a, at, at + 500);
    append("b", b, at, at + 500);
  }
  const std::vector both{ClientId{"a"}, ClientId{"b"}};
  commit(both);
  EXPECT_GT(files().size(), 5U);
  EXPECT_EQ(read("a"), a);
  open();
  EXPECT_THAT(committed(), ElementsAre("a", "b"));
  EXPECT_EQ(read("a"), a);
  EXPECT_EQ(read("b"), b);
}

TEST_F(JournalTest, ReadsAnyRange) {
  options_.segment_bytes = 300;
  const Body a = body_of(1000, 1);
  open();
  begin("a", a);
  for (std::uint64_t at = 0; at < 1000; at += 100) append("a", a, at, at + 100);
  const auto reader = journal_->reader(ClientId{"a"});
  ASSERT_TRUE(reader);
  for (std::uint64_t at = 0; at <= 1000; at += 37) {
    for (std::uint64_t length = 0; at + length <= 1000; length += 99) {
      Body piece(length);
      ASSERT_TRUE((*reader)->read(at, piece));
      EXPECT_TRUE(std::equal(piece.begin(), piece.end(), a.begin() + static_cast<long>(at)));
    }
  }
  Body beyond(1);
  EXPECT_EQ((*reader)->read(1000, beyond).error().code, errc::invalid_argument);
  EXPECT_EQ((*reader)->read(~0ULL, beyond).error().code, errc::invalid_argument);
}

TEST_F(JournalTest, ReaderWorksWhileOthersAppendAndAfterRemoval) {
  options_.segment_bytes = 4096;
  options_.sync = false;
  const Body a = body_of(20'000, 1);
  const Body b = body_of(200'000, 2);
  open();
  store("a", a);
  begin("b", b);
  const auto reader = journal_->reader(ClientId{"a"}).value();
  std::thread other([&] {
    for (int i = 0; i < 50; ++i) {
      Body copy(a.size());
      ASSERT_TRUE(reader->read(0, copy));
      ASSERT_EQ(copy, a);
    }
  });
  for (std::uint64_t at = 0; at < b.size(); at += 1000) append("b", b, at, at + 1000);
  other.join();
  ASSERT_TRUE(journal_->remove());
  Body copy(a.size());
  ASSERT_TRUE(reader->read(0, copy));
  EXPECT_EQ(copy, a);
}

TEST_F(JournalTest, ResumesTheSameUploadInAndAcrossProcesses) {
  const Body a = body_of(1000, 1);
  open();
  begin("a", a);
  append("a", a, 0, 400);
  begin("a", a, 400);
  open();
  EXPECT_THAT(recovered_.partial, ElementsAre(Pair(ClientId{"a"}, 400U)));
  begin("a", a, 400);
  append("a", a, 400, 1000);
  begin("a", a, 1000);
  commit({ClientId{"a"}});
  open();
  EXPECT_THAT(committed(), ElementsAre("a"));
  EXPECT_EQ(read("a"), a);
}

TEST_F(JournalTest, RestartsWhenTheBodyDiffers) {
  const Body a = body_of(1000, 1);
  const Body other = body_of(1000, 2);
  open();
  begin("a", a);
  append("a", a, 0, 400);
  begin("a", other);
  append("a", other, 0, 100);
  open();
  EXPECT_THAT(recovered_.partial, ElementsAre(Pair(ClientId{"a"}, 100U)));
  begin("a", other, 100);
  begin("a", a);
}

TEST_F(JournalTest, TakesCorrectedMetadataForTheSameBody) {
  const Body a = body_of(1000, 1);
  open();
  begin("a", a);
  append("a", a, 0, 1000);
  UpdateMeta corrected = meta_of("a", a);
  corrected.examples.value = 77;
  EXPECT_EQ(journal_->begin(corrected).value(), 1000U);
  commit({ClientId{"a"}});
  open();
  ASSERT_THAT(committed(), ElementsAre("a"));
  EXPECT_EQ(recovered_.committed[0], corrected);
}

TEST_F(JournalTest, RefusesToBeginOrCommitACommittedUpdate) {
  const Body a = body_of(10, 1);
  open();
  store("a", a);
  EXPECT_EQ(journal_->begin(meta_of("a", a)).error().code, errc::wrong_state);
  EXPECT_EQ(journal_->begin(meta_of("a", body_of(20, 2))).error().code, errc::wrong_state);
  const std::vector clients{ClientId{"a"}};
  EXPECT_EQ(journal_->commit(clients).error().code, errc::wrong_state);
  open();
  EXPECT_EQ(journal_->begin(meta_of("a", a)).error().code, errc::wrong_state);
  journal_->abandon(ClientId{"a"});
  EXPECT_EQ(read("a"), a);
}

TEST_F(JournalTest, RefusesWrongCommits) {
  const Body a = body_of(10, 1);
  open();
  begin("a", a);
  append("a", a, 0, 9);
  const std::vector unfinished{ClientId{"a"}};
  EXPECT_EQ(journal_->commit(unfinished).error().code, errc::invalid_argument);
  const std::vector unknown{ClientId{"b"}};
  EXPECT_EQ(journal_->commit(unknown).error().code, errc::not_found);
  append("a", a, 9, 10);
  const std::vector twice{ClientId{"a"}, ClientId{"a"}};
  EXPECT_EQ(journal_->commit(twice).error().code, errc::wrong_state);
  EXPECT_TRUE(journal_->commit({}));
  commit(unfinished);
}

TEST_F(JournalTest, RefusesAppendsThatDoNotFollow) {
  const Body a = body_of(100, 1);
  open();
  begin("a", a);
  append("a", a, 0, 50);
  const ClientId client{"a"};
  const auto all = std::span(a);
  EXPECT_EQ(journal_->append(client, 0, all.first(10)).error().code, errc::invalid_argument);
  EXPECT_EQ(journal_->append(client, 51, all.first(10)).error().code, errc::invalid_argument);
  EXPECT_EQ(journal_->append(client, 50, all.first(51)).error().code, errc::invalid_argument);
  EXPECT_EQ(journal_->append(ClientId{"b"}, 0, all).error().code, errc::not_found);
  EXPECT_TRUE(journal_->append(client, 50, {}));
  append("a", a, 50, 100);
  EXPECT_EQ(journal_->append(client, 100, all.first(1)).error().code, errc::invalid_argument);
}

TEST_F(JournalTest, AbandonForgetsAnUploadForGood) {
  const Body a = body_of(100, 1);
  open();
  begin("a", a);
  append("a", a, 0, 50);
  journal_->abandon(ClientId{"a"});
  journal_->abandon(ClientId{"a"});
  journal_->abandon(ClientId{"unknown"});
  EXPECT_EQ(journal_->reader(ClientId{"a"}).error().code, errc::not_found);
  open();
  EXPECT_THAT(recovered_.partial, IsEmpty());
  begin("a", a);
}

TEST_F(JournalTest, StoresEmptyBodies) {
  open();
  store("a", {});
  open();
  EXPECT_THAT(committed(), ElementsAre("a"));
  EXPECT_THAT(read("a"), IsEmpty());
}

TEST_F(JournalTest, SplitsBodiesLargerThanARecord) {
  options_.sync = false;
  const Body a = body_of((16U << 20U) + 5, 1);
  open();
  store("a", a);
  open();
  EXPECT_EQ(read("a"), a);
}

TEST_F(JournalTest, RefusesMetadataBeyondLimits) {
  const Body a = body_of(10, 1);
  open();
  UpdateMeta meta = meta_of(std::string(limits::kNameBytesMax + 1, 'a'), a);
  EXPECT_EQ(journal_->begin(meta).error().code, errc::invalid_argument);
  meta = meta_of("", a);
  EXPECT_EQ(journal_->begin(meta).error().code, errc::invalid_argument);
  meta = meta_of("a", a);
  meta.bytes = limits::kModelBytesMax + 1;
  EXPECT_EQ(journal_->begin(meta).error().code, errc::invalid_argument);
  meta = meta_of("a", a);
  meta.metrics.assign(limits::kMetricsMax + 1, Metric{"m", 1.0});
  EXPECT_EQ(journal_->begin(meta).error().code, errc::invalid_argument);
  meta.metrics.assign(1, Metric{std::string(limits::kNameBytesMax + 1, 'm'), 1.0});
  EXPECT_EQ(journal_->begin(meta).error().code, errc::invalid_argument);
  EXPECT_EQ(journal_->disk_bytes(), 0U);
}

TEST_F(JournalTest, LimitsTheRecordsOfOneUpload) {
  options_.sync = false;
  const std::uint64_t records_max = limits::kUploadRecordsSlack + 1;
  const Body a = body_of(limits::kUploadBytesPerRecordMin, 1);
  open();
  begin("a", a);
  for (std::uint64_t at = 0; at < records_max; ++at) append("a", a, at, at + 1);
  const auto beyond = journal_->append(ClientId{"a"}, records_max, std::span(a).first(1));
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, errc::invalid_argument);
  EXPECT_THAT(beyond.error().detail, HasSubstr("larger"));
}

TEST_F(JournalTest, RemoveDeletesTheFolder) {
  open();
  store("a", body_of(10, 1));
  ASSERT_TRUE(journal_->remove());
  EXPECT_FALSE(std::filesystem::exists(folder()));
  EXPECT_TRUE(std::filesystem::is_empty(temp_.path()));
  EXPECT_EQ(journal_->begin(meta_of("b", body_of(10, 2))).error().code, errc::wrong_state);
  EXPECT_EQ(journal_->reader(ClientId{"a"}).error().code, errc::wrong_state);
  open();
  EXPECT_THAT(recovered_.committed, IsEmpty());
}

// -- lane checkpoints --

TEST_F(JournalTest, CheckpointReplacesTheSegmentsItCovers) {
  options_.segment_bytes = 500;
  open();
  std::vector<UpdateMeta> folded;
  for (int i = 0; i < 5; ++i) {
    const std::string name = "d" + std::to_string(i);
    const Body body = body_of(400, static_cast<std::uint64_t>(i));
    store(name, body);
    folded.push_back(meta_of(name, body));
  }
  const Body late = body_of(300, 9);
  store("late", late);
  const std::vector<std::int64_t> sums{1, -2, 3'000'000'000'000};
  ASSERT_TRUE(journal_->write_checkpoint(folded, -7, 65, sums));
  EXPECT_LT(journal_->disk_bytes(), 1300U);
  EXPECT_EQ(read("late"), late);
  EXPECT_EQ(journal_->reader(ClientId{"d0"}).error().code, errc::not_found);
  EXPECT_EQ(journal_->begin(folded[0]).error().code, errc::wrong_state);
  const std::vector again{folded[0].client};
  EXPECT_EQ(journal_->commit(again).error().code, errc::wrong_state);

  open();
  ASSERT_TRUE(recovered_.checkpoint);
  EXPECT_EQ(recovered_.checkpoint->folded, folded);
  EXPECT_EQ(recovered_.checkpoint->scale, -7);
  EXPECT_EQ(recovered_.checkpoint->denominator, 65);
  EXPECT_THAT(recovered_.checkpoint->sums, ElementsAre(1, -2, 3'000'000'000'000));
  EXPECT_THAT(committed(), ElementsAre("late"));
  EXPECT_EQ(read("late"), late);
  EXPECT_EQ(journal_->begin(folded[0]).error().code, errc::wrong_state);
}

TEST_F(JournalTest, CheckpointOfEverythingEmptiesTheDisk) {
  open();
  const Body a = body_of(400, 1);
  store("a", a);
  const std::vector folded{meta_of("a", a)};
  ASSERT_TRUE(journal_->write_checkpoint(folded, 0, 1, {}));
  EXPECT_EQ(journal_->disk_bytes(), 0U);
  EXPECT_THAT(files(), ElementsAre("checkpoint", "durable.mark"));
  open();
  ASSERT_TRUE(recovered_.checkpoint);
  EXPECT_THAT(recovered_.committed, IsEmpty());
  const Body b = body_of(100, 2);
  store("b", b);
  EXPECT_THAT(files(), ElementsAre("000002.seg", "checkpoint", "durable.mark"));
  open();
  EXPECT_THAT(committed(), ElementsAre("b"));
}

// Found by chorus_sim (seed 2168 of "disk"): the journal kept a null segment, and crashed.
TEST_F(JournalTest, ASegmentThatCannotBeRemovedIsNoPartOfTheJournalAnyMore) {
  options_.segment_bytes = 1;
  open();
  store("a", body_of(500, 1));
  store("b", body_of(500, 2));
  const auto names = files();
  const auto first = std::find_if(
      names.begin(), names.end(), [](const std::string& name) { return name.ends_with(".seg"); });
  ASSERT_NE(first, names.end());
  std::filesystem::remove(folder() / *first);
  const std::vector<UpdateMeta> folded{meta_of("a", body_of(500, 1)),
                                       meta_of("b", body_of(500, 2))};
  const std::vector<std::int64_t> sums(3, 7);
  EXPECT_EQ(journal_->write_checkpoint(folded, 10, 2, sums).error().code, errc::not_found);
  store("c", body_of(500, 3));
  EXPECT_EQ(read("c"), body_of(500, 3));
  EXPECT_GT(journal_->disk_bytes(), 500U);
  ASSERT_TRUE(journal_->write_checkpoint(folded, 10, 2, sums));
  open();
  EXPECT_THAT(committed(), ElementsAre("c"));
}

TEST_F(JournalTest, CheckpointKeepsUnfinishedUploads) {
  options_.segment_bytes = 300;
  const Body slow = body_of(1000, 1);
  open();
  begin("slow", slow);
  append("slow", slow, 0, 200);
  std::vector<UpdateMeta> folded;
  for (int i = 0; i < 6; ++i) {
    const std::string name = "d" + std::to_string(i);
    const Body body = body_of(250, static_cast<std::uint64_t>(i));
    store(name, body);
    folded.push_back(meta_of(name, body));
  }
  ASSERT_TRUE(journal_->write_checkpoint(folded, 1, 2, {}));
  EXPECT_LT(files().size(), 5U);
  append("slow", slow, 200, 600);
  open();
  EXPECT_THAT(recovered_.partial, ElementsAre(Pair(ClientId{"slow"}, 600U)));
  begin("slow", slow, 600);
  append("slow", slow, 600, 1000);
  commit({ClientId{"slow"}});
  folded.push_back(meta_of("slow", slow));
  ASSERT_TRUE(journal_->write_checkpoint(folded, 1, 3, {}));
  EXPECT_EQ(journal_->disk_bytes(), 0U);
  open();
  EXPECT_EQ(recovered_.checkpoint->folded.size(), 7U);
  EXPECT_THAT(recovered_.committed, IsEmpty());
}

TEST_F(JournalTest, AbandonedUploadDoesNotComeBackAfterACheckpoint) {
  options_.segment_bytes = 300;
  const Body kept = body_of(400, 1);
  const Body gone = body_of(1000, 2);
  const Body again = body_of(200, 3);
  open();
  begin("kept", kept);
  begin("gone", gone);
  append("gone", gone, 0, 350);
  append("gone", gone, 350, 700);
  journal_->abandon(ClientId{"gone"});
  append("kept", kept, 0, 350);
  store("gone", again);
  const std::vector folded{meta_of("gone", again)};
  ASSERT_TRUE(journal_->write_checkpoint(folded, 1, 2, {}));
  open();
  EXPECT_THAT(recovered_.partial, ElementsAre(Pair(ClientId{"kept"}, 350U)));
  EXPECT_THAT(recovered_.committed, IsEmpty());
  EXPECT_EQ(journal_->begin(meta_of("gone", gone)).error().code, errc::wrong_state);
}

TEST_F(JournalTest, RefusesCheckpointsThatWouldLoseOrInventUpdates) {
  const Body a = body_of(100, 1);
  const Body b = body_of(100, 2);
  open();
  store("a", a);
  begin("b", b);
  append("b", b, 0, 100);
  const auto code = [this](const std::vector<UpdateMeta>& folded) {
    return journal_->write_checkpoint(folded, 1, 1, {}).error().code;
  };
  EXPECT_EQ(code({meta_of("b", b)}), errc::invalid_argument);
  EXPECT_EQ(code({meta_of("c", b)}), errc::invalid_argument);
  EXPECT_EQ(code({meta_of("a", b)}), errc::invalid_argument);
  EXPECT_EQ(code({meta_of("a", a), meta_of("a", a)}), errc::invalid_argument);
  const std::vector folded{meta_of("a", a)};
  ASSERT_TRUE(journal_->write_checkpoint(folded, 1, 1, {}));
  commit({ClientId{"b"}});
  EXPECT_EQ(code({meta_of("b", b)}), errc::invalid_argument) << "it leaves out a";
  EXPECT_EQ(read("b"), b);
}

TEST_F(JournalTest, RemovesSegmentsThatACrashLeftBesideTheirCheckpoint) {
  open();
  const Body a = body_of(100, 1);
  store("a", a);
  const auto copy = temp_.path() / "000001.seg";
  std::filesystem::copy_file(folder() / "000001.seg", copy);
  const std::vector folded{meta_of("a", a)};
  ASSERT_TRUE(journal_->write_checkpoint(folded, 1, 1, {}));
  journal_.reset();
  std::filesystem::rename(copy, folder() / "000001.seg");
  open();
  EXPECT_THAT(recovered_.committed, IsEmpty()) << "it is in the checkpoint";
  EXPECT_THAT(files(), ElementsAre("checkpoint", "durable.mark"));
}

// -- the disk fails --

/// Files of this process cannot grow beyond `bytes` while it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uint64_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST_F(JournalTest, AFailedWriteLeavesTheUploadWhereItWas) {
  const Body a = body_of(100'000, 1);
  open();
  begin("a", a);
  append("a", a, 0, 10'000);
  {
    const FileSizeLimit limit(50'000);
    const auto failed = journal_->append(ClientId{"a"}, 10'000, std::span(a).subspan(10'000));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, errc::io_failed);
    EXPECT_THAT(failed.error().detail, HasSubstr("000001.seg"));
  }
  EXPECT_LT(std::filesystem::file_size(folder() / "000001.seg"), 11'000U);
  begin("a", a, 10'000);
  append("a", a, 10'000, 100'000);
  commit({ClientId{"a"}});
  open();
  EXPECT_EQ(read("a"), a);
}

TEST_F(JournalTest, AFailedCheckpointKeepsTheSegments) {
  const Body a = body_of(100, 1);
  open();
  store("a", a);
  const std::vector folded{meta_of("a", a)};
  const std::vector<std::int64_t> sums(10'000, 5);
  {
    const FileSizeLimit limit(20'000);
    EXPECT_EQ(journal_->write_checkpoint(folded, 1, 1, sums).error().code, errc::io_failed);
  }
  EXPECT_EQ(read("a"), a);
  EXPECT_THAT(files(), ElementsAre("000001.seg", "durable.mark"));
  open();
  EXPECT_THAT(committed(), ElementsAre("a"));
  ASSERT_TRUE(journal_->write_checkpoint(folded, 1, 1, sums));
}

TEST_F(JournalTest, OpenNamesAFolderThatCannotBe) {
  const auto file = temp_.path() / "file";
  { std::ofstream(file) << "x"; }
  const auto opened = try_open(file / "journal");
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().detail, HasSubstr(file.string()));
}

}  // namespace
}  // namespace chorus::server
