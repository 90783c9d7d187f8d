// Exact sums: the scale, every bit, and independence of order, batches, shards and restarts.
#include "server/update/lane.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/base/rng.hpp"
#include "tests/unit/server/update/fake_update.hpp"

namespace chorus::server::test {
namespace {

constexpr std::uint64_t kTile = 16384;  // about one of lane.cpp, which depends on the updates

double largest(const LaneBounds& bounds, std::int32_t scale) {
  return std::ldexp(static_cast<double>(bounds.contributions_max) *
                        static_cast<double>(bounds.weight_max) * bounds.value_max,
                    scale);
}

// ---- scale ----

TEST(LaneScale, IsTheLargestThatFits) {
  for (const LaneBounds& bounds : {LaneBounds{10, 1'000'000, 100.0},
                                   LaneBounds{1, 1, 1.0},
                                   LaneBounds{100'000, 4'000'000, 3.0},
                                   LaneBounds{7, 13, 0.001}}) {
    const auto scale = lane_scale(bounds);
    ASSERT_TRUE(scale) << scale.error().to_string();
    EXPECT_LT(largest(bounds, *scale), 0x1.0p62);
    if (*scale < 52) {
      EXPECT_GE(largest(bounds, *scale + 1), 0x1.0p62);
    }
    EXPECT_LE(*scale, 52);
    EXPECT_GE(*scale, 8);
  }
}

TEST(LaneScale, IsStrictlyBelowTheRoom) {
  EXPECT_EQ(*lane_scale({1, 1, 0x1.0p9}), 52);    // 2^9 · 2^52 = 2^61
  EXPECT_EQ(*lane_scale({1, 1, 0x1.0p10}), 51);   // 2^62 itself does not fit
  EXPECT_EQ(*lane_scale({1, 1, 0x1.0p-40}), 52);  // never finer than 2^-52
}

TEST(LaneScale, OneStepBeyondTheLargestProductIsAnError) {
  const double last = std::nextafter(0x1.0p54, 0.0);
  EXPECT_EQ(*lane_scale({1, 1, last}), 8);
  const auto beyond = lane_scale({1, 1, 0x1.0p54});
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, errc::invalid_argument);
  EXPECT_NE(beyond.error().detail.find("limits.examples_max"), std::string::npos);
  EXPECT_EQ(*lane_scale({1ULL << 17U, 1ULL << 37U, 1.0 - 0x1.0p-53}), 8);
  EXPECT_FALSE(lane_scale({1ULL << 17U, 1ULL << 37U, 1.0}));
}

TEST(LaneScale, RefusesBoundsWithoutMeaning) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const LaneBounds& bounds : {LaneBounds{0, 1, 1.0},
                                   LaneBounds{1, 0, 1.0},
                                   LaneBounds{1, 1, 0.0},
                                   LaneBounds{1, 1, -1.0},
                                   LaneBounds{1, 1, inf},
                                   LaneBounds{1, 1, nan}}) {
    EXPECT_FALSE(lane_scale(bounds));
    EXPECT_FALSE(Lane::create(plain_form(4), bounds));
  }
}

// ---- sums ----

struct Cohort {
  std::vector<std::vector<float>> values;
  std::vector<Contribution> updates;
  LaneBounds bounds;
};

Cohort random_cohort(std::uint64_t seed, std::size_t count, std::size_t parameters) {
  Rng rng(seed);
  Cohort cohort;
  cohort.bounds = {count, 5000, 8.0};
  for (std::size_t k = 0; k < count; ++k) {
    std::vector<float> values(parameters);
    for (float& value : values) {
      const double size = std::ldexp(8.0, -static_cast<int>(rng.below(50)));
      const double place = 2.0 * rng.uniform() - 1.0;
      value = static_cast<float>(size * place);
    }
    values[rng.below(parameters)] = 8.0F;  // the bounds themselves
    values[rng.below(parameters)] = -8.0F;
    cohort.values.push_back(values);
    const std::uint64_t weight = k == 0 ? 5000 : 1 + rng.below(5000);
    cohort.updates.push_back(contribution_of(std::move(values), weight));
  }
  return cohort;
}

