// Directions that devices share: what they let through, and how they become better from round to
// round.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/kernels.hpp"
#include "common/codec/basis.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/feedback.hpp"
#include "common/codec/update.hpp"
#include "tests/unit/common/codec/matrices.hpp"
#include "tests/unit/common/codec/samples.hpp"

namespace chorus::codec {
namespace {

using test::gaussian;
using test::squares;
using test::with_values;

constexpr std::size_t kRows = 40;
constexpr std::size_t kColumns = 64;

Codec of_rank(std::uint32_t rank, std::size_t columns = kColumns) {
  return {
      .kind = CodecKind::subspace, .rank = rank, .columns = static_cast<std::uint32_t>(columns)};
}

/// A job's rounds, in which all devices have the same matrix.
class Rounds {
 public:
  Rounds(const Codec& codec, std::vector<float> x, std::uint64_t seed = 1)
      : codec_(codec), x_(std::move(x)), seed_(seed) {}

  /// ‖x − C(x)‖² of the next one.
  double error() {
    std::vector<float> rest = next(encode(codec_, x_, keys()).value());
    for (std::size_t i = 0; i < x_.size(); ++i) rest[i] -= x_[i];
    return squares(rest);
  }

  Keys keys() const { return {.round = seed_, .basis = basis_}; }
  const Codec& codec() const { return codec_; }
  const std::vector<float>& basis() const { return basis_; }

  /// What a payload says; its round ends.
  std::vector<float> next(const std::vector<std::byte>& payload) {
    const Method& method = method_of(codec_);
    std::vector<std::int64_t> lane(method.lane_elements(codec_, x_.size()));
    const std::vector<FoldPart> part{{payload, 0x1.0p30}};
    method.fold(codec_, x_.size(), part, keys(), lane);
    std::vector<float> mean(lane.size());
    kernels::lane_mean_f32(lane, 0x1.0p30, mean);
    std::vector<float> basis = next_basis(codec_, x_.size(), mean, seed_);
    std::vector<float> back(x_.size());
    method.from_lane(codec_, keys(), mean, back);
    basis_ = std::move(basis);
    codec_.shares_rows = !codec_.shares_rows;
    ++seed_;
    return back;
  }

 private:
  Codec codec_;
  std::vector<float> x_;
  std::uint64_t seed_;
  std::vector<float> basis_;
};

/// Largest difference of the vectors' inner products from those of orthonormal ones.
double off_orthonormal(const Codec& codec, const std::vector<float>& basis) {
  const std::size_t count = codec.rank;
  const std::size_t length = basis.size() / count;
  const auto at = [&](std::size_t k, std::size_t i) {
    return static_cast<double>(codec.shares_rows ? basis[i * count + k] : basis[k * length + i]);
  };
  double most = 0.0;
  for (std::size_t a = 0; a < count; ++a) {
    for (std::size_t b = 0; b < count; ++b) {
      double product = a == b ? -1.0 : 0.0;
      for (std::size_t i = 0; i < length; ++i) product += at(a, i) * at(b, i);
      most = std::max(most, std::fabs(product));
    }
  }
  return most;
}

TEST(Subspace, AMatrixOfThatRankComesBackInTheSecondRound) {
  for (const std::uint32_t rank : {3U, 4U, 8U}) {
    Rounds rounds(of_rank(rank), with_values(kRows, kColumns, {9.0, 3.0, 0.5}));
    EXPECT_GT(rounds.error(), 1.0);
    for (int round = 0; round < 3; ++round) EXPECT_LT(rounds.error(), 1e-8) << rank;
  }
}

TEST(Subspace, OfAConstantTheErrorFallsToTheSmallerSingularValues) {
  Rounds rounds(of_rank(2), with_values(kRows, kColumns, {8.0, 4.0, 2.0, 1.0}));
  double before = 85.0;
  for (int round = 0; round < 16; ++round) {
    const double error = rounds.error();
    EXPECT_LE(error, before + 1e-6) << round;
    before = error;
  }
  EXPECT_NEAR(before, 5.0, 1e-3);
}

// The mean over all directions of what a subspace lets through.
TEST(Subspace, TheFirstRoundLetsItsShareOfTheDimensionsThrough) {
  constexpr int kDraws = 200;
  const auto check = [](const std::vector<float>& x, std::uint32_t rank) {
    double sum = 0.0;
    double sum_squares = 0.0;
    for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
      const double error = Rounds(of_rank(rank), x, seed).error() / squares(x);
      sum += error / kDraws;
      sum_squares += error * error / kDraws;
    }
    const double standard_error = std::sqrt((sum_squares - sum * sum) / kDraws);
    EXPECT_NEAR(sum, 1.0 - rank / static_cast<double>(kColumns), 4.0 * standard_error) << rank;
  };
  for (const std::uint32_t rank : {1U, 6U}) {
    check(gaussian(kRows * kColumns, 3), rank);
    check(test::heavy_tailed(kRows * kColumns, 4), rank);
  }
}

// Of independent elements: after one and ten of PowerSGD's steps, which are two rounds each.
TEST(Subspace, OfNoiseTwoRoundsAreAStepOfPowerSgd) {
  const auto mean = [](std::size_t rows, std::size_t columns, int rounds) {
    double sum = 0.0;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const std::vector<float> x = gaussian(rows * columns, seed);
      Rounds own(of_rank(4, columns), x, seed);
      double error = 0.0;
      for (int round = 0; round < rounds; ++round) error = own.error();
      sum += error / squares(x) / 10.0;
    }
    return sum;
  };
  EXPECT_NEAR(mean(64, 64, 2), 0.878, 0.01);
  EXPECT_NEAR(mean(64, 64, 20), 0.793, 0.01);
  EXPECT_NEAR(mean(256, 128, 2), 0.955, 0.005);
  EXPECT_NEAR(mean(256, 128, 20), 0.919, 0.005);
}

