// A plan made from what was learned: its choices, its budget, its way to the ledger and to people.
#include "server/compress/codec_plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "common/base/rng.hpp"
#include "common/codec/update_form.hpp"

namespace chorus::server {
namespace {

TensorLayout layout() {
  TensorLayout layout;
  const auto add = [&layout](std::string name, std::uint64_t count, bool buffer = false) {
    layout.tensors.push_back({std::move(name), {count}, layout.parameters, count, buffer});
    layout.parameters += count;
  };
  add("quiet.weight", 20'000);
  add("loud.weight", 2'000);
  add("norm.running_mean", 10, true);
  add("head.weight", 500);
  return layout;
}

TrainPlan plan_of(const Codec& codec) {
  TrainPlan plan;
  plan.compression = Compression{.codec = codec, .tensors = {{"head.*", Codec{}}}};
  return plan;
}

/// Nearly all that was learned is in "loud".
Result<void> change(std::uint64_t first, std::span<float> into) {
  Rng rng(first);
  const double size = first == 20'000 ? 1.0 : 0.01;
  for (float& value : into) value = static_cast<float>(size * rng.normal());
  return {};
}

constexpr Codec kUniform{.kind = CodecKind::uniform, .bits = 4, .bucket = 512};

double error_of(const std::vector<PlannedTensor>& plan) {
  return std::accumulate(plan.begin(), plan.end(), 0.0, [](double sum, const PlannedTensor& line) {
    return sum + line.error;
  });
}
std::uint64_t bytes_of(const std::vector<PlannedTensor>& plan) {
  return std::accumulate(
      plan.begin(), plan.end(), std::uint64_t{0}, [](std::uint64_t sum, const PlannedTensor& line) {
        return sum + line.bytes;
      });
}

TEST(CodecPlan, ChoicesAreBitsDensitiesOrRanks) {
  const auto bits = choices_beside(kUniform);
  EXPECT_EQ(bits.size(), 8U);
  EXPECT_EQ(std::count(bits.begin(), bits.end(), kUniform), 1);
  EXPECT_EQ(choices_beside({.kind = CodecKind::qsgd}).size(), 7U);
  EXPECT_EQ(choices_beside({.kind = CodecKind::rotated, .bits = 2, .bucket = 64}).size(), 4U);
  const Codec top{.kind = CodecKind::top_k, .density = 0.01};
  const auto densities = choices_beside(top);
  EXPECT_EQ(densities.size(), 9U);
  EXPECT_EQ(std::count(densities.begin(), densities.end(), top), 1);
  EXPECT_DOUBLE_EQ(densities.front().density, 0.0025);
  EXPECT_DOUBLE_EQ(densities.back().density, 0.04);
  EXPECT_EQ(choices_beside({.kind = CodecKind::random_k, .density = 0.6}).size(), 6U);
  const auto ranks = [](std::uint32_t rank) {
    std::vector<std::uint32_t> all;
    for (const Codec& choice : choices_beside({.kind = CodecKind::low_rank, .rank = rank})) {
      all.push_back(choice.rank);
    }
    return all;
  };
  EXPECT_EQ(ranks(4), (std::vector<std::uint32_t>{2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(ranks(1), (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(ranks(32).back(), 32U);
  EXPECT_TRUE(choices_beside(Codec{}).empty());
  EXPECT_TRUE(choices_beside({.kind = CodecKind::sign}).empty());
}

TEST(CodecPlan, IsForTensorsThatAreSentWithoutARule) {
  TrainPlan plan = plan_of(kUniform);
  const auto names = [&plan] {
    std::vector<std::string> found;
    const auto tensors = planned_tensors(plan, layout()).value();
    for (const TensorSpec& tensor : tensors) found.push_back(tensor.name);
    return found;
  };
  EXPECT_EQ(names(), (std::vector<std::string>{"quiet.weight", "loud.weight"}));
  plan.trainable.frozen = {"quiet.*"};
  EXPECT_EQ(names(), std::vector<std::string>{"loud.weight"});
}

TEST(CodecPlan, SpendsBitsWhereMostWasLearned) {
  const TrainPlan plan = plan_of(kUniform);
  const auto planned = plan_codecs(plan, layout(), 1.0, change).value();
  ASSERT_EQ(planned.size(), 2U);
  EXPECT_EQ(planned[0].name, "quiet.weight");
  EXPECT_LT(planned[0].codec.bits, 4U);
  EXPECT_GE(planned[1].codec.bits, 4U);
  const auto form = codec::UpdateForm::of(plan, layout()).value();
  EXPECT_LT(static_cast<double>(bytes_of(planned)), 22'000 * 0.5 / 1.3) << "1.3 times better";
  // The budget: what 4 bits for all cost, measured the same way.
  const auto all = plan_codecs(plan, layout(), 1e-9 + 1.0, change).value();
  EXPECT_LE(error_of(planned), error_of(all) * (1 + 1e-6));
  EXPECT_LE(bytes_of(plan_codecs(plan, layout(), 4.0, change).value()), bytes_of(planned));
  EXPECT_EQ(plan_codecs(plan, layout(), 1.0, change).value(), planned) << "a function";
}

TEST(CodecPlan, SpendsRankWhereTensorsHaveIt) {
  TensorLayout two;
  two.tensors = {{"thin.weight", {40, 50}, 0, 2000, false},
                 {"thin.bias", {40}, 2000, 40, false},
                 {"full.weight", {40, 50}, 2040, 2000, false}};
  two.parameters = 4040;
  // The first is of rank 1.
  const auto learned = [](std::uint64_t first, std::span<float> into) -> Result<void> {
    Rng rng(first);
    for (float& value : into) value = static_cast<float>(rng.normal());
    for (std::size_t i = 0; first == 0 && i < into.size(); ++i) {
      into[i] = static_cast<float>(1.0 + static_cast<double>(i / 50)) * into[i % 50];
    }
    return {};
  };
  const Codec codec{.kind = CodecKind::low_rank, .rank = 4};
  TrainPlan plan;
  plan.compression = Compression{.codec = codec};
  const auto planned = plan_codecs(plan, two, 1.01, learned).value();
  ASSERT_EQ(planned.size(), 3U);
  EXPECT_EQ(planned[0].codec, (Codec{.kind = CodecKind::low_rank, .rank = 2}));
  EXPECT_NEAR(planned[0].error, 0.0, 1e-9);
  EXPECT_EQ(planned[0].bytes, 4 * 2 * 90U);
  EXPECT_EQ(planned[1].bytes, 160U);
  EXPECT_EQ(planned[2].codec, codec);

  plan.compression = with_plan(*plan.compression, planned, 1);
  const auto lines = plan_lines(plan, two, planned).value();
  EXPECT_EQ(lines[1].codec, Codec{}) << "a bias is no matrix";
  const auto form = codec::UpdateForm::of(plan, two).value();
  EXPECT_EQ(form.bytes_max() - form.table_bytes(), bytes_of(planned)) << "as updates are cut";
}

TEST(CodecPlan, NothingLearnedIsNoPlan) {
  const auto nothing = [](std::uint64_t, std::span<float> into) -> Result<void> {
    std::fill(into.begin(), into.end(), 0.0F);
    return {};
  };
  EXPECT_TRUE(plan_codecs(plan_of(kUniform), layout(), 1.0, nothing).value().empty());
}

TEST(CodecPlan, LongTensorsAreMeasuredPieceByPiece) {
  TensorLayout one;
  const std::uint64_t count = codec::UpdateForm::kPieceElements + 1000;
  one.tensors = {{"a.weight", {count}, 0, count, false}};
  one.parameters = count;
  std::size_t most = 0;
  const auto read = [&most](std::uint64_t first, std::span<float> into) {
    most = std::max(most, into.size());
    return change(first, into);
  };
  TrainPlan plan;
  plan.compression = Compression{.codec = kUniform};
  const auto planned = plan_codecs(plan, one, 1.0, read).value();
  EXPECT_EQ(most, codec::UpdateForm::kPieceElements);
  ASSERT_EQ(planned.size(), 1U);
  EXPECT_EQ(planned[0].codec, kUniform);
  const auto form = codec::UpdateForm::of(plan, one).value();
  EXPECT_EQ(planned[0].bytes, form.bytes_max() - form.table_bytes()) << "as updates are cut";
}

TEST(CodecPlan, AFailingDiskIsToldOf) {
  const auto sick = [](std::uint64_t, std::span<float>) -> Result<void> {
    return fail(errc::io_failed, "the disk does not answer");
  };
  EXPECT_EQ(plan_codecs(plan_of(kUniform), layout(), 1.0, sick).error().code, errc::io_failed);
}

TEST(CodecPlan, BecomesRulesBehindTheJobsOwn) {
  const TrainPlan plan = plan_of(kUniform);
  const auto planned = plan_codecs(plan, layout(), 1.0, change).value();
  const Compression followed = with_plan(*plan.compression, planned, 12);
  EXPECT_EQ(followed.table, 12U);
  ASSERT_EQ(followed.tensors.size(), 3U);
  EXPECT_EQ(followed.tensors[0].tensors, "head.*");
  EXPECT_EQ(followed.tensors[1], (TensorCodec{"quiet.weight", planned[0].codec}));
}

TEST(CodecPlan, LinesShowEveryTensor) {
  TrainPlan plan = plan_of(kUniform);
  const auto planned = plan_codecs(plan, layout(), 1.0, change).value();
  plan.compression = with_plan(*plan.compression, planned, 12);
  plan.local = {"head.weight"};
  const auto lines = plan_lines(plan, layout(), planned).value();
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0].codec, planned[0].codec);
  EXPECT_EQ(lines[0].bytes, planned[0].bytes);
  EXPECT_EQ(lines[0].error, planned[0].error);
  EXPECT_EQ(lines[2], (PlanLine{"norm.running_mean", 10, Codec{}, 40, std::nullopt}));
  EXPECT_EQ(lines[3], (PlanLine{"head.weight", 500, std::nullopt, 0, std::nullopt}));
  const auto plain = plan_lines(TrainPlan{}, layout(), {}).value();
  EXPECT_EQ(plain[0], (PlanLine{"quiet.weight", 20'000, Codec{}, 80'000, std::nullopt}));
}

TEST(CodecPlan, SurvivesTheLedger) {
  const std::vector<PlannedTensor> plan{
      {"a.weight",
       7,
       {.kind = CodecKind::qsgd, .bits = 3, .bucket = 64, .norm = CodecNorm::l2},
       9,
       0.1},
      {"b.weight", 8, {.kind = CodecKind::top_k, .density = 0.1 / 3.0, .entropy = true}, 10, 1e-9},
      {"c", 9, {.kind = CodecKind::rotated, .bits = 1, .bucket = 8192, .least_error = true}, 11, 0},
      {"d", 9, {.kind = CodecKind::low_rank, .rank = 7}, 12, 0}};
  EXPECT_EQ(plan_from_text(plan_text(plan)).value(), plan);
  for (const char* const text :
       {"", "{}x", "[1]", R"([{"name":"a"}])", R"([{"name":"a","parameters":"many"}])"}) {
    const auto read = plan_from_text(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, errc::corrupt_data);
  }
  for (const auto& [right, wrong] : {std::pair{"\"codec\":\"top_k\"", "\"codec\":\"future\""},
                                     std::pair{"\"norm\":1", "\"norm\":3"}}) {
    std::string other = plan_text(plan);
    other.replace(other.find(right), std::string(right).size(), wrong);
    EXPECT_EQ(plan_from_text(other).error().code, errc::corrupt_data) << wrong;
  }
  std::string bad = plan_text(plan);
  bad.replace(bad.find("\"bits\":3"), 8, "\"bits\":9");
  EXPECT_EQ(plan_from_text(bad).error().code, errc::corrupt_data);
}

}  // namespace
}  // namespace chorus::server
