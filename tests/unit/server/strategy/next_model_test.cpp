// The loop from base version and sums to the next version.
#include "server/strategy/next_model.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/server/update/fake_update.hpp"

namespace chorus::server::test {
namespace {

class FakeBase final : public VersionReader {
 public:
  explicit FakeBase(std::vector<float> values) : values_(std::move(values)) {
    layout_.parameters = values_.size();
  }
  const VersionInfo& info() const override { return info_; }
  const TensorLayout& layout() const override { return layout_; }
  const ModelSpec& model() const override { return model_; }
  Result<void> read_bytes(std::uint64_t, std::span<std::byte>) const override {
    return fail(errc::internal, "not asked for");
  }
  Result<void> read_parameters(std::uint64_t first, std::span<float> into) const override {
    if (fails) return fail(errc::io_failed, "the disk does not answer");
    EXPECT_GE(first, forgotten);
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first), into.size(), into.begin());
    return {};
  }
  void forget(std::uint64_t end) const override {
    EXPECT_GE(end, forgotten);
    forgotten = end;
  }
  /// Makes a buffer of values [first, first + count).
  void buffer(std::uint64_t first, std::uint64_t count) {
    layout_.tensors.push_back({"norm.running_var", {count}, first, count, true});
  }
  bool fails = false;
  mutable std::uint64_t forgotten = 0;

 private:
  std::vector<float> values_;
  VersionInfo info_;
  TensorLayout layout_;
  ModelSpec model_;
};

class FakeNext final : public VersionWriter {
 public:
  Result<void> append(std::span<const float> parameters) override {
    if (values.size() >= room) return fail(errc::disk_full, "the disk is full");
    values.insert(values.end(), parameters.begin(), parameters.end());
    return {};
  }
  Result<VersionInfo> commit() override { return VersionInfo{}; }
  std::vector<float> values;
  std::size_t room = ~std::size_t{0};
};

/// x' = 2 x + mean, to tell base, sums and order apart.
class TwiceAndMean final : public Strategy {
 public:
  std::uint64_t weight_max() const override { return 1; }
  TrainPlan plan(const RoundContext&, const ClientId&) const override { return {}; }
  Result<std::uint64_t> admit(const UpdateMeta&) const override { return std::uint64_t{1}; }
  void finalise(std::span<const float> mean, std::span<float> x) const override {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 2.0F * x[i] + mean[i];
  }
};

struct Model {
  std::vector<float> base;
  std::vector<float> mean;
  Lane lane;
};

Model model_of(std::size_t parameters) {
  Model model{std::vector<float>(parameters),
              std::vector<float>(parameters),
              Lane::create(plain_form(parameters), {1, 1, 100.0}).value()};
  for (std::size_t i = 0; i < parameters; ++i) {
    model.base[i] = static_cast<float>(i % 97);
    model.mean[i] = static_cast<float>(i % 13) * 0.25F;
  }
  const std::vector<Contribution> one{contribution_of(model.mean, 1)};
  LaneRange range{0, parameters};
  EXPECT_TRUE(model.lane.fold(one, range));
  model.lane.count_weights(one);
  return model;
}

Result<void> written(const Lane& lane, const FakeBase& base, FakeNext& next) {
  const TwiceAndMean strategy;
  NextModel model(strategy, base, next);
  return append_mean(lane, model);
}

TEST(NextModel, IsWholeAndInOrder) {
  for (const std::size_t parameters : {std::size_t{1}, std::size_t{65536}, std::size_t{200'003}}) {
    const Model model = model_of(parameters);
    const FakeBase base(model.base);
    FakeNext next;
    ASSERT_TRUE(written(model.lane, base, next));
    ASSERT_EQ(next.values.size(), parameters);
    for (std::size_t i = 0; i < parameters; ++i) {
      ASSERT_EQ(next.values[i], 2.0F * model.base[i] + model.mean[i]) << i;
    }
    EXPECT_EQ(base.forgotten, 0U) << "small models stay in memory: devices may still want them";
  }
}

TEST(NextModel, BuffersAreTheMeanWhateverTheStrategyDoes) {
  struct Run {
    std::uint64_t first;
    std::uint64_t count;
  };
  const std::size_t parameters = 200'003;
  const Model model = model_of(parameters);
  FakeBase base(model.base);
  // At the beginning, two that touch, over the border of two tiles, one longer than a tile, at the
  // end.
  const std::vector<Run> buffers{
      {0, 3}, {100, 5}, {105, 7}, {65'530, 10}, {70'000, 70'000}, {200'000, 3}};
  std::vector<bool> buffer(parameters);
  for (const Run& run : buffers) {
    base.buffer(run.first, run.count);
    std::fill_n(buffer.begin() + static_cast<std::ptrdiff_t>(run.first), run.count, true);
  }
  FakeNext next;
  ASSERT_TRUE(written(model.lane, base, next));
  ASSERT_EQ(next.values.size(), parameters);
  for (std::size_t i = 0; i < parameters; ++i) {
    const float factor = buffer[i] ? 1.0F : 2.0F;
    ASSERT_EQ(next.values[i], factor * model.base[i] + model.mean[i]) << i;
  }
}

TEST(NextModel, GivesTheMemoryOfALargeBaseUp) {
  const Model model = model_of(5U << 20U);
  const FakeBase base(model.base);
  FakeNext next;
  ASSERT_TRUE(written(model.lane, base, next));
  EXPECT_EQ(base.forgotten, 5U << 20U);
}

TEST(NextModel, AFailingDiskFailsTheRound) {
  const Model model = model_of(200'000);
  FakeBase base(model.base);
  FakeNext next;
  next.room = 100'000;
  EXPECT_EQ(written(model.lane, base, next).error().code, errc::disk_full);
  base.fails = true;
  EXPECT_EQ(written(model.lane, base, next).error().code, errc::io_failed);
}

}  // namespace
}  // namespace chorus::server::test