TEST(Subspace, SendsOneFactorAndTheOtherOneInTheNextRound) {
  const Method& method = method_of(of_rank(4));
  Codec codec = of_rank(4);
  EXPECT_EQ(method.bytes_max(codec, kRows * kColumns), 4 * 4 * kRows);
  EXPECT_EQ(basis_elements(codec, kRows * kColumns), 4 * kColumns);
  codec.shares_rows = true;
  EXPECT_EQ(method.bytes_max(codec, kRows * kColumns), 4 * 4 * kColumns);
  EXPECT_EQ(basis_elements(codec, kRows * kColumns), 4 * kRows);
}

TEST(Subspace, AMatrixOfNoMoreRowsThanTheRankGoesAsItIs) {
  const std::vector<float> x = gaussian(kRows * kColumns, 6);
  for (Codec codec : {of_rank(1, 0),
                      of_rank(1, 1),
                      of_rank(1, 63),
                      of_rank(1, x.size()),
                      of_rank(32, 32),
                      of_rank(4, x.size() / 4)}) {
    for (const bool rows : {false, true}) {
      codec.shares_rows = rows;
      EXPECT_EQ(basis_elements(codec, x.size()), 0U) << codec.columns;
      EXPECT_TRUE(drawn_basis(codec, x.size(), 1).empty());
      const auto payload = encode(codec, x, {}).value();
      std::vector<float> back(x.size());
      ASSERT_TRUE(decode(codec, payload, {}, 100.0F, back));
      EXPECT_EQ(back, x) << codec.columns;
    }
  }
}

TEST(Subspace, BasesAreOrthonormal) {
  for (const bool rows : {false, true}) {
    Codec codec = of_rank(5);
    codec.shares_rows = rows;
    const std::vector<float> drawn = drawn_basis(codec, kRows * kColumns, 7);
    EXPECT_LT(off_orthonormal(codec, drawn), 1e-6);
    EXPECT_EQ(drawn_basis(codec, kRows * kColumns, 7), drawn);
    EXPECT_NE(drawn_basis(codec, kRows * kColumns, 8), drawn);
  }
  Rounds rounds(of_rank(5), gaussian(kRows * kColumns, 2));
  for (int round = 0; round < 4; ++round) {
    rounds.error();
    EXPECT_LT(off_orthonormal(rounds.codec(), rounds.basis()), 1e-6);
  }
}

// Else they would stay 0 for ever.
TEST(Subspace, DirectionsOfWhichNothingIsLeftAreDrawnAnew) {
  for (const double sigma : {0.0, 3.0}) {
    Rounds rounds(of_rank(4), with_values(kRows, kColumns, {sigma}));
    for (int round = 0; round < 3; ++round) {
      rounds.error();
      EXPECT_LT(off_orthonormal(rounds.codec(), rounds.basis()), 1e-6) << sigma;
    }
  }
}

