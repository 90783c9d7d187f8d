#include "chorus/client/normalisation.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>

#include "client/train/data/example_checks.hpp"
#include "client/train/data/scale_fit.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

constexpr std::size_t kRowsAtOnce = 256;

using Work = std::function<void(std::span<const float> example)>;

Result<void> each_example(const Dataset& data, const Work& work) {
  const std::size_t width = data.feature_count();
  std::vector<float> features(std::min(kRowsAtOnce, data.size()) * width);
  std::vector<std::uint32_t> rows;
  for (std::size_t first = 0; first < data.size(); first += rows.size()) {
    rows.resize(std::min(kRowsAtOnce, data.size() - first));
    std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(first));
    const auto all = std::span(features).first(rows.size() * width);
    CHORUS_OK(data.read(rows, {all, {}, {}}));
    for (std::size_t i = 0; i < rows.size(); ++i) work(all.subspan(i * width, width));
  }
  return {};
}

// One of `scales` for each of `count` groups of neighbouring features. @pre one count divides the
// other, as 1, channels and features do
FeatureScale scale_of(const std::vector<FeatureScale>& scales, std::size_t i, std::size_t count) {
  return scales.empty() ? FeatureScale{} : scales[i / (count / scales.size())];
}

std::vector<FeatureScale> spread(const std::vector<FeatureScale>& scales, std::size_t count) {
  std::vector<FeatureScale> all;
  all.reserve(count);
  for (std::size_t i = 0; i < count; ++i) all.push_back(scale_of(scales, i, count));
  return all;
}

// What `first` and after it `then` come to.
std::vector<FeatureScale> joined(const std::vector<FeatureScale>& first,
                                 const std::vector<FeatureScale>& then) {
  std::vector<FeatureScale> all = spread(then, std::max(first.size(), then.size()));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const FeatureScale before = scale_of(first, i, all.size());
    all[i] = {before.offset + all[i].offset * before.scale, before.scale * all[i].scale};
  }
  return all;
}

// What is still to be done where `done` was, so that it comes to `wanted`.
std::vector<FeatureScale> rest_of(const std::vector<FeatureScale>& done,
                                  const std::vector<FeatureScale>& wanted) {
  std::vector<FeatureScale> all = spread(wanted, std::max(done.size(), wanted.size()));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const FeatureScale before = scale_of(done, i, all.size());
    all[i] = {(all[i].offset - before.offset) / before.scale, all[i].scale / before.scale};
  }
  return all;
}

// (value − offset) / scale of `each` neighbouring features per scale.
void scale_all(const std::vector<FeatureScale>& scales,
               std::span<float> features,
               std::size_t width) {
  const std::size_t each = width / scales.size();
  for (std::size_t first = 0; first < features.size(); first += width) {
    for (std::size_t s = 0; s < scales.size(); ++s) {
      const FeatureScale scale = scales[s];
      for (float& value : features.subspan(first + s * each, each)) {
        value = static_cast<float>((double{value} - scale.offset) / scale.scale);
      }
    }
  }
}

class NormalisedSource final : public ExampleSource {
 public:
  /// @param scales  what is done to what is read; `result`: what it then was normalised by
  NormalisedSource(Dataset data, std::vector<FeatureScale> scales, std::vector<FeatureScale> result)
      : data_(std::move(data)), scales_(std::move(scales)), result_(std::move(result)) {}

  ExampleFormat format() const override {
    return {data_.feature_shape(), data_.classes(), data_.target_count(), data_.name(), result_};
  }
  std::size_t size() const override { return data_.size(); }
  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    CHORUS_OK(data_.read(examples, into));
    scale_all(scales_, into.features, data_.feature_count());
    return {};
  }

 private:
  Dataset data_;
  std::vector<FeatureScale> scales_;
  std::vector<FeatureScale> result_;
};

}  // namespace

Result<std::vector<FeatureScale>> fit_scales(const Dataset& training, Normalisation normalisation) {
  if (normalisation == Normalisation::none || training.empty()) {
    return fail(errc::invalid_argument,
                training.empty() ? "there are no training examples to fit scales to"
                                 : "scales are to be fitted, but the normalisation is none");
  }
  std::vector<ScaleFit> fits(training.feature_shape()[0]);
  const std::size_t each = training.feature_count() / fits.size();
  CHORUS_OK(each_example(training, [&](std::span<const float> example) {
    for (std::size_t i = 0; i < example.size(); ++i) fits[i / each].add(double{example[i]});
  }));
  if (normalisation == Normalisation::standard) {
    CHORUS_OK(each_example(training, [&](std::span<const float> example) {
      for (std::size_t i = 0; i < example.size(); ++i) fits[i / each].add_rest(double{example[i]});
    }));
  }
  std::vector<FeatureScale> scales;
  scales.reserve(fits.size());
  for (const ScaleFit& fit : fits) scales.push_back(fit.scale(normalisation));
  return scales;
}

Result<Dataset> normalised(const Dataset& data, std::vector<FeatureScale> scales) {
  CHORUS_OK(check_scales(scales));
  if (data.feature_shape().empty()) return data;  // no examples, of no shape
  if (scales.empty()) return fail(errc::invalid_argument, "there are no scales to normalise by");
  CHORUS_OK(check_scales(scales, data.feature_shape()));
  const bool in_memory = data.in_memory();
  auto result = joined(data.scales(), scales);
  CHORUS_TRY(Dataset made,
             Dataset::of(std::make_shared<const NormalisedSource>(
                 data, std::move(scales), std::move(result))));
  return in_memory ? made.loaded(std::numeric_limits<std::uint64_t>::max()) : made;
}

Result<Dataset> renormalised(const Dataset& data, std::vector<FeatureScale> scales) {
  CHORUS_OK(check_scales(scales));
  if (scales.empty() || scales == data.scales() || data.feature_shape().empty()) return data;
  const std::size_t width = data.feature_count();
  if (width % scales.size() != 0) {
    return fail(errc::invalid_argument,
                fmt::format("there are {} scales for {} features; expected a number of which {} is "
                            "a multiple",
                            scales.size(),
                            width,
                            width));
  }
  // Channels of the model, of examples that are flat here.
  if (!check_scales(scales, data.feature_shape())) scales = spread(scales, width);
  auto rest = rest_of(data.scales(), scales);
  return Dataset::of(
      std::make_shared<const NormalisedSource>(data, std::move(rest), std::move(scales)));
}

}  // namespace chorus::client