Result<void> fold_all(Lane& lane, std::span<const Contribution> updates) {
  LaneRange range{0, lane.parameters()};
  auto folded = lane.fold(updates, range);
  if (folded) lane.count_weights(updates);
  return folded;
}

std::vector<std::int64_t> sums_of(const Lane& lane) {
  return {lane.sums().begin(), lane.sums().end()};
}

/// Round half to even of w · x · 2^s in 128-bit integers, from the bits of the float alone.
__int128 exact_contribution(float x, std::uint64_t weight, std::int32_t scale) {
  int exponent = 0;
  const float fraction = std::frexp(x, &exponent);
  const auto mantissa = static_cast<std::int64_t>(std::ldexp(fraction, 24));  // exact
  const __int128 product = static_cast<__int128>(mantissa) * static_cast<__int128>(weight);
  const int shift = exponent - 24 + scale;
  if (shift >= 0) return product << shift;
  if (shift < -100) return 0;
  const __int128 unit = static_cast<__int128>(1) << -shift;
  __int128 whole = product / unit;
  __int128 rest = product % unit;
  if (rest < 0) {
    rest += unit;
    --whole;
  }
  const bool up = rest * 2 > unit || (rest * 2 == unit && (whole & 1) != 0);
  return up ? whole + 1 : whole;
}

TEST(Lane, SumsAreExact) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Cohort cohort = random_cohort(seed, 5, 257);
    Lane lane = Lane::create(plain_form(257), cohort.bounds).value();
    ASSERT_TRUE(fold_all(lane, cohort.updates));
    std::int64_t denominator = 0;
    for (const Contribution& update : cohort.updates) {
      denominator += static_cast<std::int64_t>(update.weight);
    }
    EXPECT_EQ(lane.denominator(), denominator);
    std::vector<float> mean(257);
    lane.mean(0, mean);
    for (std::size_t i = 0; i < 257; ++i) {
      __int128 sum = 0;
      long double reference = 0.0L;
      for (std::size_t k = 0; k < 5; ++k) {
        const std::uint64_t weight = cohort.updates[k].weight;
        sum += exact_contribution(cohort.values[k][i], weight, lane.scale());
        reference +=
            static_cast<long double>(cohort.values[k][i]) * static_cast<long double>(weight);
      }
      ASSERT_EQ(static_cast<__int128>(lane.sums()[i]), sum) << seed << " " << i;
      reference /= static_cast<long double>(denominator);
      const long double unit = std::ldexp(1.0L, -lane.scale());  // 5 roundings of half a unit
      const long double tolerance =
          5 * unit / static_cast<long double>(denominator) + std::fabs(reference) * 0x1.0p-23L;
      ASSERT_NEAR(static_cast<double>(mean[i]),
                  static_cast<double>(reference),
                  static_cast<double>(tolerance));
    }
  }
}

TEST(Lane, HalvesRoundToEven) {
  const LaneBounds bounds{2, 3, 0x1.0p40};
  Lane lane = Lane::create(plain_form(4), bounds).value();
  const double unit = std::ldexp(1.0, -lane.scale());
  const std::vector<float> values{static_cast<float>(0.5 * unit),
                                  static_cast<float>(1.5 * unit),
                                  static_cast<float>(-2.5 * unit),
                                  static_cast<float>(2.5 * unit)};
  const std::vector<Contribution> updates{contribution_of(values, 1)};
  ASSERT_TRUE(fold_all(lane, updates));
  EXPECT_EQ(sums_of(lane), (std::vector<std::int64_t>{0, 2, -2, 2}));
}

