#include "chorus/client/dataset.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <fmt/format.h>
#include <limits>
#include <numeric>
#include <utility>

#include "client/train/data/cached_source.hpp"
#include "client/train/data/example_checks.hpp"
#include "client/train/data/memory_source.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

// Rows of a subset are looked up so many at a time, on the stack: a step allocates nothing.
constexpr std::size_t kLookUpRows = 256;

Result<void> check_parts(Dataset::Parts& parts) {
  CHORUS_TRY(const std::size_t per_example, features_per_example(parts.feature_shape));
  const bool labelled = !parts.labels.empty() || parts.target_count == 0;
  const std::size_t examples =
      labelled ? parts.labels.size() : parts.targets.size() / parts.target_count;
  if (parts.target_count > limits::kActivationElementsMax ||
      parts.targets.size() != examples * parts.target_count) {
    return fail(errc::shape_mismatch,
                fmt::format("{} examples with {} targets each need {} numbers; there are {}",
                            examples,
                            parts.target_count,
                            examples * parts.target_count,
                            parts.targets.size()));
  }
  if (parts.features.size() / per_example != examples || parts.features.size() % per_example != 0) {
    return fail(errc::shape_mismatch,
                fmt::format("{} {} with {} features each need {} numbers; there are {}",
                            examples,
                            labelled ? "labels" : "examples",
                            per_example,
                            examples * per_example,
                            parts.features.size()));
  }
  if (!labelled) parts.classes = 0;
  const auto largest = std::max_element(parts.labels.begin(), parts.labels.end());
  if (parts.classes == 0 && largest != parts.labels.end() &&
      *largest != std::numeric_limits<std::uint32_t>::max()) {
    parts.classes = *largest + 1;
  }
  if (largest != parts.labels.end() && *largest >= parts.classes) {
    return fail(errc::invalid_argument,
                fmt::format("example {} has label {}; expected 0 to {}",
                            largest - parts.labels.begin(),
                            *largest,
                            std::int64_t{parts.classes} - 1));
  }
  if (const auto bad = first_not_finite(parts.features)) {
    return fail(
        errc::not_finite,
        fmt::format(
            "feature {} of example {} is not finite", *bad % per_example, *bad / per_example));
  }
  if (const auto bad = first_not_finite(parts.targets)) {
    return fail(errc::not_finite,
                fmt::format("target {} of example {} is not finite",
                            *bad % parts.target_count,
                            *bad / parts.target_count));
  }
  return {};
}

Failure wrong_span(std::string_view what, std::size_t have, std::size_t want) {
  return fail(
      errc::invalid_argument,
      fmt::format("a read of examples has room for {} {}; expected {} or none", have, what, want));
}

}  // namespace

ExampleSource::~ExampleSource() = default;

// A source, and what it said about itself.
struct Dataset::Held {
  std::shared_ptr<const ExampleSource> source;
  ExampleFormat format;
  std::size_t features = 0;
  std::size_t examples = 0;
  bool checked = false;  // what it gives was checked before

  Result<void> read(std::span<const std::uint32_t> rows, const ExampleRows& into) const {
    try {
      CHORUS_OK(source->read(rows, into));
    } catch (const std::exception& error) {
      return fail(errc::internal,
                  fmt::format("{}: reading threw: {}", shown_name(format), error.what()));
    } catch (...) {
      return fail(errc::internal,
                  fmt::format("{}: reading threw what is no exception", shown_name(format)));
    }
    return checked ? Result<void>() : check_rows(format, features, rows, into);
  }
};

Dataset::Dataset() : Dataset(std::make_shared<const Held>()) {}

Result<Dataset> Dataset::create(Parts parts) {
  CHORUS_OK(check_parts(parts));
  CHORUS_TRY(Dataset made, of(std::make_shared<const MemorySource>(std::move(parts))));
  auto held = std::make_shared<Held>(*made.held_);
  held->checked = true;
  return Dataset(std::move(held));
}

Result<Dataset> Dataset::of(std::shared_ptr<const ExampleSource> source) {
  if (source == nullptr) return fail(errc::invalid_argument, "there is no source of examples");
  auto held = std::make_shared<Held>();
  held->format = source->format();
  held->examples = source->size();
  held->source = std::move(source);
  auto features = features_per_example(held->format.feature_shape);
  if (!features) return std::move(features).error().during(shown_name(held->format));
  held->features = *features;
  if (auto checked = check_scales(held->format.scales, held->format.feature_shape); !checked) {
    return std::move(checked).error().during(shown_name(held->format));
  }
  if (held->format.target_count > limits::kActivationElementsMax) {
    return fail(errc::invalid_argument,
                fmt::format("{}: {} targets of one example are too many; expected up to {}",
                            shown_name(held->format),
                            held->format.target_count,
                            limits::kActivationElementsMax));
  }
  if (held->examples > std::numeric_limits<std::uint32_t>::max()) {
    return fail(errc::invalid_argument,
                fmt::format("{}: {} examples are more than can be numbered",
                            shown_name(held->format),
                            held->examples));
  }
  return Dataset(std::move(held));
}

