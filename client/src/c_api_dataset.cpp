// Data sets from memory and from a program's own source, and what can be asked of one, in C.
#include "client/src/c_api_dataset.hpp"

#include <limits>
#include <memory>
#include <span>

#include "chorus/client/normalisation.hpp"
#include "chorus/client/partition.hpp"
#include "common/base/limits.hpp"

namespace chorus::capi {
namespace {

using Made = Result<std::unique_ptr<chorus_dataset>>;

// Features of one example. The shape itself is checked by those who take it; this only keeps the
// product from wrapping around.
Result<std::uint64_t> product(const std::vector<std::uint64_t>& shape, std::uint64_t examples) {
  std::uint64_t all = examples;
  for (const std::uint64_t extent : shape) {
    if (extent != 0 && all > std::numeric_limits<std::uint64_t>::max() / extent) {
      return fail(errc::invalid_argument, "examples × product(feature_shape) is beyond 2^64");
    }
    all *= extent;
  }
  return all;
}

Made from_memory(const chorus_memory_options* given) {
  CHORUS_TRY(const auto from, copied(given, "chorus_memory_options"));
  client::Dataset::Parts parts;
  CHORUS_TRY(
      parts.feature_shape,
      shape_from(from.feature_shape, from.feature_rank, "chorus_memory_options.feature_shape"));
  CHORUS_TRY(const std::uint64_t features, product(parts.feature_shape, from.examples));
  CHORUS_TRY(const std::uint64_t targets, product({from.target_count}, from.examples));
  CHORUS_TRY(parts.features, list_from(from.features, features, "chorus_memory_options.features"));
  CHORUS_TRY(parts.targets, list_from(from.targets, targets, "chorus_memory_options.targets"));
  parts.target_count = from.target_count;
  if (from.labels != nullptr) {
    CHORUS_TRY(parts.labels, list_from(from.labels, from.examples, "chorus_memory_options.labels"));
  }
  parts.classes = from.classes;
  auto made = std::make_unique<chorus_dataset>();
  CHORUS_TRY(made->data, client::Dataset::create(std::move(parts)));
  return made;
}

/// A program's callback as a source.
class CallbackSource final : public client::ExampleSource {
 public:
  CallbackSource(const chorus_source_options& options, client::ExampleFormat format)
      : options_(options), format_(std::move(format)) {}
  CallbackSource(const CallbackSource&) = delete;
  CallbackSource& operator=(const CallbackSource&) = delete;
  ~CallbackSource() override {
    if (owned_ && options_.destroy != nullptr) options_.destroy(options_.context);
  }

  /// From now on the context is destroyed with the source.
  void own() { owned_ = true; }

  client::ExampleFormat format() const override { return format_; }
  std::size_t size() const override { return options_.examples; }
  Result<void> read(std::span<const std::uint32_t> examples,
                    const client::ExampleRows& into) const override {
    set_last_error("");  // what a callback fails with is its own
    const chorus_status status = options_.read(examples.data(),
                                               examples.size(),
                                               wanted(into.features),
                                               wanted(into.labels),
                                               wanted(into.targets),
                                               options_.context);
    if (status == CHORUS_OK) return {};
    return failure_of(status, "the read() of the source '" + format_.name + "'");
  }

 private:
  template <class T>
  static T* wanted(std::span<T> rows) {
    return rows.empty() ? nullptr : rows.data();
  }

