// Files of closed rounds that serve again: what they held before must never be met.
#include <fstream>
#include <iterator>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "server/store/spare_segments.hpp"
#include "tests/unit/server/store/journal_fixture.hpp"

namespace chorus::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class Reuse : public JournalTest {
 protected:
  Reuse() : spares_(SpareSegments::open(temp_.path() / "spare").value()) {
    options_.spares = &spares_;
    options_.name = "job/1";
  }

  /// Closes the round and opens the next one, in the same folder.
  void next_round() {
    ASSERT_TRUE(journal_->remove());
    options_.name = "job/" + std::to_string(++round_);
    open();
    EXPECT_THAT(recovered_.committed, IsEmpty());
    EXPECT_THAT(recovered_.partial, IsEmpty());
  }

  std::filesystem::path segment() const { return folder() / "000001.seg"; }

  SpareSegments spares_;
  int round_ = 1;
};

TEST_F(Reuse, AClosedRoundsFilesServeTheNext) {
  open();
  const Body first = body_of(300'000, 1);
  store("a", first);
  const auto bytes = std::filesystem::file_size(segment());
  next_round();
  EXPECT_EQ(spares_.bytes(), bytes);
  const Body second = body_of(1000, 2);
  store("b", second);
  EXPECT_EQ(spares_.bytes(), 0U);
  EXPECT_EQ(std::filesystem::file_size(segment()), bytes) << "overwritten in place";
  EXPECT_LT(journal_->disk_bytes(), 2000U) << "what a former round left does not count";
  EXPECT_EQ(read("b"), second);
  open();
  EXPECT_THAT(committed(), ElementsAre("b"));
  EXPECT_EQ(read("b"), second);
}

TEST_F(Reuse, FullSegmentsEndWhereTheirRecordsEnd) {
  options_.segment_bytes = 10'000;
  open();
  for (const char* name : {"a", "b", "c"}) store(name, body_of(20'000, 3));
  next_round();
  ASSERT_GT(spares_.bytes(), 60'000U);
  options_.segment_bytes = 1500;
  open();
  std::map<std::string, Body> bodies;
  for (const char* name : {"d", "e", "f"}) {
    bodies[name] = body_of(2000, bodies.size() + 10);
    store(name, bodies[name]);
  }
  open();
  EXPECT_THAT(committed(), ElementsAre("d", "e", "f"));
  for (const auto& [name, body] : bodies) EXPECT_EQ(read(name), body);
}

TEST_F(Reuse, AFileWhoseOldHeaderIsStillThereIsNoSegment) {
  open();
  store("a", body_of(5000, 1));
  const std::string old = contents_of(segment());
  next_round();
  // The power failed after the rename was on disk, before any of the new bytes were.
  std::ofstream(segment(), std::ios::binary) << old;
  open();
  EXPECT_THAT(recovered_.committed, IsEmpty());
  store("a", body_of(700, 2));
  open();
  EXPECT_THAT(committed(), ElementsAre("a"));
}

TEST_F(Reuse, WhereverThePowerFailsOldRecordsAreNotMet) {
  options_.sync = false;  // no mark: nothing was promised
  open();
  for (const char* name : {"a", "b", "c", "d"}) store(name, body_of(300, 1));
  const std::string old = contents_of(segment());
  next_round();
  const Body body = body_of(300, 2);
  store("x", body);
  store("y", body);
  const std::string fresh = contents_of(segment());
  ASSERT_EQ(fresh.size(), old.size());
  for (std::size_t written = 0; written <= old.size(); written += 7) {
    journal_.reset();
    std::ofstream(segment(), std::ios::binary) << fresh.substr(0, written) + old.substr(written);
    open();
    for (const std::string& name : committed()) {
      EXPECT_TRUE(name == "x" || name == "y") << name << " after " << written;
      EXPECT_EQ(read(name), body);
    }
    for (const auto& [client, bytes] : recovered_.partial) {
      EXPECT_TRUE(client.value == "x" || client.value == "y") << client.value;
    }
  }
}

TEST_F(Reuse, AReaderKeepsWhatItReads) {
  open();
  const Body body = body_of(5000, 1);
  store("a", body);
  const auto reader = journal_->reader(ClientId{"a"}).value();
  next_round();
  EXPECT_EQ(spares_.bytes(), 0U);
  store("b", body_of(5000, 2));
  Body read(body.size());
  ASSERT_TRUE(reader->read(0, read));
  EXPECT_EQ(read, body);
}

TEST_F(Reuse, SegmentsThatACheckpointReplacesAreSpare) {
  options_.segment_bytes = 1000;
  open();
  const Body body = body_of(4000, 1);
  store("a", body);
  store("b", body);
  const std::vector<std::int64_t> sums(10, 5);
  const std::vector<UpdateMeta> folded{meta_of("a", body), meta_of("b", body)};
  ASSERT_TRUE(journal_->write_checkpoint(folded, 20, 30, sums));
  EXPECT_GT(spares_.bytes(), 8000U);
  store("c", body);
  open();
  EXPECT_THAT(committed(), ElementsAre("c"));
  EXPECT_EQ(recovered_.checkpoint->folded, folded);
  EXPECT_EQ(read("c"), body);
}

TEST_F(Reuse, WhatAFormerProcessKeptIsRemoved) {
  open();
  store("a", body_of(5000, 1));
  next_round();
  const auto folder = temp_.path() / "spare";
  EXPECT_FALSE(std::filesystem::is_empty(folder));
  spares_ = SpareSegments::open(folder).value();
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(Reuse, NoMoreIsKeptThanTheLimit) {
  const auto file = temp_.path() / "file";
  for (const std::uint64_t bytes : {limits::kSpareSegmentBytesMax - 5, std::uint64_t{6}}) {
    std::ofstream(file).close();
    std::filesystem::resize_file(file, bytes);
    ASSERT_TRUE(spares_.keep(file));
    EXPECT_FALSE(std::filesystem::exists(file));
  }
  EXPECT_EQ(spares_.bytes(), limits::kSpareSegmentBytesMax - 5);
  ASSERT_NE(*spares_.take(file), nullptr);
  EXPECT_EQ(std::filesystem::file_size(file), limits::kSpareSegmentBytesMax - 5);
  EXPECT_EQ(*spares_.take(file), nullptr);
}

TEST_F(Reuse, AFileThatCannotBeKeptIsReported) {
  EXPECT_EQ(spares_.keep(temp_.path() / "none").error().code, errc::not_found);
}

}  // namespace
}  // namespace chorus::server
