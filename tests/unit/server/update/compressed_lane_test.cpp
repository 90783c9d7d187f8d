// Compressed updates: checked, summed as they are, and turned back into the mean of what devices
// encoded.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/base/rng.hpp"
#include "common/codec/update.hpp"
#include "server/update/lane.hpp"
#include "tests/unit/server/update/fake_update.hpp"

namespace chorus::server::test {
namespace {

using codec::UpdateForm;

constexpr float kValueMax = 100.0F;

TensorLayout layout() {
  TensorLayout layout;
  const auto add = [&layout](std::string name, std::uint64_t rows, std::uint64_t columns = 1) {
    const std::uint64_t count = rows * columns;
    const bool buffer = name.ends_with("running_mean");
    layout.tensors.push_back({std::move(name), {rows, columns}, layout.parameters, count, buffer});
    layout.parameters += count;
  };
  add("conv.weight", 20, 50);
  add("conv.bias", 10);
  add("norm.running_mean", 10);
  add("dense.weight", 1098, 605);  // more than a piece, and enough for two threads
  add("dense.bias", 3);
  EXPECT_GT(layout.tensors[3].count, UpdateForm::kPieceElements);
  return layout;
}

struct Fleet {
  Lane::Form form;
  LaneBounds bounds;
  std::vector<Contribution> updates;
  std::vector<double> mean;  ///< of what the payloads decode to
};

TrainPlan plan_of(const Codec& codec) {
  TrainPlan plan;
  plan.compression.emplace();
  plan.compression->codec = codec;
  plan.compression->tensors = {{"conv.bias", Codec{}}};
  plan.compression->seed = 77;
  return plan;
}

Fleet fleet_of(const TrainPlan& plan, std::size_t devices) {
  Fleet fleet;
  fleet.form = std::make_shared<const UpdateForm>(UpdateForm::of(plan, layout()).value());
  fleet.bounds = {devices, 5, fleet.form->lane_value_max(kValueMax)};
  fleet.mean.assign(layout().parameters, 0.0);
  double weights = 0.0;
  for (std::size_t k = 0; k < devices; ++k) {
    Rng rng(k);
    std::vector<float> delta(layout().parameters);
    for (float& value : delta) value = static_cast<float>(rng.normal());
    TrainPlan own = plan;
    own.seed = k;  // of the device's dice; the server does not know it
    const auto body = codec::encode_update(UpdateForm::of(own, layout()).value(), delta).value();
    const auto reader = std::make_shared<FakeBytes>(body);
    const std::uint64_t weight = 1 + k % 5;
    weights += static_cast<double>(weight);
    fleet.updates.push_back({body_of(reader, *fleet.form), weight});
    std::vector<float> values(delta.size());
    EXPECT_TRUE(codec::decode_update(*fleet.form, body, 1e30F, values));
    for (std::size_t i = 0; i < values.size(); ++i) {
      fleet.mean[i] += static_cast<double>(weight) * static_cast<double>(values[i]);
    }
  }
  for (double& value : fleet.mean) value /= weights;
  return fleet;
}

Lane folded(const Fleet& fleet, unsigned threads, std::size_t batch) {
  Lane lane = Lane::create(fleet.form, fleet.bounds).value();
  const std::span<const Contribution> all(fleet.updates);
  for (std::size_t at = 0; at < all.size(); at += batch) {
    const auto some = all.subspan(at, std::min(batch, all.size() - at));
    for (LaneRange& range : lane.shards(threads)) EXPECT_TRUE(lane.fold(some, range));
    lane.count_weights(some);
  }
  return lane;
}

std::vector<float> mean_of(const Lane& lane) {
  std::vector<float> mean(lane.parameters());
  for (std::uint64_t at = 0; at < mean.size();) {
    const std::uint64_t run = lane.run(at);
    EXPECT_GT(run, 0U);
    EXPECT_LE(run, Lane::kRunMax);
    lane.mean(at, std::span(mean).subspan(at, run));
    at += run;
  }
  return mean;
}

class CompressedLane : public ::testing::TestWithParam<Codec> {};

TEST_P(CompressedLane, HoldsTheMeanOfWhatTheDevicesEncoded) {
  const Fleet fleet = fleet_of(plan_of(GetParam()), 4);
  for (const Contribution& update : fleet.updates) {
    EXPECT_TRUE(check_payloads(*update.update, *fleet.form, kValueMax));
  }
  const auto mean = mean_of(folded(fleet, 1, 8));
  for (std::size_t i = 0; i < mean.size(); ++i) {
    ASSERT_NEAR(
        static_cast<double>(mean[i]), fleet.mean[i], 1e-5 * (1.0 + std::fabs(fleet.mean[i])))
        << i;
  }
}

TEST_P(CompressedLane, IsTheSameWhateverTheOrderTheBatchesAndTheThreads) {
  Fleet fleet = fleet_of(plan_of(GetParam()), 3);
  const Lane one = folded(fleet, 1, 8);
  std::reverse(fleet.updates.begin(), fleet.updates.end());
  for (const unsigned threads : {1U, 2U, 3U}) {
    const Lane other = folded(fleet, threads, 2);
    EXPECT_TRUE(std::equal(one.sums().begin(), one.sums().end(), other.sums().begin()));
    EXPECT_EQ(one.denominator(), other.denominator());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Codecs,
    CompressedLane,
    ::testing::Values(Codec{},
                      Codec{.entropy = true},
                      Codec{.kind = CodecKind::bf16},
                      Codec{.kind = CodecKind::uniform},
                      Codec{.kind = CodecKind::qsgd, .bits = 4},
                      Codec{.kind = CodecKind::sign},
                      Codec{.kind = CodecKind::rotated, .bits = 4, .bucket = 8192},
                      Codec{.kind = CodecKind::top_k},
                      Codec{.kind = CodecKind::random_k, .density = 0.1},
                      Codec{.kind = CodecKind::ternary},
                      Codec{.kind = CodecKind::low_rank, .rank = 1}));

TEST(CompressedLaneParts, WhatIsNotSentDoesNotChange) {
  TrainPlan plan = plan_of({.kind = CodecKind::rotated, .bits = 4, .bucket = 8192});
  plan.trainable.frozen = {"conv.weight"};
  plan.local = {"dense.bias"};
  const Fleet fleet = fleet_of(plan, 2);
  EXPECT_EQ(fleet.form->pieces().front().first, 1000U);
  const auto mean = mean_of(folded(fleet, 1, 8));
  for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(mean[i], 0.0F);
  EXPECT_NE(mean[1000], 0.0F);
  for (std::size_t i = mean.size() - 3; i < mean.size(); ++i) ASSERT_EQ(mean[i], 0.0F);
}

TEST(CompressedLaneParts, AFailedFoldGoesOnWhereItStopped) {
  for (const CodecKind kind : {CodecKind::uniform, CodecKind::top_k}) {  // in tiles, and as a whole
    const Fleet fleet = fleet_of(plan_of({.kind = kind}), 3);
    const Lane whole = folded(fleet, 1, 3);
    std::vector<float> delta(layout().parameters);
    for (std::size_t i = 0; i < delta.size(); ++i) delta[i] = static_cast<float>(i % 7) - 3.0F;
    const auto body = codec::encode_update(*fleet.form, delta).value();
    const auto reader = std::make_shared<FakeBytes>(body);
    std::vector<Contribution> updates = fleet.updates;
    updates.insert(updates.begin() + 1, {body_of(reader, *fleet.form), 1});
    const auto bounds = LaneBounds{4, 5, fleet.bounds.value_max};
    Lane undisturbed = Lane::create(fleet.form, bounds).value();
    for (LaneRange& range : undisturbed.shards(1)) ASSERT_TRUE(undisturbed.fold(updates, range));

    Lane lane = Lane::create(fleet.form, bounds).value();
    LaneRange range{0, lane.sums().size()};
    reader->fails_from = 3 * body.size() / 4;
    EXPECT_EQ(lane.fold(updates, range).error().code, errc::io_failed);
    EXPECT_GT(range.count, 0U);
    EXPECT_LT(range.count, lane.sums().size());
    reader->fails_from.reset();
    ASSERT_TRUE(lane.fold(updates, range));
    EXPECT_EQ(range.count, 0U);
    EXPECT_TRUE(std::ranges::equal(lane.sums(), undisturbed.sums()));
  }
}

TEST(CompressedLaneParts, ThreadsCutBetweenBucketsAndNotWithinAWhole) {
  const auto form_of = [](const Codec& codec) {
    return std::make_shared<const UpdateForm>(UpdateForm::of(plan_of(codec), layout()).value());
  };
  const auto coded = form_of({.kind = CodecKind::uniform, .bucket = 1024});
  const auto shards = Lane::create(coded, {1, 1, 1.0}).value().shards(2);
  ASSERT_EQ(shards.size(), 2U);
  const std::uint64_t first_of_dense = 1020;
  EXPECT_EQ((shards[1].first - first_of_dense) % UpdateForm::kPieceElements % 1024, 0U);
  EXPECT_LT(shards[0].count, shards[1].count + 2 * 1024);
  const auto whole = form_of({.kind = CodecKind::top_k});
  const auto cut = Lane::create(whole, {1, 1, 1.0}).value().shards(2);
  ASSERT_EQ(cut.size(), 2U);
  EXPECT_EQ((cut[1].first - first_of_dense) % UpdateForm::kPieceElements, 0U);
}

TEST(CompressedLaneParts, FoldingTakesMemoryForWholePayloadsOnly) {
  const auto bytes = [](const Codec& codec, std::uint64_t rows) {
    TensorLayout one;
    one.tensors = {{"dense.weight", {rows, 1000}, 0, rows * 1000, false}};
    one.parameters = rows * 1000;
    TrainPlan plan = plan_of(codec);
    plan.compression->tensors.clear();
    return fold_bytes(UpdateForm::of(plan, one).value());
  };
  EXPECT_EQ(bytes({.kind = CodecKind::uniform}, 10'000), 0U);
  const Codec whole{.entropy = true};
  EXPECT_GT(bytes(whole, 10'000), 2 * limits::kFoldBatch * 4 * UpdateForm::kPieceElements);
  EXPECT_EQ(bytes(whole, 1000), bytes(whole, 10'000));
}

TEST(CompressedLaneParts, ALaneIsUsedAgainForAnotherRoundsKeys) {
  TrainPlan plan = plan_of({.kind = CodecKind::rotated, .bits = 4, .bucket = 8192});
  Lane lane = folded(fleet_of(plan, 2), 1, 8);
  plan.compression->seed = 78;
  const Fleet next = fleet_of(plan, 2);
  ASSERT_TRUE(lane.restart(next.form, next.bounds));
  for (LaneRange& range : lane.shards(1)) ASSERT_TRUE(lane.fold(next.updates, range));
  lane.count_weights(next.updates);
  EXPECT_EQ(mean_of(lane), mean_of(folded(next, 1, 8)));
}

TEST(CompressedLaneParts, ACheckpointOfAnotherFormIsCorrupt) {
  const Fleet fleet = fleet_of(plan_of({}), 1);
  LaneCheckpoint checkpoint;
  checkpoint.scale = *lane_scale(fleet.bounds);
  checkpoint.sums = tensor::AlignedBuffer<std::int64_t>(5);
  const auto restored = Lane::restore(std::move(checkpoint), fleet.form, fleet.bounds);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, errc::corrupt_data);
}

// ---- bodies ----

TEST(UpdateBody, RefusesWhatIsNotOfItsForm) {
  const auto form = UpdateForm::of(plan_of({.kind = CodecKind::uniform}), layout()).value();
  const auto good = codec::encode_update(form, std::vector<float>(layout().parameters)).value();
  const auto refused = [&form](std::vector<std::byte> bytes) {
    const auto body = UpdateBody::open(std::make_shared<FakeBytes>(std::move(bytes)), form);
    EXPECT_FALSE(body);
    return body ? errc::internal : body.error().code;
  };
  for (const std::size_t length : {std::size_t{0}, std::size_t{7}, std::size_t{20}}) {
    EXPECT_EQ(refused({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)}),
              errc::shape_mismatch);
  }
  for (const std::size_t at : {std::size_t{0}, std::size_t{4}, std::size_t{8}, std::size_t{11}}) {
    auto bad = good;  // the plan's number, the pieces, a payload's size
    bad[at] ^= std::byte{0x40};
    EXPECT_EQ(refused(std::move(bad)), errc::shape_mismatch) << at;
  }
  auto longer = good;
  longer.push_back({});
  EXPECT_EQ(refused(std::move(longer)), errc::shape_mismatch);
}

TEST(UpdateBody, SaysWhichElementsAreWrong) {
  const auto form = UpdateForm::of(plan_of({}), layout()).value();
  std::vector<float> delta(layout().parameters);
  delta[1025] = 1000.0F;
  const auto body =
      body_of(std::make_shared<FakeBytes>(codec::encode_update(form, delta).value()), form);
  const auto checked = check_payloads(*body, form, kValueMax);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, errc::value_out_of_range);
  EXPECT_NE(checked.error().detail.find("elements 0 to 262143"), std::string::npos)
      << checked.error().detail;
}

}  // namespace
}  // namespace chorus::server::test