TEST(Subspace, WithFeedbackAConstantArrives) {
  const std::vector<float> x = gaussian(kRows * kColumns, 7);
  Rounds rounds(of_rank(4), x);
  std::vector<float> memory;
  std::vector<float> sum(x.size());
  constexpr int kRounds = 120;
  for (int round = 0; round < kRounds; ++round) {
    const auto made = encode_with_error(rounds.codec(), x, memory, rounds.keys()).value();
    const std::vector<float> sent = rounds.next(made.payload);
    for (std::size_t i = 0; i < x.size(); ++i) sum[i] += sent[i];
    memory = made.memory;
  }
  for (std::size_t i = 0; i < x.size(); ++i) sum[i] = sum[i] / kRounds - x[i];
  EXPECT_LT(squares(sum), 0.02 * squares(x));
}

TEST(Subspace, WhatADeviceMaySendIsNeverRefused) {
  const std::vector<float> x(kRows * kColumns, 3.0F);  // the longest rows and columns there are
  Rounds rounds(of_rank(2), x);
  for (int round = 0; round < 4; ++round) {
    const auto payload = encode(rounds.codec(), x, rounds.keys()).value();
    std::vector<float> back(x.size());
    EXPECT_TRUE(decode(rounds.codec(), payload, rounds.keys(), 3.0F, back));
    rounds.next(payload);
  }
  // A row of 64 threes has a norm of 24; of twos it is 16.
  ASSERT_FALSE(rounds.codec().shares_rows);
  const auto payload = encode(rounds.codec(), x, rounds.keys()).value();
  std::vector<float> back(x.size());
  const auto refused = decode(rounds.codec(), payload, rounds.keys(), 2.0F, back);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::value_out_of_range);
}

// Two devices that learn in opposite directions besides what they have in common: of these the
// mean, and with it the basis, has nothing.
TEST(Subspace, WhatCancelsInTheMeanIsNotKeptForEver) {
  TensorLayout layout;
  layout.tensors = {{"w", {kRows, kColumns}, 0, kRows * kColumns, false}};
  layout.parameters = kRows * kColumns;
  TrainPlan plan;
  plan.compression = Compression{.codec = {.kind = CodecKind::subspace, .rank = 2}};
  const std::vector<float> common = with_values(kRows, kColumns, {2.0, 1.0});
  const std::vector<float> own = gaussian(kRows * kColumns, 5, 0.2);
  std::vector<std::vector<float>> deltas(2, common);
  for (std::size_t i = 0; i < own.size(); ++i) {
    deltas[0][i] += own[i];
    deltas[1][i] -= own[i];
  }
  std::vector<std::vector<float>> memories(2, std::vector<float>(own.size()));
  std::shared_ptr<const Basis> basis;
  for (std::uint64_t round = 0; round < 40; ++round) {
    const auto form = UpdateForm::of(plan, layout, basis).value();
    const Piece& piece = form.pieces().front();
    std::vector<float> mean(form.lane_elements());
    for (std::size_t d = 0; d < 2; ++d) {
      FeedbackMemory memory;
      memory.error = memories[d];
      const auto body = encode_update(form, deltas[d], memory).value();
      std::vector<float> sent(mean.size());
      load_all(std::span(body).subspan(form.table_bytes()), std::span(sent));
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += sent[i] / 2.0F;
    }
    basis = std::make_shared<const Basis>(
        Basis{!piece.codec.shares_rows, next_basis(piece.codec, piece.count, mean, round)});
  }
  for (std::size_t d = 0; d < 2; ++d) {
    const double updates = std::sqrt(squares(memories[d]) / squares(deltas[d]));
    EXPECT_LT(updates, 10.001);
    EXPECT_GT(updates, 9.9) << "or this test says little";
  }
}

TEST(Basis, TravelsAndIsRefusedIfItIsNone) {
  const Basis basis{true, {1.0F, -2.0F, 0.5F}};
  auto bytes = to_bytes(basis);
  EXPECT_EQ(bytes.size(), basis_bytes(3));
  EXPECT_EQ(basis_from(bytes).value(), basis);
  EXPECT_EQ(basis_from(to_bytes(Basis{})).value(), Basis{});
  const auto code = [](const std::vector<std::byte>& from) {
    return basis_from(from).error().code;
  };
  EXPECT_EQ(code({}), errc::malformed_message);
  EXPECT_EQ(code({bytes.begin(), bytes.end() - 1}), errc::malformed_message);
  auto other = bytes;
  other[0] = std::byte{2};
  EXPECT_EQ(code(other), errc::malformed_message);
  EXPECT_EQ(code(to_bytes({false, {std::numeric_limits<float>::infinity()}})), errc::not_finite);
}

}  // namespace
}  // namespace chorus::codec
