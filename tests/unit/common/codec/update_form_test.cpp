// Which runs of a model travel, and the table before them.
#include "common/codec/update_form.hpp"

#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/codec/basis.hpp"

namespace chorus::codec {
namespace {

constexpr std::uint64_t kPiece = UpdateForm::kPieceElements;

TensorLayout layout_of_counts(const std::vector<std::pair<std::string, std::uint64_t>>& tensors) {
  TensorLayout layout;
  for (const auto& [name, count] : tensors) {
    layout.tensors.push_back(
        {name, {count}, layout.parameters, count, name.ends_with("running_mean")});
    layout.parameters += count;
  }
  return layout;
}

TensorLayout small() {
  return layout_of_counts({{"conv.weight", 90},
                           {"conv.bias", 10},
                           {"norm.weight", 10},
                           {"norm.running_mean", 10},
                           {"head.weight", 80},
                           {"head.bias", 8}});
}

TrainPlan plan_with(const Codec& codec, std::vector<TensorCodec> tensors = {}) {
  TrainPlan plan;
  plan.compression = Compression{.codec = codec, .tensors = std::move(tensors), .seed = 5};
  return plan;
}

constexpr Codec kUniform{.kind = CodecKind::uniform, .bucket = 64};
constexpr Codec kTopK{.kind = CodecKind::top_k};

TEST(UpdateForm, WithoutCompressionIsTheWholeModelAndNothingElse) {
  const auto form = UpdateForm::of(TrainPlan{}, small()).value();
  EXPECT_FALSE(form.compressed());
  EXPECT_EQ(form.table_bytes(), 0U);
  EXPECT_EQ(form.bytes_max(), 4 * 208U);
  EXPECT_EQ(form.lane_elements(), 208U);
  EXPECT_EQ(form.lane_value_max(3.0), 3.0);
  EXPECT_EQ(form.offsets({}, 832).value(), (std::vector<std::uint64_t>{0, 832}));
}

TEST(UpdateForm, NeighboursOfOneCodecAreOneRunAndBuffersStayWhole) {
  const auto form = UpdateForm::of(plan_with(kUniform), small()).value();
  EXPECT_EQ(std::vector<Piece>(form.pieces().begin(), form.pieces().end()),
            (std::vector<Piece>{{kUniform, 0, 110}, {Codec{}, 110, 10}, {kUniform, 120, 88}}));
  EXPECT_EQ(form.table_bytes(), 8 + 3 * 4U);
  // Two floats a bucket and a byte an element; 4 bytes for each of the buffer's.
  EXPECT_EQ(form.bytes_max(), 20 + (2 * 8 + 110) + 40 + (2 * 8 + 88U));
}

TEST(UpdateForm, TheFirstRuleThatNamesATensorCounts) {
  const auto form =
      UpdateForm::of(plan_with(kUniform, {{"*.bias", Codec{}}, {"head.*", kTopK}}), small())
          .value();
  EXPECT_EQ(std::vector<Piece>(form.pieces().begin(), form.pieces().end()),
            (std::vector<Piece>{{kUniform, 0, 90},
                                {Codec{}, 90, 10},
                                {kUniform, 100, 10},
                                {Codec{}, 110, 10},
                                {kTopK, 120, 80},
                                {Codec{}, 200, 8}}));
}

TEST(UpdateForm, WhatIsNotTrainedOrStaysOnTheDeviceIsLeftOut) {
  TrainPlan plan = plan_with(kUniform);
  plan.trainable.frozen = {"conv.*"};
  plan.local = {"head.bias"};
  const auto form = UpdateForm::of(plan, small()).value();
  EXPECT_EQ(std::vector<Piece>(form.pieces().begin(), form.pieces().end()),
            (std::vector<Piece>{{kUniform, 100, 10}, {Codec{}, 110, 10}, {kUniform, 120, 80}}));
  EXPECT_EQ(form.lane_elements(), 100U);
}

TEST(UpdateForm, LongRunsAreCut) {
  const auto layout = layout_of_counts({{"a", kPiece}, {"b", kPiece + 1}});
  const auto form = UpdateForm::of(plan_with(kUniform), layout).value();
  ASSERT_EQ(form.pieces().size(), 3U);
  EXPECT_EQ(form.pieces()[1], (Piece{kUniform, kPiece, kPiece}));
  EXPECT_EQ(form.pieces()[2], (Piece{kUniform, 2 * kPiece, 1}));
}

TEST(UpdateForm, LowRankTakesEachTensorAsAMatrix) {
  const Codec codec{.kind = CodecKind::low_rank, .rank = 2};
  const auto of_columns = [&codec](std::uint32_t columns) {
    Codec own = codec;
    own.columns = columns;
    return own;
  };
  TensorLayout layout;
  const auto add = [&layout](const std::string& name, std::vector<std::uint64_t> shape) {
    std::uint64_t count = 1;
    for (const std::uint64_t size : shape) count *= size;
    layout.tensors.push_back({name, std::move(shape), layout.parameters, count, false});
    layout.parameters += count;
  };
  add("conv.weight", {16, 4, 3, 3});
  add("conv.bias", {16});
  add("small.weight", {3, 4});  // 2 · (3 + 4) > 12
  add("long.weight", {1025, 4096});
  add("last.weight", {30, 40});
  const auto form = UpdateForm::of(plan_with(codec), layout).value();
  // Cut evenly, into as many pieces of at most 512 rows as it takes.
  const std::uint64_t at = 576;
  const std::uint64_t part = 342 * 4096;
  const std::uint64_t last = at + 28 + 1025 * 4096;
  EXPECT_EQ(std::vector<Piece>(form.pieces().begin(), form.pieces().end()),
            (std::vector<Piece>{{of_columns(36), 0, 576},
                                {Codec{}, at, 28},
                                {of_columns(4096), at + 28, part},
                                {of_columns(4096), at + 28 + part, part},
                                {of_columns(4096), at + 28 + 2 * part, 341 * 4096},
                                {of_columns(40), last, 1200}}));
  EXPECT_EQ(form.largest_piece(), part);
  const std::uint64_t long_factors = 2 * (1025 + 3 * 4096);
  EXPECT_EQ(form.largest_payload(), 4 * 2 * (342 + 4096U));
  EXPECT_EQ(form.bytes_max(),
            form.table_bytes() + 4 * (2 * (16 + 36) + 28 + long_factors + 2 * 70));
  EXPECT_EQ(bytes_max(of_columns(4096), 1025 * 4096), 4 * long_factors);
  EXPECT_EQ(bytes_max(kUniform, kPiece + 1), kPiece / 64 * (64 + 8) + 9);
}

TEST(UpdateForm, SubspaceHasABasisForEachPieceThatHasOne) {
  TensorLayout layout;
  layout.tensors = {{"a.weight", {20, 30}, 0, 600, false},
                    {"a.bias", {20}, 600, 20, false},
                    {"b.weight", {1025, 4096}, 620, 1025 * 4096, false}};
  layout.parameters = 620 + 1025 * 4096;
  const TrainPlan plan = plan_with({.kind = CodecKind::subspace, .rank = 2});
  const auto first = UpdateForm::of(plan, layout).value();
  ASSERT_EQ(first.pieces().size(), 5U);
  EXPECT_EQ(first.basis_elements(), 2 * (30 + 3 * 4096U));
  EXPECT_EQ(first.lane_elements(), 2 * 20 + 20 + 2 * 1025U);
  EXPECT_TRUE(first.keys(0).basis.empty()) << "drawn";

  auto basis = std::make_shared<Basis>();
  basis->shares_rows = true;
  const auto refused = UpdateForm::of(plan, layout, basis);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::shape_mismatch);
  for (int i = 0; i < 2 * (20 + 1025); ++i) basis->values.push_back(static_cast<float>(i));
  const auto next = UpdateForm::of(plan, layout, basis).value();
  EXPECT_EQ(next.basis_elements(), basis->values.size());
  EXPECT_EQ(next.lane_elements(), 2 * 30 + 20 + 2 * 3 * 4096U);
  EXPECT_EQ(next.keys(0).basis.size(), 40U);
  EXPECT_TRUE(next.keys(1).basis.empty()) << "a bias goes as it is";
  EXPECT_EQ(next.keys(3).basis.front(), 40.0F + 2 * 342);
  EXPECT_EQ(next.keys(4).basis.size(), 2 * 341U);
  EXPECT_EQ(next.lane_value_max(1.0), first.lane_value_max(1.0)) << "sums of one scale";
}

TEST(UpdateForm, ABasisNeedsACodecThatHasOne) {
  const auto basis = std::make_shared<Basis>(Basis{false, {1.0F}});
  EXPECT_FALSE(UpdateForm::of(plan_with(kUniform), small(), basis));
}

// A matrix of which a piece has few rows only, and one that is a single row.
TEST(UpdateForm, LowRankOfVeryWideMatricesIsFloat32) {
  TensorLayout layout;
  const std::uint64_t wide = UpdateForm::kMatrixElements / 4;
  layout.tensors = {{"wide.weight", {100, wide}, 0, 100 * wide, false}};
  layout.parameters = 100 * wide;
  const Codec four{.kind = CodecKind::low_rank, .rank = 4};
  EXPECT_EQ(UpdateForm::of(plan_with(four), layout)->pieces().front().codec, Codec{});
  const Codec one{.kind = CodecKind::low_rank, .rank = 1};
  EXPECT_EQ(UpdateForm::of(plan_with(one), layout)->pieces().front().count, 4 * wide);
}

TEST(UpdateForm, LowRankOfAMatrixOfOneLongRow) {
  const std::uint64_t count = UpdateForm::kMatrixElements + 1;
  TensorLayout layout;
  layout.tensors = {{"row.weight", {1, count}, 0, count, false}};
  layout.parameters = count;
  const auto form = UpdateForm::of(plan_with({.kind = CodecKind::low_rank}), layout).value();
  EXPECT_EQ(form.pieces().front().codec, Codec{});
  EXPECT_EQ(form.largest_piece(), kPiece);
}

TEST(UpdateForm, EveryPieceHasKeysOfItsOwn) {
  TrainPlan plan = plan_with(kUniform);
  const auto form = UpdateForm::of(plan, small()).value();
  EXPECT_NE(form.keys(0).round, form.keys(1).round);
  EXPECT_NE(form.keys(0).device, form.keys(1).device);
  plan.seed = 6;  // another device of the same round
  const auto other = UpdateForm::of(plan, small()).value();
  EXPECT_EQ(other.keys(0).round, form.keys(0).round);
  EXPECT_NE(other.keys(0).device, form.keys(0).device);
}

TEST(UpdateForm, RotatedPiecesNeedMoreRoom) {
  const Codec rotated{.kind = CodecKind::rotated, .bits = 4, .bucket = 64};
  const auto form = UpdateForm::of(plan_with(rotated), small()).value();
  EXPECT_EQ(form.lane_elements(), 64 + 64 + 10 + 64 + 32U);
  EXPECT_GT(form.lane_value_max(1.0), 64.0);
}

TEST(UpdateForm, TheTableIsReadBack) {
  TrainPlan plan = plan_with(kTopK);
  plan.compression->table = 3;
  const auto form = UpdateForm::of(plan, small()).value();
  const std::vector<std::uint32_t> sizes{9, 40, 5};
  const auto table = form.table_of(sizes);
  EXPECT_EQ(table.size(), form.table_bytes());
  EXPECT_EQ(form.offsets(table, 20 + 54).value(), (std::vector<std::uint64_t>{20, 29, 69, 74}));
  EXPECT_EQ(form.offsets(table, 20 + 53).error().code, errc::shape_mismatch);
  EXPECT_EQ(form.offsets(table, 20 + 55).error().code, errc::shape_mismatch);
  EXPECT_EQ(form.offsets(std::span(table).first(19), 74).error().code, errc::shape_mismatch);
  plan.compression->table = 4;
  const auto other = UpdateForm::of(plan, small()).value();
  EXPECT_NE(other.offsets(table, 74).error().detail.find("plan of codecs 3"), std::string::npos);
}

TEST(UpdateForm, APayloadBeyondItsCodecsLargestIsRefused) {
  const auto form = UpdateForm::of(plan_with(kUniform), small()).value();
  const std::vector<std::uint32_t> sizes{127, 40, 104};
  const auto table = form.table_of(sizes);
  EXPECT_NE(form.offsets(table, 20 + 271).error().detail.find("payload 0 has 127 bytes"),
            std::string::npos);
}

TEST(UpdateForm, RefusesWhatDoesNotFit) {
  const auto says = [](const TrainPlan& plan, const TensorLayout& layout, const char* what) {
    const auto form = UpdateForm::of(plan, layout);
    ASSERT_FALSE(form);
    EXPECT_EQ(form.error().code, errc::invalid_argument);
    EXPECT_NE(form.error().detail.find(what), std::string::npos) << form.error().detail;
  };
  says(plan_with({.kind = CodecKind::uniform, .bits = 9}), small(), "bits = 9");
  says(plan_with(kUniform, {{"dense.*", Codec{}}}), small(), "dense.*");
  says(plan_with(kUniform, {{"*", {.kind = CodecKind::top_k, .density = 2}}}), small(), "density");
  std::vector<TensorCodec> many(limits::kCodecRulesMax, {"*", Codec{}});
  EXPECT_TRUE(UpdateForm::of(plan_with(kUniform, many), small()));
  many.push_back({"*", Codec{}});
  says(plan_with(kUniform, many), small(), "513 rules");
  auto huge = layout_of_counts({{"a", kPiece * limits::kUpdatePiecesMax}});
  EXPECT_TRUE(UpdateForm::of(plan_with(kUniform), huge));
  huge = layout_of_counts({{"a", kPiece * limits::kUpdatePiecesMax + 1}});
  says(plan_with(kUniform), huge, "20481 pieces");
}

}  // namespace
}  // namespace chorus::codec