std::size_t Dataset::size() const noexcept {
  return rows_ ? rows_->size() : held_->examples;
}

const std::vector<std::uint64_t>& Dataset::feature_shape() const noexcept {
  return held_->format.feature_shape;
}

std::size_t Dataset::feature_count() const noexcept {
  return held_->features;
}

std::uint32_t Dataset::classes() const noexcept {
  return held_->format.classes;
}

std::size_t Dataset::target_count() const noexcept {
  return held_->format.target_count;
}

const std::string& Dataset::name() const noexcept {
  return held_->format.name;
}

const std::vector<FeatureScale>& Dataset::scales() const noexcept {
  return held_->format.scales;
}

Result<void> Dataset::read(std::span<const std::uint32_t> examples, const ExampleRows& into) const {
  const std::size_t each[] = {feature_count(), 1, target_count()};
  const std::size_t have[] = {into.features.size(), into.labels.size(), into.targets.size()};
  const char* const what[] = {"features", "labels", "targets"};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t want = examples.size() * each[i];
    if (have[i] != 0 && have[i] != want) return wrong_span(what[i], have[i], want);
  }
  std::array<std::uint32_t, kLookUpRows> looked_up;
  const bool labelled = classes() > 0;
  if (!labelled) std::fill(into.labels.begin(), into.labels.end(), 0U);
  for (std::size_t first = 0; first < examples.size(); first += kLookUpRows) {
    const std::size_t count = std::min(kLookUpRows, examples.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t number = examples[first + i];
      if (number >= size()) {
        return fail(errc::invalid_argument,
                    fmt::format("there is no example {} in a dataset of {}", number, size()));
      }
      looked_up[i] = rows_ ? (*rows_)[number] : number;
    }
    const auto part = [&](auto span, std::size_t width) {
      return span.empty() ? span : span.subspan(first * width, count * width);
    };
    const ExampleRows rows{part(into.features, each[0]),
                           labelled ? part(into.labels, 1) : std::span<std::uint32_t>(),
                           part(into.targets, each[2])};
    CHORUS_OK(held_->read(std::span(looked_up).first(count), rows));
  }
  return {};
}

Result<Example> Dataset::example(std::size_t number) const {
  Example example;
  example.features.resize(feature_count());
  example.targets.resize(target_count());
  const auto row = static_cast<std::uint32_t>(
      std::min<std::size_t>(number, std::numeric_limits<std::uint32_t>::max()));
  CHORUS_OK(read({&row, 1}, {example.features, {&example.label, 1}, example.targets}));
  return example;
}

Result<std::vector<std::uint32_t>> Dataset::labels() const {
  std::vector<std::uint32_t> rows(size());
  std::iota(rows.begin(), rows.end(), 0U);
  std::vector<std::uint32_t> all(rows.size());
  CHORUS_OK(read(rows, {{}, all, {}}));
  return all;
}

Result<Dataset> Dataset::subset(std::span<const std::uint32_t> examples) const {
  auto rows = std::make_shared<std::vector<std::uint32_t>>();
  rows->reserve(examples.size());
  for (const std::uint32_t example : examples) {
    if (example >= size()) {
      return fail(errc::invalid_argument,
                  fmt::format("there is no example {} in a dataset of {}", example, size()));
    }
    rows->push_back(rows_ ? (*rows_)[example] : example);
  }
  Dataset part = *this;
  part.rows_ = std::move(rows);
  return part;
}

bool Dataset::in_memory() const noexcept {
  return held_->checked || held_->source == nullptr;
}

Result<Dataset> Dataset::loaded(std::uint64_t bytes_max) const {
  if (in_memory() && rows_ == nullptr) return *this;
  // A feature takes 4 bytes, and so do labels and targets.
  const std::size_t numbers = feature_count() + target_count() + 1;
  if (size() > bytes_max / sizeof(float) / numbers) {
    return fail(errc::malformed_file,
                fmt::format("{}: {} examples of {} features need more than {} bytes of memory; "
                            "stream them, or raise bytes_max",
                            shown_name(held_->format),
                            size(),
                            feature_count(),
                            bytes_max));
  }
  std::vector<std::uint32_t> rows(size());
  std::iota(rows.begin(), rows.end(), 0U);
  Parts parts;
  parts.feature_shape = feature_shape();
  parts.classes = classes();
  parts.target_count = target_count();
  parts.scales = scales();
  parts.features.resize(size() * feature_count());
  parts.targets.resize(size() * target_count());
  if (classes() > 0 || target_count() == 0) parts.labels.resize(size());
  CHORUS_OK(read(rows, {parts.features, parts.labels, parts.targets}));
  auto made = create(std::move(parts));
  if (!made) return std::move(made).error().during(shown_name(held_->format));
  return made;
}

Result<Dataset> Dataset::cached(std::uint64_t bytes_max) const {
  if (in_memory()) return *this;
  return of(std::make_shared<const CachedSource>(*this, bytes_max));
}

}  // namespace chorus::client