TEST(Lane, TheLargestSumsHaveRoom) {
  const LaneBounds bounds{8, 1'000'000, 100.0};
  std::vector<Contribution> updates;
  for (int k = 0; k < 8; ++k) updates.push_back(contribution_of({100.0F, -100.0F}, 1'000'000));
  Lane lane = Lane::create(plain_form(2), bounds).value();
  ASSERT_TRUE(fold_all(lane, updates));
  EXPECT_EQ(lane.sums()[0], -lane.sums()[1]);
  EXPECT_EQ(lane.sums()[0], static_cast<std::int64_t>(std::ldexp(8e8, lane.scale())));
  std::vector<float> mean(2);
  lane.mean(0, mean);
  EXPECT_EQ(mean, (std::vector<float>{100.0F, -100.0F}));
}

TEST(Lane, AnyOrderAnyBatchesAnyShardsGiveTheSameBits) {
  const std::size_t parameters = 2 * kTile + 77;
  const Cohort cohort = random_cohort(3, 19, parameters);
  Lane once = Lane::create(plain_form(parameters), cohort.bounds).value();
  for (std::size_t first = 0; first < 19; first += 8) {
    const std::size_t count = std::min<std::size_t>(8, 19 - first);
    ASSERT_TRUE(fold_all(once, std::span(cohort.updates).subspan(first, count)));
  }
  Rng rng(99);
  for (int repeat = 0; repeat < 8; ++repeat) {
    std::vector<Contribution> shuffled = cohort.updates;
    rng.shuffle(std::span(shuffled));
    Lane lane = Lane::create(plain_form(parameters), cohort.bounds).value();
    std::size_t first = 0;
    while (first < shuffled.size()) {
      const std::uint64_t wanted = 1 + rng.below(8);
      const std::size_t count = std::min<std::size_t>(wanted, shuffled.size() - first);
      const auto batch = std::span<const Contribution>(shuffled).subspan(first, count);
      std::uint64_t at = 0;
      while (at < parameters) {  // shards of random length
        const std::uint64_t length = 1 + rng.below(parameters);
        LaneRange range{at, std::min<std::uint64_t>(length, parameters - at)};
        at += range.count;
        ASSERT_TRUE(lane.fold(batch, range));
        ASSERT_EQ(range.count, 0U);
        ASSERT_EQ(range.first, at);
      }
      lane.count_weights(batch);
      first += count;
    }
    ASSERT_EQ(sums_of(lane), sums_of(once));
    ASSERT_EQ(lane.denominator(), once.denominator());
  }
}

TEST(Lane, ACheckpointGoesOnWithTheSameBits) {
  const Cohort cohort = random_cohort(4, 6, 1000);
  const std::span<const Contribution> all(cohort.updates);
  Lane whole = Lane::create(plain_form(1000), cohort.bounds).value();
  ASSERT_TRUE(fold_all(whole, all));

  Lane half = Lane::create(plain_form(1000), cohort.bounds).value();
  ASSERT_TRUE(fold_all(half, all.first(2)));
  LaneCheckpoint checkpoint;
  checkpoint.scale = half.scale();
  checkpoint.denominator = half.denominator();
  checkpoint.sums = tensor::AlignedBuffer<std::int64_t>(1000);
  std::copy(half.sums().begin(), half.sums().end(), checkpoint.sums.begin());
  Lane restored = Lane::restore(std::move(checkpoint), plain_form(1000), cohort.bounds).value();
  ASSERT_TRUE(fold_all(restored, all.subspan(2)));
  EXPECT_EQ(sums_of(restored), sums_of(whole));
  EXPECT_EQ(restored.denominator(), whole.denominator());
}

TEST(Lane, ACheckpointOfOtherBoundsIsCorrupt) {
  LaneCheckpoint checkpoint;
  checkpoint.scale = *lane_scale({10, 10, 1.0}) - 1;
  checkpoint.sums = tensor::AlignedBuffer<std::int64_t>(4);
  const auto restored = Lane::restore(std::move(checkpoint), plain_form(4), {10, 10, 1.0});
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, errc::corrupt_data);
}

