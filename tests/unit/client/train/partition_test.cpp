#include "chorus/client/partition.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/train/examples.hpp"

namespace chorus::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// `each` examples of every class, class after class.
std::vector<std::uint32_t> labels_of(std::uint32_t classes, std::size_t each) {
  std::vector<std::uint32_t> labels;
  for (std::uint32_t c = 0; c < classes; ++c) labels.insert(labels.end(), each, c);
  return labels;
}

void expect_complete(const Partition& partition, std::size_t examples) {
  std::vector<int> seen(examples);
  for (const auto& rows : partition) {
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
    for (const std::uint32_t row : rows) {
      ASSERT_LT(row, examples);
      ++seen[row];
    }
  }
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int times) { return times == 1; }));
}

std::size_t smallest(const Partition& partition) {
  std::size_t least = partition.front().size();
  for (const auto& rows : partition) least = std::min(least, rows.size());
  return least;
}

std::size_t classes_in(const std::vector<std::uint32_t>& rows,
                       const std::vector<std::uint32_t>& labels) {
  std::set<std::uint32_t> classes;
  for (const std::uint32_t row : rows) classes.insert(labels[row]);
  return classes.size();
}

template <class T>
void refused(const Result<T>& result, const char* why) {
  ASSERT_FALSE(result) << why;
  EXPECT_EQ(result.error().code, errc::invalid_argument);
  EXPECT_THAT(result.error().detail, HasSubstr(why));
}

TEST(PartitionIid, IsEvenAndComplete) {
  for (const std::size_t examples : {7U, 10U, 100U, 103U}) {
    const auto partition = partition_iid(examples, 7, 5);
    ASSERT_TRUE(partition);
    ASSERT_EQ(partition->size(), 7U);
    expect_complete(*partition, examples);
    for (const auto& rows : *partition) {
      EXPECT_GE(rows.size(), examples / 7);
      EXPECT_LE(rows.size(), examples / 7 + 1);
    }
  }
}

TEST(PartitionIid, FollowsTheSeed) {
  EXPECT_EQ(*partition_iid(50, 4, 9), *partition_iid(50, 4, 9));
  EXPECT_NE(*partition_iid(50, 4, 9), *partition_iid(50, 4, 10));
}

TEST(PartitionIid, RefusesMoreClientsThanExamples) {
  refused(partition_iid(3, 4, 0), "3 examples");
  refused(partition_iid(3, 0, 0), "0 clients");
  EXPECT_TRUE(partition_iid(4, 4, 0));
}

TEST(PartitionDirichlet, IsCompleteAndKeepsTheMinimum) {
  const auto labels = labels_of(10, 180);
  for (const double alpha : {0.05, 0.1, 0.5, 1.0, 100.0}) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const auto partition = partition_dirichlet(labels, {10, alpha, 10, seed});
      ASSERT_TRUE(partition) << alpha << ": " << partition.error().to_string();
      ASSERT_EQ(partition->size(), 10U);
      expect_complete(*partition, labels.size());
      EXPECT_GE(smallest(*partition), 10U);
    }
  }
}

TEST(PartitionDirichlet, SmallAlphaConcentratesClasses) {
  const auto labels = labels_of(10, 180);
  const auto spread = [&labels](double alpha) {
    const auto partition = partition_dirichlet(labels, {10, alpha, 1, 3});
    std::size_t sum = 0;
    for (const auto& rows : *partition) sum += classes_in(rows, labels);
    return static_cast<double>(sum) / 10;
  };
  EXPECT_LT(spread(0.05), 5.0);
  EXPECT_GT(spread(100.0), 9.5);
}

TEST(PartitionDirichlet, SurvivesUnderflow) {
  const auto labels = labels_of(4, 50);
  const auto partition = partition_dirichlet(labels, {3, 1e-6, 0, 1});
  ASSERT_TRUE(partition) << partition.error().to_string();
  expect_complete(*partition, labels.size());
}

TEST(PartitionDirichlet, ClosesClientsThatHoldTheirShare) {
  // With alpha near 0 every class goes to one client; nobody with a full share gets another.
  const auto labels = labels_of(4, 50);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto partition = partition_dirichlet(labels, {4, 1e-6, 0, seed});
    ASSERT_TRUE(partition);
    for (const auto& rows : *partition) EXPECT_EQ(rows.size(), 50U);
  }
}

TEST(PartitionDirichlet, FollowsTheSeed) {
  const auto labels = labels_of(5, 40);
  EXPECT_EQ(*partition_dirichlet(labels, {4, 0.5, 5, 1}),
            *partition_dirichlet(labels, {4, 0.5, 5, 1}));
  EXPECT_NE(*partition_dirichlet(labels, {4, 0.5, 5, 1}),
            *partition_dirichlet(labels, {4, 0.5, 5, 2}));
}

TEST(PartitionDirichlet, RefusesWhatIsImpossible) {
  const auto labels = labels_of(2, 10);
  refused(partition_dirichlet(labels, {0, 0.5, 1, 0}), "0 clients");
  refused(partition_dirichlet(labels, {21, 0.5, 0, 0}), "20 examples");
  refused(partition_dirichlet(labels, {4, 0.0, 1, 0}), "alpha");
  refused(partition_dirichlet(labels, {4, -1.0, 1, 0}), "alpha");
  refused(partition_dirichlet(labels, {4, std::nan(""), 1, 0}), "alpha");
  refused(partition_dirichlet(labels, {4, INFINITY, 1, 0}), "alpha");
  refused(partition_dirichlet(labels, {4, 0.5, 6, 0}), "at least 6");
  refused(partition_dirichlet(labels, {4, 1e-6, 5, 0}), "lower examples_min");
}