  const chorus_source_options options_;
  const client::ExampleFormat format_;
  bool owned_ = false;
};

Made from_source(const chorus_source_options* given) {
  CHORUS_TRY(const auto from, copied(given, "chorus_source_options"));
  if (from.read == nullptr) return null_argument("chorus_source_options.read");
  client::ExampleFormat format;
  format.name = text_or(from.name, "source");
  CHORUS_TRY(
      format.feature_shape,
      shape_from(from.feature_shape, from.feature_rank, "chorus_source_options.feature_shape"));
  format.classes = from.classes;
  format.target_count = from.target_count;
  const auto source = std::make_shared<CallbackSource>(from, std::move(format));
  auto made = std::make_unique<chorus_dataset>();
  CHORUS_TRY(made->data, client::Dataset::of(source));
  source->own();
  return made;
}

Result<void> read(const chorus_dataset* dataset,
                  const std::uint32_t* examples,
                  std::uint64_t count,
                  const client::ExampleRows& into) {
  CHORUS_TRY(const auto* const opened, open_handle(dataset));
  if (count == 0) return {};
  CHORUS_OK(not_null(examples, "examples"));
  return opened->data.read({examples, count}, into);
}

// All that is known beside the examples themselves and their keys.
void copy_words(const chorus_dataset& from, chorus_dataset& to) {
  to.class_names = from.class_names;
  to.scales = from.scales;
  to.columns = from.columns;
  show_categories(to);
}

// Of some of its examples: a data set that keeps everything that was said of the whole.
Made part_of(const chorus_dataset& whole, std::span<const std::uint32_t> examples) {
  auto made = std::make_unique<chorus_dataset>();
  CHORUS_TRY(made->data, whole.data.subset(examples));
  for (const std::uint32_t example : examples) {
    if (!whole.keys.empty()) made->keys.add(whole.keys[example]);
  }
  copy_words(whole, *made);
  return made;
}

Made subset(const chorus_dataset* dataset, const std::uint32_t* examples, std::uint64_t count) {
  CHORUS_TRY(const auto* const opened, open_handle(dataset));
  if (count > 0) CHORUS_OK(not_null(examples, "examples"));
  return part_of(*opened, {examples, count});
}

Result<void> split(const chorus_dataset* dataset,
                   double fraction,
                   std::uint64_t seed,
                   chorus_dataset** train,
                   chorus_dataset** holdout) {
  CHORUS_OK(not_null(train, "train"));
  CHORUS_OK(not_null(holdout, "holdout"));
  *train = *holdout = nullptr;
  CHORUS_TRY(const auto* const opened, open_handle(dataset));
  CHORUS_TRY(const auto parts, client::split_holdout(opened->data.size(), fraction, seed));
  CHORUS_TRY(auto first, part_of(*opened, parts.train));
  CHORUS_TRY(auto second, part_of(*opened, parts.holdout));
  *train = first.release();
  *holdout = second.release();
  return {};
}

Result<void> fit_scales(const chorus_dataset* training,
                        chorus_normalisation normalisation,
                        chorus_scale* scales,
                        std::size_t capacity,
                        std::size_t* count) {
  CHORUS_TRY(const auto* const opened, open_handle(training));
  CHORUS_TRY(const auto kind, normalisation_from(normalisation));
  CHORUS_TRY(const auto fitted, client::fit_scales(opened->data, kind));
  if (count != nullptr) *count = fitted.size();
  if (scales == nullptr) return {};
  if (fitted.size() > capacity) {
    return fail(errc::shape_mismatch,
                "there are " + std::to_string(fitted.size()) + " channels; there is room for " +
                    std::to_string(capacity));
  }
  for (std::size_t i = 0; i < fitted.size(); ++i) scales[i] = {fitted[i].offset, fitted[i].scale};
  return {};
}

Made normalised(const chorus_dataset* dataset, const chorus_scale* scales, std::size_t count) {
  CHORUS_TRY(const auto* const opened, open_handle(dataset));
  CHORUS_TRY(auto list, scales_from(scales, count, "scales"));
  auto made = std::make_unique<chorus_dataset>();
  CHORUS_TRY(made->data, client::normalised(opened->data, std::move(list)));
  made->keys = opened->keys;
  copy_words(*opened, *made);
  return made;
}

/// What `get` says of an open data set; otherwise nothing.
template <class T, class Get>
T ask(const chorus_dataset* dataset, Get&& get) noexcept {
  return guarded_or<T>(T{}, [&]() -> Result<T> {
    CHORUS_TRY(const auto* const opened, open_handle(dataset));
    return get(*opened);
  });
}

}  // namespace

Result<std::vector<client::FeatureScale>> scales_from(const chorus_scale* scales,
                                                      std::uint64_t count,
                                                      std::string_view name) {
  CHORUS_TRY(const auto given, list_from(scales, count, name));
  std::vector<client::FeatureScale> list;
  for (const chorus_scale& scale : given) list.push_back({scale.offset, scale.scale});
  return list;
}

Result<client::Normalisation> normalisation_from(chorus_normalisation from) {
  if (from <= CHORUS_NORMALISE_MIN_MAX) return static_cast<client::Normalisation>(from);
  return fail(errc::invalid_argument,
              "normalisation is " + std::to_string(static_cast<unsigned>(from)) +
                  "; expected a chorus_normalisation");
}

Result<std::vector<std::uint64_t>> shape_from(const std::uint64_t* shape,
                                              std::size_t rank,
                                              std::string_view name) {
  if (rank > limits::kTensorRankMax) {
    return fail(errc::invalid_argument,
                "'" + std::string(name) + "' has " + std::to_string(rank) +
                    " dimensions; expected at most " + std::to_string(limits::kTensorRankMax));
  }
  return list_from(shape, rank, name);
}

}  // namespace chorus::capi

