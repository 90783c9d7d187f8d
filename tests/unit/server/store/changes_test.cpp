// Steps and rests on disk: whole or not there, checked when they are opened, gone when nobody needs
// them.
#include "server/store/changes.hpp"

#include <algorithm>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto/digest.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ChangesTest : public ::testing::Test {
 protected:
  std::filesystem::path folder() const { return temp_.path() / "changes" / "job"; }

  ChangeInfo write(std::uint64_t round, std::size_t payload = 10) {
    auto writer = store_->begin(job_, RoundId{round}, 4).value();
    EXPECT_TRUE(writer->append_payload(std::vector<std::byte>(payload, std::byte{7})));
    EXPECT_TRUE(writer->append_payload(std::vector<std::byte>(2, std::byte{8})));
    EXPECT_TRUE(writer->append_rest(std::vector<float>{1.0F, -2.0F}));
    EXPECT_TRUE(writer->append_rest(std::vector<float>{3.0F}));
    return writer->commit(std::vector<std::byte>(4, std::byte{1})).value();
  }
  BodyDigest write_sent(std::uint64_t round) {
    auto writer = store_->begin_sent(job_, RoundId{round}).value();
    EXPECT_TRUE(writer->append(std::vector<float>{1.0F}));
    EXPECT_TRUE(writer->append(std::vector<float>{-2.0F, 0.5F}));
    return writer->commit().value();
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder())) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  chorus::test::TempFolder temp_;
  std::unique_ptr<ChangeStore> store_ = ChangeStore::open(temp_.path() / "changes").value();
  JobId job_{"job"};
};

TEST_F(ChangesTest, AreReadAsTheyWereWritten) {
  const ChangeInfo info = write(3);
  EXPECT_EQ(info.bytes, 16U);
  EXPECT_THAT(files(), ElementsAre("3.change", "3.rest"));
  const auto body = store_->open_change(job_, RoundId{3}, info).value();
  EXPECT_EQ(body->bytes(), 16U);
  std::vector<std::byte> part(6);
  ASSERT_TRUE(body->read(3, part));
  EXPECT_EQ(part[0], std::byte{1});
  EXPECT_EQ(part[1], std::byte{7});
  EXPECT_EQ(body->read(11, part).error().code, errc::corrupt_data);  // beyond the end
  const auto rest = store_->open_rest(job_, RoundId{3}, 3).value();
  EXPECT_TRUE(rest->verify(info.rest));
  std::vector<float> two(2);
  ASSERT_TRUE(rest->read(1, two));
  EXPECT_THAT(two, ElementsAre(-2.0F, 3.0F));
}

TEST_F(ChangesTest, AreNotThereBeforeTheyAreWhole) {
  {
    auto writer = store_->begin(job_, RoundId{1}, 4).value();
    ASSERT_TRUE(writer->append_payload(std::vector<std::byte>(10)));
    EXPECT_THAT(files(), ElementsAre("1.change.writing", "1.rest.writing"));
    EXPECT_EQ(writer->commit(std::vector<std::byte>(5)).error().code, errc::invalid_argument);
  }
  EXPECT_THAT(files(), IsEmpty());
  EXPECT_EQ(store_->open_change(job_, RoundId{1}, {14, {}}).error().code, errc::not_found);
  EXPECT_EQ(store_->open_rest(job_, RoundId{1}, 1).error().code, errc::not_found);
}

TEST_F(ChangesTest, ARoundThatIsFinalisedAgainReplacesThem) {
  write(1, 10);
  const ChangeInfo info = write(1, 3);
  EXPECT_EQ(info.bytes, 9U);
  EXPECT_TRUE(store_->open_change(job_, RoundId{1}, info));
}

TEST_F(ChangesTest, DamageIsNoticed) {
  const ChangeInfo info = write(1);
  ChangeInfo longer = info;
  ++longer.bytes;
  const auto step = store_->open_change(job_, RoundId{1}, longer);
  EXPECT_EQ(step.error().code, errc::corrupt_data);
  EXPECT_THAT(step.error().detail, HasSubstr("it has 16 bytes; expected 17"));
  EXPECT_EQ(store_->open_rest(job_, RoundId{1}, 4).error().code, errc::corrupt_data);
  std::fstream file(folder() / "1.rest", std::ios::in | std::ios::out | std::ios::binary);
  file.put('\x01');
  file.close();
  const auto good = store_->open_rest(job_, RoundId{1}, 3).value()->verify(info.rest);
  EXPECT_EQ(good.error().code, errc::corrupt_data);
  EXPECT_THAT(good.error().detail, HasSubstr("1.rest"));
}

TEST_F(ChangesTest, OldOnesGo) {
  for (std::uint64_t round = 8; round <= 11; ++round) write(round);
  write_sent(10);
  write_sent(11);
  ASSERT_TRUE(store_->prune(job_, {.change = RoundId{10}, .rest = RoundId{11}}));
  EXPECT_THAT(files(), ElementsAre("10.change", "10.sent", "11.change", "11.rest", "11.sent"));
  ASSERT_TRUE(store_->prune(job_, {.sent = RoundId{11}}));
  EXPECT_THAT(files(), ElementsAre("10.change", "11.change", "11.rest", "11.sent"));
  EXPECT_TRUE(store_->prune(JobId{"other"}, {.change = RoundId{10}}));  // has none
}

TEST_F(ChangesTest, WhatWasSentIsReadBackWhenItIsWhole) {
  { const auto unfinished = store_->begin_sent(job_, RoundId{1}).value(); }
  EXPECT_THAT(files(), ElementsAre());
  EXPECT_EQ(store_->open_sent(job_, RoundId{1}, 3).error().code, errc::not_found);
  const BodyDigest digest = write_sent(1);
  const auto sent = store_->open_sent(job_, RoundId{1}, 3).value();
  EXPECT_TRUE(sent->verify(digest));
  std::vector<float> last(2);
  ASSERT_TRUE(sent->read(1, last));
  EXPECT_EQ(last, (std::vector<float>{-2.0F, 0.5F}));
  EXPECT_EQ(store_->open_sent(job_, RoundId{1}, 4).error().code, errc::corrupt_data);
  EXPECT_EQ(sent->verify(BodyDigest{}).error().code, errc::corrupt_data);
}

TEST_F(ChangesTest, WhatACrashLeftGoesWithTheNextStart) {
  write(1);
  std::ofstream(folder() / "2.rest.writing") << "left by a crash";
  store_ = ChangeStore::open(temp_.path() / "changes").value();
  EXPECT_THAT(files(), ElementsAre("1.change", "1.rest"));
}

}  // namespace
}  // namespace chorus::server
