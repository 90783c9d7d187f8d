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
  NormalisedSource(Dataset data, std::vector<FeatureScale> scales)
      : data_(std::move(data)), scales_(std::move(scales)) {}

  ExampleFormat format() const override {
    return {data_.feature_shape(), data_.classes(), data_.target_count(), data_.name()};
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
  const std::size_t width = data.feature_count();
  const std::size_t channels = data.feature_shape()[0];
  if (scales.size() != 1 && scales.size() != channels && scales.size() != width) {
    return fail(errc::invalid_argument,
                fmt::format("there are {} scales; expected 1, {} (one per channel) or {} (one per "
                            "feature)",
                            scales.size(),
                            channels,
                            width));
  }
  const bool in_memory = data.in_memory();
  CHORUS_TRY(Dataset made,
             Dataset::of(std::make_shared<const NormalisedSource>(data, std::move(scales))));
  return in_memory ? made.loaded(std::numeric_limits<std::uint64_t>::max()) : made;
}

}  // namespace chorus::client
