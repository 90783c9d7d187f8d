// Compressed updates as a set: what codec::decode_update says, whatever part of it is asked for.
#include "server/robust/coded_updates.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/codec/update.hpp"
#include "tests/unit/common/codec/samples.hpp"
#include "tests/unit/server/update/fake_update.hpp"

namespace chorus::server::test {
namespace {

using codec::UpdateForm;

// Pieces of several codecs, a buffer, and what is not sent: in the middle and at the end.
TensorLayout layout() {
  TensorLayout layout;
  const auto add = [&layout](std::string name, std::uint64_t count, bool buffer = false) {
    layout.tensors.push_back({std::move(name), {count}, layout.parameters, count, buffer});
    layout.parameters += count;
  };
  add("conv.weight", 1000);
  add("conv.bias", 10);
  add("norm.running_mean", 10, true);
  add("frozen.weight", 500);
  add("dense.weight", UpdateForm::kPieceElements + 3001);  // more than a piece
  add("head.weight", 77);
  return layout;
}

TrainPlan plan_of(const Codec& codec) {
  TrainPlan plan;
  plan.compression.emplace();
  plan.compression->codec = codec;
  plan.compression->tensors = {{"conv.bias", Codec{}}};
  plan.compression->seed = 77;
  plan.trainable.frozen = {"frozen.*"};
  plan.local = {"head.*"};
  return plan;
}

struct Fleet {
  std::shared_ptr<const UpdateForm> form;
  std::vector<std::shared_ptr<const UpdateReader>> bodies;
  std::vector<std::vector<float>> values;  ///< what decode_update says
};

Fleet fleet_of(const Codec& codec, std::size_t devices) {
  const TrainPlan plan = plan_of(codec);
  Fleet fleet{std::make_shared<const UpdateForm>(UpdateForm::of(plan, layout()).value()), {}, {}};
  for (std::size_t k = 0; k < devices; ++k) {
    TrainPlan own = plan;
    own.seed = k;
    const auto delta = chorus::test::gaussian(layout().parameters, k);
    auto body = codec::encode_update(UpdateForm::of(own, layout()).value(), delta).value();
    std::vector<float> values(delta.size());
    EXPECT_TRUE(codec::decode_update(*fleet.form, body, 1e30F, values));
    fleet.values.push_back(std::move(values));
    fleet.bodies.push_back(std::make_shared<FakeBytes>(std::move(body)));
  }
  return fleet;
}

TEST(CodedUpdates, AreWhatTheirBodiesSayUnderEveryCodec) {
  const std::uint64_t parameters = layout().parameters;
  const std::uint64_t dense = 1520;  // where dense.weight begins
  const std::pair<std::uint64_t, std::uint64_t> ranges[] = {
      {0, parameters},    // all of it
      {0, 1000},          // one piece
      {3, 0},             // nothing
      {999, 2},           // over a border
      {1005, 12},         // float32 as it is, from its middle
      {1019, 502},        // what is not sent, and one element at either side
      {1100, 50},         // within it
      {dense + 700, 65},  // within a large piece
      {dense + UpdateForm::kPieceElements - 1, 3},
      {parameters - 80, 80},  // up to the end
  };
  for (const auto& [name, codec] : chorus::test::every_codec()) {
    const Fleet fleet = fleet_of(codec, 2);
    const auto set = updates_of_form(fleet.form, fleet.bodies).value();
    ASSERT_EQ(set->updates(), 2U);
    ASSERT_EQ(set->parameters(), parameters);
    EXPECT_TRUE(set->coded());
    for (std::size_t k = 0; k < 2; ++k) {
      for (const auto& [first, count] : ranges) {
        std::vector<float> read(count, 99.0F);
        const auto done = set->read(k, first, read);
        ASSERT_TRUE(done) << done.error().to_string();
        const auto from = fleet.values[k].begin() + static_cast<std::ptrdiff_t>(first);
        EXPECT_TRUE(std::equal(read.begin(), read.end(), from))
            << name << ": " << count << " elements from " << first << " of update " << k;
      }
    }
  }
}

TEST(CodedUpdates, RunsArePiecesAndWhatLiesBetween) {
  const Fleet fleet = fleet_of({.kind = CodecKind::uniform}, 1);
  const auto set = updates_of_form(fleet.form, fleet.bodies).value();
  std::vector<std::pair<std::uint64_t, bool>> runs;
  for (std::uint64_t at = 0; at < set->parameters();) {
    const UpdateRun run = set->run(at);
    runs.emplace_back(run.count, run.sent);
    at += run.count;
  }
  // conv.bias and the buffer are float32, both: one piece.
  const std::vector<std::pair<std::uint64_t, bool>> expected{{1000, true},
                                                             {20, true},
                                                             {500, false},
                                                             {UpdateForm::kPieceElements, true},
                                                             {3001, true},
                                                             {77, false}};
  EXPECT_EQ(runs, expected);
  EXPECT_EQ(set->run(1010).count, 10U);
  EXPECT_EQ(set->run(1519).count, 1U);
}

TEST(CodedUpdates, PlainBodiesAreReadWhereTheyAre) {
  const auto set = updates_of_form(plain_form(3), {update_of({1, 2, 3})}).value();
  EXPECT_FALSE(set->coded());
  EXPECT_EQ(set->run(1).count, 2U);
  EXPECT_TRUE(set->run(1).sent);
  std::vector<float> read(2);
  ASSERT_TRUE(set->read(0, 1, read));
  EXPECT_EQ(read, (std::vector<float>{2, 3}));
}

TEST(CodedUpdates, ABodyOfAnotherFormAndADiskThatFailsAreReported) {
  Fleet fleet = fleet_of({.kind = CodecKind::f16}, 2);
  auto bodies = fleet.bodies;
  bodies.push_back(update_of({1, 2}));
  EXPECT_EQ(updates_of_form(fleet.form, bodies).error().code, errc::shape_mismatch);
  EXPECT_EQ(updates_of_form(plain_form(3), {update_of({1, 2})}).error().code, errc::shape_mismatch);

  const auto broken = std::make_shared<FakeBytes>([&fleet] {
    std::vector<std::byte> bytes(fleet.bodies[1]->bytes());
    EXPECT_TRUE(fleet.bodies[1]->read(0, bytes));
    return bytes;
  }());
  const auto set = updates_of_form(fleet.form, {fleet.bodies[0], broken}).value();
  broken->fails_from = 0;
  std::vector<float> read(1000);
  EXPECT_TRUE(set->read(0, 0, read));
  EXPECT_EQ(set->read(1, 0, read).error().code, errc::io_failed);
  EXPECT_TRUE(set->read(1, 1020, std::span(read).first(500))) << "nothing is sent there";
}

}  // namespace
}  // namespace chorus::server::test
