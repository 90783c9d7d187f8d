#include "common/base/types.hpp"

#include <map>
#include <type_traits>
#include <unordered_set>

#include <gtest/gtest.h>

namespace chorus {
namespace {

static_assert(!std::is_convertible_v<RoundId, Examples>);
static_assert(!std::is_convertible_v<RoundId, std::uint64_t>);
static_assert(!std::is_convertible_v<std::uint64_t, RoundId>);
static_assert(!std::is_convertible_v<JobId, ClientId>);
static_assert(!std::is_convertible_v<JobId, std::string>);

TEST(StrongTypes, OrderByValue) {
  EXPECT_LT(RoundId{1}, RoundId{2});
  EXPECT_EQ(RoundId{}.value, 0U);
  EXPECT_LT(ClientId{"a"}, ClientId{"b"});
  EXPECT_EQ(JobId{"digits"}, JobId{"digits"});
  const std::unordered_set<ClientId> set = {ClientId{"a"}, ClientId{"b"}, ClientId{"a"}};
  EXPECT_EQ(set.size(), 2U);
}

TEST(TaskRef, DiffersInJobRoundAndKind) {
  const TaskRef task{.job = {"digits"}, .round = {3}, .kind = TaskKind::train};
  EXPECT_NE(task, (TaskRef{.job = {"digits"}, .round = {3}, .kind = TaskKind::evaluate}));
  EXPECT_NE(task, (TaskRef{.job = {"digits"}, .round = {4}, .kind = TaskKind::train}));
  EXPECT_NE(task, (TaskRef{.job = {"digit"}, .round = {3}, .kind = TaskKind::train}));
  const std::map<TaskRef, int> map = {{task, 1}};
  EXPECT_EQ(map.at(task), 1);
}

}  // namespace
}  // namespace chorus