TEST(Lane, AFailedFoldGoesOnWhereItStopped) {
  const std::size_t parameters = 3 * kTile + 5;
  const Cohort cohort = random_cohort(6, 3, parameters);
  Lane whole = Lane::create(plain_form(parameters), cohort.bounds).value();
  ASSERT_TRUE(fold_all(whole, cohort.updates));

  std::vector<Contribution> updates = cohort.updates;
  const auto sick = update_of(cohort.values[1]);
  updates[1].update = body_of(sick);
  Lane lane = Lane::create(plain_form(parameters), cohort.bounds).value();
  LaneRange range{0, parameters};
  for (const std::uint64_t readable : {std::uint64_t{0}, kTile + 9, 2 * kTile}) {
    sick->fails_from = readable * sizeof(float);
    const auto folded = lane.fold(updates, range);
    ASSERT_FALSE(folded);
    EXPECT_EQ(folded.error().code, errc::io_failed);
    EXPECT_LE(range.first, readable);
    EXPECT_GT(range.first + 2 * kTile, readable);
    EXPECT_EQ(range.first + range.count, parameters);
  }
  sick->fails_from.reset();
  ASSERT_TRUE(lane.fold(updates, range));
  EXPECT_EQ(sums_of(lane), sums_of(whole));  // nothing was added twice
}

TEST(Lane, BeginsAnewInTheSameMemory) {
  const Cohort first = random_cohort(7, 5, 3 * kTile);
  const Cohort second = random_cohort(8, 3, 3 * kTile);
  Lane fresh = Lane::create(plain_form(3 * kTile), second.bounds).value();
  ASSERT_TRUE(fold_all(fresh, second.updates));

  Lane lane = Lane::create(plain_form(3 * kTile), first.bounds).value();
  ASSERT_TRUE(fold_all(lane, first.updates));
  const auto* const memory = lane.sums().data();
  ASSERT_TRUE(lane.restart(plain_form(3 * kTile), second.bounds));
  ASSERT_TRUE(fold_all(lane, second.updates));
  EXPECT_EQ(lane.sums().data(), memory);
  EXPECT_EQ(sums_of(lane), sums_of(fresh));
  EXPECT_EQ(lane.denominator(), fresh.denominator());
  EXPECT_EQ(lane.scale(), fresh.scale());

  EXPECT_FALSE(lane.restart(plain_form(3 * kTile), {0, 1, 1.0}));
  EXPECT_EQ(lane.denominator(), fresh.denominator()) << "as before";
}

TEST(Lane, AnEmptyRangeIsNothing) {
  const Cohort cohort = random_cohort(1, 1, 10);
  Lane lane = Lane::create(plain_form(10), cohort.bounds).value();
  LaneRange range{10, 0};
  ASSERT_TRUE(lane.fold(cohort.updates, range));
  EXPECT_EQ(sums_of(lane), std::vector<std::int64_t>(10, 0));
}

TEST(LaneDeath, RangesBeyondTheEndAreBugs) {
  const Cohort cohort = random_cohort(1, 1, 10);
  Lane lane = Lane::create(plain_form(10), cohort.bounds).value();
  LaneRange beyond{9, 2};
  EXPECT_DEATH(static_cast<void>(lane.fold(cohort.updates, beyond)), "range");
  LaneRange wraps{2, std::numeric_limits<std::uint64_t>::max()};
  EXPECT_DEATH(static_cast<void>(lane.fold(cohort.updates, wraps)), "range");
  LaneRange good{0, 10};
  EXPECT_DEATH(static_cast<void>(lane.fold({}, good)), "updates");
  const std::vector<Contribution> too_many(limits::kFoldBatch + 1, cohort.updates[0]);
  EXPECT_DEATH(static_cast<void>(lane.fold(too_many, good)), "kFoldInputsMax");
  std::vector<float> mean(10);
  EXPECT_DEATH(lane.mean(0, mean), "denominator");
}

}  // namespace
}  // namespace chorus::server::test