TEST(PartitionShards, GivesEveryClientExactlyItsClasses) {
  const auto labels = labels_of(10, 100);
  for (const std::uint32_t each : {1U, 2U, 3U, 7U, 10U}) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const auto partition = partition_shards(labels, {20, each, seed});
      ASSERT_TRUE(partition) << partition.error().to_string();
      ASSERT_EQ(partition->size(), 20U);
      expect_complete(*partition, labels.size());
      for (const auto& rows : *partition) EXPECT_EQ(classes_in(rows, labels), each);
    }
  }
}

TEST(PartitionShards, CutsClassesEvenly) {
  const auto labels = labels_of(10, 100);
  const auto partition = partition_shards(labels, {20, 2, 4});  // 4 shards of 25 for each class
  ASSERT_TRUE(partition);
  for (const auto& rows : *partition) EXPECT_EQ(rows.size(), 50U);
}

TEST(PartitionShards, CountsOnlyClassesThatOccur) {
  const std::vector<std::uint32_t> labels = {7, 7, 7, 9, 9, 9};
  const auto partition = partition_shards(labels, {3, 2, 0});
  ASSERT_TRUE(partition);
  expect_complete(*partition, labels.size());
  refused(partition_shards(labels, {3, 3, 0}), "classes_each is 3");
}

TEST(PartitionShards, RefusesWhatIsImpossible) {
  const auto labels = labels_of(4, 5);
  refused(partition_shards(labels, {0, 2, 0}), "0 clients");
  refused(partition_shards(labels, {4, 0, 0}), "classes_each is 0");
  refused(partition_shards(labels, {4, 5, 0}), "classes_each is 5");
  refused(partition_shards(labels, {1, 3, 0}), "to nobody");
  refused(partition_shards(labels, {12, 2, 0}), "too few for");
}

TEST(PartitionByKey, KeepsKeysTogether) {
  const ExampleKeys keys = test::keys_of({"b", "a", "b", "c", "a", "b"});
  EXPECT_THAT(keys.names(), ElementsAre("b", "a", "c"));
  const auto natural = partition_by_key(keys, 0, 0);
  ASSERT_TRUE(natural);
  EXPECT_THAT(*natural, ElementsAre(ElementsAre(1, 4), ElementsAre(0, 2, 5), ElementsAre(3)));
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto two = partition_by_key(keys, 2, seed);
    ASSERT_TRUE(two);
    expect_complete(*two, keys.size());
    std::size_t held = 0;
    for (const auto& rows : *two) {
      std::set<std::string> mine;
      for (const std::uint32_t row : rows) mine.insert(keys[row]);
      held += mine.size();
    }
    EXPECT_EQ(held, 3U);
  }
  EXPECT_EQ(*partition_by_key(keys, 2, 1), *partition_by_key(keys, 2, 1));
}

TEST(PartitionByKey, RefusesWhatIsImpossible) {
  refused(partition_by_key(test::keys_of({"a", "b", "a"}), 3, 0), "2 different keys");
  refused(partition_by_key({}, 0, 0), "no keys");
}

TEST(SplitHoldout, PutsAFractionAside) {
  const auto split = split_holdout(100, 0.2, 1);
  ASSERT_TRUE(split);
  EXPECT_EQ(split->holdout.size(), 20U);
  expect_complete({split->train, split->holdout}, 100);
  EXPECT_EQ(split_holdout(100, 0.2, 1)->holdout, split->holdout);
  EXPECT_NE(split_holdout(100, 0.2, 2)->holdout, split->holdout);
}

TEST(SplitHoldout, LeavesBothSidesOneWhenItCan) {
  EXPECT_EQ(split_holdout(2, 0.01, 1)->holdout.size(), 1U);
  EXPECT_EQ(split_holdout(2, 0.99, 1)->train.size(), 1U);
  EXPECT_EQ(split_holdout(1, 0.5, 1)->train.size(), 1U);
  EXPECT_TRUE(split_holdout(10, 0.0, 1)->holdout.empty());
}

TEST(SplitHoldout, RefusesWhatIsImpossible) {
  refused(split_holdout(0, 0.5, 1), "0 examples");
  refused(split_holdout(10, 1.0, 1), "fraction");
  refused(split_holdout(10, -0.1, 1), "fraction");
  refused(split_holdout(10, std::nan(""), 1), "fraction");
}

// From tests/golden/partitions.py. Partitions are part of what a seed means: a change here changes
// every published comparison.
TEST(Partition, GivesTheSameRowsAsEver) {
  const auto labels = labels_of(3, 4);
  EXPECT_EQ(*partition_iid(10, 3, 42), (Partition{{0, 7, 8}, {2, 3, 9}, {1, 4, 5, 6}}));
  EXPECT_EQ(*partition_shards(labels, {3, 2, 42}),
            (Partition{{2, 3, 4, 6}, {0, 1, 10, 11}, {5, 7, 8, 9}}));
  EXPECT_EQ(*partition_dirichlet(labels, {3, 0.5, 1, 42}),
            (Partition{{0, 2, 4, 7}, {3}, {1, 5, 6, 8, 9, 10, 11}}));
  EXPECT_THAT(split_holdout(8, 0.25, 42)->holdout, ElementsAre(2, 3));
}

}  // namespace
}  // namespace chorus::client
