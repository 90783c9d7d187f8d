#include "chorus/client/normalisation.hpp"

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace chorus::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Two channels of two features.
Dataset pictures() {
  return Dataset::create({{0, 2, 10, 10, 4, 6, 10, 10, 100, 100, 7, 9}, {2, 1, 2}, {0, 1, 1}, 2})
      .value();
}

// The same through a source that is not in memory.
class Streamed final : public ExampleSource {
 public:
  explicit Streamed(Dataset data) : data_(std::move(data)) {}
  ExampleFormat format() const override { return {data_.feature_shape(), 2, 0, "streamed"}; }
  std::size_t size() const override { return data_.size(); }
  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    return data_.read(examples, into);
  }

 private:
  Dataset data_;
};

TEST(Normalisation, IsFittedByChannelToTheExamplesGiven) {
  const auto training = pictures().subset(std::vector<std::uint32_t>{0, 1});
  const auto standard = fit_scales(*training, Normalisation::standard);
  ASSERT_TRUE(standard) << standard.error().detail;
  ASSERT_EQ(standard->size(), 2U);
  EXPECT_DOUBLE_EQ((*standard)[0].offset, 3.0);
  EXPECT_DOUBLE_EQ((*standard)[0].scale, std::sqrt(5.0));  // of 0, 2, 4, 6
  EXPECT_EQ((*standard)[1], (FeatureScale{10, 1})) << "a constant channel";
  const auto range = fit_scales(*training, Normalisation::min_max);
  ASSERT_TRUE(range);
  EXPECT_THAT(*range, ElementsAre(FeatureScale{0, 6}, FeatureScale{10, 1}));
}

TEST(Normalisation, OfFlatExamplesEveryFeatureIsAChannel) {
  const auto flat = Dataset::create({{0, 5, 2, 5, 4, 8}, {2}, {0, 0, 1}, 2});
  const auto range = fit_scales(*flat, Normalisation::min_max);
  ASSERT_TRUE(range);
  EXPECT_THAT(*range, ElementsAre(FeatureScale{0, 4}, FeatureScale{5, 3}));
}

TEST(Normalisation, IsTheSameInMemoryAndOnTheWay) {
  const Dataset held = pictures();
  const Dataset streamed = Dataset::of(std::make_shared<Streamed>(held)).value();
  for (const std::vector<FeatureScale>& scales : std::vector<std::vector<FeatureScale>>{
           {{1, 3}}, {{1, 3}, {10, -7}}, {{0, 1}, {1, 3}, {2, 5}, {3, 7}}}) {
    const auto ours = normalised(held, scales);
    const auto theirs = normalised(streamed, scales);
    ASSERT_TRUE(ours && theirs);
    EXPECT_TRUE(ours->in_memory());
    EXPECT_FALSE(theirs->in_memory());
    EXPECT_EQ(theirs->name(), "streamed");
    for (std::size_t i = 0; i < 3; ++i) {
      const Example before = held.example(i).value();
      const Example after = ours->example(i).value();
      EXPECT_EQ(after.features, theirs->example(i)->features);
      EXPECT_EQ(after.label, before.label);
      for (std::size_t f = 0; f < 4; ++f) {
        const FeatureScale scale = scales[f * scales.size() / 4];
        EXPECT_EQ(after.features[f],
                  static_cast<float>((double{before.features[f]} - scale.offset) / scale.scale));
      }
    }
  }
}

TEST(Normalisation, OfAPartCopiesThatPart) {
  const auto part = pictures().subset(std::vector<std::uint32_t>{2});
  const auto made = normalised(*part, {{7, 1}});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->size(), 1U);
  EXPECT_THAT(made->example(0)->features, ElementsAre(93, 93, 0, 2));
  EXPECT_TRUE(normalised(Dataset(), {{0, 1}})->empty());
}

TEST(Normalisation, RefusesWhatCannotBe) {
  const auto why = [](std::vector<FeatureScale> scales) {
    const auto made = normalised(pictures(), std::move(scales));
    return made ? std::string("fine") : made.error().detail;
  };
  EXPECT_THAT(why({}), HasSubstr("there are no scales to normalise by"));
  EXPECT_THAT(why({{0, 1}, {0, 1}, {0, 1}}),
              HasSubstr("there are 3 scales; expected 1, 2 (one per channel) or 4"));
  EXPECT_THAT(why({{0, 0}}), HasSubstr("no scale 0"));
  EXPECT_THAT(why({{std::nan(""), 1}}), HasSubstr("scales hold offset nan"));
  EXPECT_THAT(why({{0, 1e-300}}), HasSubstr("example 0 is inf"));
  EXPECT_EQ(fit_scales(Dataset(), Normalisation::standard).error().code, errc::invalid_argument);
  EXPECT_EQ(fit_scales(pictures(), Normalisation::none).error().code, errc::invalid_argument);
}

TEST(Normalisation, IsKnownToTheDataset) {
  EXPECT_TRUE(pictures().scales().empty());
  const auto once = normalised(pictures(), {{4, 2}, {10, 4}});
  EXPECT_THAT(once->scales(), ElementsAre(FeatureScale{4, 2}, FeatureScale{10, 4}));
  const auto twice = normalised(*once, {{1, 8}});
  EXPECT_THAT(twice->scales(), ElementsAre(FeatureScale{6, 16}, FeatureScale{14, 32}));
  EXPECT_EQ(once->subset(std::vector<std::uint32_t>{2})->scales(), once->scales());
  const auto streamed = Dataset::of(std::make_shared<Streamed>(pictures()));
  const auto cached = normalised(*streamed, {{4, 2}})->cached(1 << 20);
  EXPECT_THAT(cached->scales(), ElementsAre(FeatureScale{4, 2}));
  EXPECT_EQ(cached->loaded(1 << 20)->scales(), cached->scales());
}

TEST(Normalisation, IsReplacedWithoutACopy) {
  const std::vector<FeatureScale> wanted{{2, 4}, {8, 0.5}};
  const auto expected = normalised(pictures(), wanted);
  for (const auto& from : {pictures(), *normalised(pictures(), {{4, 2}, {10, 4}}), *expected}) {
    const auto made = renormalised(from, wanted);
    ASSERT_TRUE(made);
    EXPECT_EQ(made->scales(), wanted);
    EXPECT_EQ(made->in_memory(), from.scales() == wanted) << "scaled when it is read";
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(made->example(i)->features, expected->example(i)->features);
    }
  }
  EXPECT_TRUE(renormalised(Dataset(), wanted)->empty());
  EXPECT_THAT(renormalised(pictures(), {{0, 1}, {0, 1}, {0, 1}}).error().detail,
              HasSubstr("3 scales for 4 features"));
  EXPECT_EQ(renormalised(pictures(), {{0, 0}}).error().code, errc::invalid_argument);
}

TEST(Normalisation, WhatASourceSaysOfItselfIsChecked) {
  Dataset::Parts parts{{1, 2, 3, 4}, {2, 2}, {0}, 1};
  parts.scales = {{0, 1}, {0, 1}, {0, 1}};
  EXPECT_THAT(Dataset::create(parts).error().detail, HasSubstr("there are 3 scales"));
  parts.scales = {{0, 0}};
  EXPECT_THAT(Dataset::create(parts).error().detail, HasSubstr("no scale 0"));
}

}  // namespace
}  // namespace chorus::client
