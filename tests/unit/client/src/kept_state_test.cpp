#include "client/src/kept_state.hpp"

#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::client {
namespace {

using ::testing::HasSubstr;
using Numbers = std::vector<float>;

class KeptStateTest : public ::testing::Test {
 protected:
  KeptState state(std::uint64_t round, const std::string& job = "digits") {
    return KeptState({path_, task(round, job), &layout_});
  }
  static TaskRef task(std::uint64_t round, const std::string& job = "digits") {
    return {JobId{job}, RoundId{round}, TaskKind::train};
  }
  void keep(std::uint64_t round, const std::string& name, const Numbers& numbers) {
    KeptState now = state(round);
    ASSERT_TRUE(now.store(name, numbers));
    ASSERT_TRUE(now.stage());
    ASSERT_TRUE(KeptState::accept(path_, task(round)));
  }
  std::optional<Numbers> kept(std::uint64_t round, const std::string& name) {
    KeptState now = state(round);
    return now.load(name).value();
  }

  test::TempFolder folder_;
  std::filesystem::path path_ = folder_.path() / "kept";
  TensorLayout layout_{{{"a.weight", {2}, 0, 2}}, 2};
};

TEST_F(KeptStateTest, BeginsWithNothing) {
  KeptState now = state(1);
  EXPECT_EQ(now.epoch(), 0U);
  EXPECT_EQ(now.load("control").value(), std::nullopt);
  ASSERT_TRUE(now.stage());
  EXPECT_FALSE(std::filesystem::exists(path_)) << "a job that keeps nothing leaves nothing";
  EXPECT_TRUE(KeptState::accept(path_, task(1)));
  EXPECT_TRUE(KeptState::discard(path_));
}

TEST_F(KeptStateTest, CountsFromTheMomentOfAcceptance) {
  {
    KeptState now = state(1);
    ASSERT_TRUE(now.store("control", Numbers{1.0F, 2.0F}));
    EXPECT_EQ(now.load("control").value(), std::nullopt);
    ASSERT_TRUE(now.stage());
  }
  EXPECT_EQ(state(2).epoch(), 0U);
  ASSERT_TRUE(KeptState::accept(path_, task(1)));
  EXPECT_EQ(state(2).epoch(), 1U);
  EXPECT_EQ(kept(2, "control"), (Numbers{1.0F, 2.0F}));
  ASSERT_TRUE(KeptState::accept(path_, task(1))) << "a repeated answer changes nothing";
  EXPECT_EQ(state(2).epoch(), 1U);
}

TEST_F(KeptStateTest, WhatCameToNothingIsForgotten) {
  keep(1, "control", {1.0F});
  KeptState second = state(2);
  ASSERT_TRUE(second.store("control", Numbers{9.0F}));
  ASSERT_TRUE(second.stage());
  ASSERT_TRUE(KeptState::discard(path_));
  ASSERT_TRUE(KeptState::accept(path_, task(2)));
  EXPECT_EQ(kept(3, "control"), (Numbers{1.0F}));
  EXPECT_EQ(state(3).epoch(), 1U);
}

TEST_F(KeptStateTest, AnotherTasksAnswerDoesNotCountIt) {
  KeptState now = state(7);
  ASSERT_TRUE(now.store("control", Numbers{9.0F}));
  ASSERT_TRUE(now.stage());
  ASSERT_TRUE(KeptState::accept(path_, task(8)));
  EXPECT_EQ(state(9).epoch(), 0U);
}

TEST_F(KeptStateTest, VectorsThatAreNotStoredAgainStay) {
  keep(1, "control", {1.0F});
  keep(2, "local", {2.0F, 3.0F});
  keep(3, "control", {4.0F});
  EXPECT_EQ(kept(4, "control"), (Numbers{4.0F}));
  EXPECT_EQ(kept(4, "local"), (Numbers{2.0F, 3.0F}));
  EXPECT_EQ(state(4).epoch(), 3U);
}

TEST_F(KeptStateTest, JobsDoNotSeeEachOther) {
  keep(1, "control", {1.0F});
  EXPECT_EQ(state(1, "words").epoch(), 0U);
}

TEST_F(KeptStateTest, OfAnotherLayoutIsDropped) {
  keep(1, "control", {1.0F});
  layout_.tensors[0].name = "b.weight";
  EXPECT_EQ(state(2).epoch(), 0U);
  EXPECT_EQ(kept(2, "control"), std::nullopt);
}

TEST_F(KeptStateTest, DamageIsDroppedWhateverItIs) {
  const auto path = path_ / "digits.state";
  const auto damage = [&](const std::function<void(std::string&)>& change) {
    keep(1, "control", {1.0F, 2.0F});
    std::string bytes = read_text(path, 1U << 20U).value();
    change(bytes);
    ASSERT_TRUE(write_durably(path, std::string_view(bytes)));
    EXPECT_EQ(state(2).epoch(), 0U);
    EXPECT_EQ(kept(2, "control"), std::nullopt);
    std::filesystem::remove(path);
  };
  damage([](std::string& bytes) { bytes.clear(); });
  damage([](std::string& bytes) { bytes.resize(10); });
  damage([](std::string& bytes) { bytes.pop_back(); });
  damage([](std::string& bytes) { bytes += 'x'; });
  damage([](std::string& bytes) { bytes[0] = static_cast<char>(0xFF); });
  damage([](std::string& bytes) { bytes[bytes.size() / 2] ^= 1; });
}

TEST_F(KeptStateTest, RefusesBadNamesAndTooManyVectors) {
  KeptState now = state(1);
  for (const char* bad : {"", "A", "a/b", "..", "a b"}) {
    EXPECT_EQ(now.store(bad, Numbers{1.0F}).error().code, errc::invalid_argument) << bad;
  }
  for (std::size_t i = 0; i < limits::kStateVectorsMax; ++i) {
    ASSERT_TRUE(now.store("v" + std::to_string(i), Numbers{1.0F}));
  }
  EXPECT_THAT(now.store("one-more", Numbers{1.0F}).error().detail, HasSubstr("16 vectors"));
  EXPECT_TRUE(now.store("v0", Numbers{2.0F}));
  EXPECT_TRUE(now.stage());
}

}  // namespace
}  // namespace chorus::client