namespace capi = chorus::capi;
using chorus::Result;

extern "C" {

chorus_status chorus_dataset_create(const chorus_memory_options* options,
                                    chorus_dataset** dataset) {
  return capi::give_dataset(dataset, [&] { return capi::from_memory(options); });
}

chorus_status chorus_dataset_from_source(const chorus_source_options* options,
                                         chorus_dataset** dataset) {
  return capi::give_dataset(dataset, [&] { return capi::from_source(options); });
}

uint64_t chorus_dataset_size(const chorus_dataset* dataset) {
  return capi::ask<std::uint64_t>(dataset, [](const auto& set) { return set.data.size(); });
}

uint32_t chorus_dataset_classes(const chorus_dataset* dataset) {
  return capi::ask<std::uint32_t>(dataset, [](const auto& set) { return set.data.classes(); });
}

uint64_t chorus_dataset_target_count(const chorus_dataset* dataset) {
  return capi::ask<std::uint64_t>(dataset, [](const auto& set) { return set.data.target_count(); });
}

const uint64_t* chorus_dataset_feature_shape(const chorus_dataset* dataset, size_t* rank) {
  if (rank != nullptr) *rank = 0;
  return capi::ask<const std::uint64_t*>(dataset, [&](const auto& set) {
    if (rank != nullptr) *rank = set.data.feature_shape().size();
    return set.data.feature_shape().data();
  });
}

uint64_t chorus_dataset_feature_count(const chorus_dataset* dataset) {
  return capi::ask<std::uint64_t>(dataset,
                                  [](const auto& set) { return set.data.feature_count(); });
}

chorus_status chorus_dataset_read(const chorus_dataset* dataset,
                                  const uint32_t* examples,
                                  uint64_t count,
                                  float* features,
                                  uint32_t* labels,
                                  float* targets) {
  return capi::guarded([&]() -> Result<void> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(dataset));
    const auto& data = opened->data;
    chorus::client::ExampleRows into;
    if (features != nullptr) into.features = {features, count * data.feature_count()};
    if (labels != nullptr) into.labels = {labels, count};
    if (targets != nullptr) into.targets = {targets, count * data.target_count()};
    return capi::read(dataset, examples, count, into);
  });
}

const char* chorus_dataset_key(const chorus_dataset* dataset, uint64_t example) {
  return capi::guarded_or<const char*>(nullptr, [&]() -> Result<const char*> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(dataset));
    if (example >= opened->data.size()) {
      return chorus::fail(chorus::errc::invalid_argument,
                          "example is " + std::to_string(example) + "; there are " +
                              std::to_string(opened->data.size()));
    }
    return opened->keys.empty() ? "" : opened->keys[example].c_str();
  });
}

const char* chorus_dataset_class_name(const chorus_dataset* dataset, uint32_t label) {
  return capi::guarded_or<const char*>(nullptr, [&]() -> Result<const char*> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(dataset));
    if (label >= opened->data.classes()) {
      return chorus::fail(chorus::errc::invalid_argument,
                          "label is " + std::to_string(label) + "; there are " +
                              std::to_string(opened->data.classes()) + " classes");
    }
    return label < opened->class_names.size() ? opened->class_names[label].c_str() : "";
  });
}

chorus_status chorus_dataset_fit_scales(const chorus_dataset* training,
                                        chorus_normalisation normalisation,
                                        chorus_scale* scales,
                                        size_t capacity,
                                        size_t* count) {
  return capi::guarded(
      [&] { return capi::fit_scales(training, normalisation, scales, capacity, count); });
}

chorus_status chorus_dataset_normalised(const chorus_dataset* dataset,
                                        const chorus_scale* scales,
                                        size_t count,
                                        chorus_dataset** normalised) {
  return capi::give_dataset(normalised, [&] { return capi::normalised(dataset, scales, count); });
}

chorus_status chorus_dataset_subset(const chorus_dataset* dataset,
                                    const uint32_t* examples,
                                    uint64_t count,
                                    chorus_dataset** subset) {
  return capi::give_dataset(subset, [&] { return capi::subset(dataset, examples, count); });
}

chorus_status chorus_dataset_split(const chorus_dataset* dataset,
                                   double fraction,
                                   uint64_t seed,
                                   chorus_dataset** train,
                                   chorus_dataset** holdout) {
  return capi::guarded([&] { return capi::split(dataset, fraction, seed, train, holdout); });
}

void chorus_dataset_destroy(chorus_dataset** dataset) {
  capi::close_handle(dataset);
}

}  // extern "C"
