// The mean of what devices have sent, over rounds of which each had some of them.
#include "server/compress/sent_mean.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace chorus::server {
namespace {

using Numbers = std::vector<float>;

/// What a round wrote down, read by the next.
class Kept final : public RestReader {
 public:
  explicit Kept(Numbers numbers) : numbers_(std::move(numbers)) {}
  Result<void> read(std::uint64_t first, std::span<float> into) const override {
    std::copy_n(numbers_.begin() + static_cast<std::ptrdiff_t>(first), into.size(), into.begin());
    return {};
  }
  Result<void> verify(const BodyDigest&) const override { return {}; }

 private:
  Numbers numbers_;
};

class Written final : public SentWriter {
 public:
  explicit Written(Numbers& into) : into_(into) {}
  Result<void> append(std::span<const float> mean) override {
    into_.insert(into_.end(), mean.begin(), mean.end());
    return {};
  }
  Result<BodyDigest> commit() override { return BodyDigest{}; }

 private:
  Numbers& into_;
};

TensorLayout layout_of(std::uint64_t parameters) {
  TensorLayout layout;
  layout.tensors = {{"w", {parameters}, 0, parameters, false}};
  layout.parameters = parameters;
  return layout;
}

/// H' of a round, in two runs.
Numbers next(const SentMean::Devices& devices, const Numbers& before, Numbers mean) {
  const TensorLayout layout = layout_of(mean.size());
  Numbers written;
  std::shared_ptr<const RestReader> kept;
  if (!before.empty()) kept = std::make_shared<Kept>(before);
  SentMean sent(layout, devices, kept, std::make_unique<Written>(written));
  EXPECT_TRUE(sent.apply(std::span(mean).first(1)));
  EXPECT_TRUE(sent.apply(std::span(mean).subspan(1)));
  EXPECT_TRUE(sent.commit());
  EXPECT_EQ(written, mean) << "what is applied is what is kept";
  return mean;
}

// Devices a, b, c with h of 4, 8, −3 and so on, whoever takes part.
TEST(SentMean, IsTheMeanOfAllThatWereEverThere) {
  // a and b send 4 and 8.
  const Numbers one = next({.before = 0, .round = 2, .all = 2}, {}, {6, -6, 0});
  EXPECT_EQ(one, (Numbers{6, -6, 0}));
  // Only c, which is new, sends −3: (4 + 8 − 3) / 3.
  const Numbers two = next({.before = 2, .round = 1, .all = 3}, one, {-3, 3, 9});
  EXPECT_EQ(two, (Numbers{3, -3, 3}));
  // a sends −4 more, so that its h is 0: (0 + 8 − 3) / 3.
  const Numbers three = next({.before = 3, .round = 1, .all = 3}, two, {-4, 4, 3});
  EXPECT_FLOAT_EQ(three[0], 5.0F / 3.0F);
  EXPECT_FLOAT_EQ(three[1], -5.0F / 3.0F);
  EXPECT_EQ(three[2], 4.0F);
  // All send nothing new.
  EXPECT_EQ(next({.before = 3, .round = 3, .all = 3}, three, {0, 0, 0}), three);
}

// Or a variance would go on falling by what an absent device has once sent, to below 0.
TEST(SentMean, BuffersAreMovedByThoseThatArePresentOnly) {
  TensorLayout layout;
  layout.tensors = {{"w", {2}, 0, 2, false},
                    {"norm.running_mean", {1}, 2, 1, true},
                    {"norm.running_var", {2}, 3, 2, true},
                    {"v", {1}, 5, 1, false}};
  layout.parameters = 6;
  for (const std::size_t cut : {1UL, 3UL, 4UL, 6UL}) {
    Numbers written;
    Numbers mean{2, 4, 10, 20, 30, 6};
    SentMean sent(layout,
                  {.before = 1, .round = 1, .all = 2},
                  std::make_shared<Kept>(Numbers{2, 2, 100, 100, 100, 2}),
                  std::make_unique<Written>(written));
    ASSERT_TRUE(sent.apply(std::span(mean).first(cut)));
    ASSERT_TRUE(sent.apply(std::span(mean).subspan(cut)));
    EXPECT_EQ(mean, (Numbers{2, 3, 10, 20, 30, 4})) << cut;
    EXPECT_EQ(written, (Numbers{2, 3, 0, 0, 0, 4})) << cut;
  }
}

}  // namespace
}  // namespace chorus::server
