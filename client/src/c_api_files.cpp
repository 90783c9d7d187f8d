// The readers of files, in C.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chorus/client/audio.hpp"
#include "chorus/client/images.hpp"
#include "chorus/client/npy.hpp"
#include "chorus/client/text.hpp"
#include "client/src/c_api_dataset.hpp"

namespace chorus::capi {
namespace {

using Made = Result<std::unique_ptr<chorus_dataset>>;

std::uint64_t bytes_or_default(std::uint64_t bytes_max) {
  return bytes_max == 0 ? client::kDatasetBytesDefault : bytes_max;
}

template <class T>
void set_unless_zero(T& to, T value) {
  if (value != T{}) to = value;
}

/// @errors invalid_argument: not exactly one byte
Result<char> character_from(const char* text, std::string_view name) {
  const std::string_view view(text);
  if (view.size() == 1) return view[0];
  return fail(errc::invalid_argument,
              "'" + std::string(name) + "' is '" + std::string(view) +
                  "'; expected one character of one byte");
}

/// @errors invalid_argument: a list or a text that is null
Result<std::vector<std::string>> texts_from(const char* const* items,
                                            std::uint64_t count,
                                            std::string_view name) {
  CHORUS_TRY(const auto given, list_from(items, count, name));
  std::vector<std::string> texts;
  for (const char* const text : given) {
    if (text == nullptr) return null_argument(std::string(name) + "[i]");
    texts.emplace_back(text);
  }
  return texts;
}

std::unique_ptr<chorus_dataset> dataset_of(client::Dataset data, client::ExampleKeys keys = {}) {
  auto made = std::make_unique<chorus_dataset>();
  made->data = std::move(data);
  made->keys = std::move(keys);
  return made;
}

std::unique_ptr<chorus_dataset> dataset_of(client::FolderDataset folder) {
  auto made = dataset_of(std::move(folder.dataset));
  made->class_names = std::move(folder.class_names);
  return made;
}

Result<std::vector<client::CategoricalColumn>> categories_from(const chorus_csv_options& from) {
  CHORUS_TRY(const auto given,
             list_from(from.categories, from.category_count, "chorus_csv_options.categories"));
  std::vector<client::CategoricalColumn> columns;
  for (const chorus_category& category : given) {
    client::CategoricalColumn column;
    CHORUS_TRY(column.column, not_null(category.column, "chorus_category.column"));
    CHORUS_TRY(column.values,
               texts_from(category.values, category.value_count, "chorus_category.values"));
    columns.push_back(std::move(column));
  }
  return columns;
}

Result<client::CsvOptions> csv_options(const chorus_csv_options& from) {
  client::CsvOptions to;
  CHORUS_TRY(to.path, not_null(from.path, "chorus_csv_options.path"));
  if (from.separator != nullptr) {
    CHORUS_TRY(to.separator, character_from(from.separator, "chorus_csv_options.separator"));
  }
  to.header = from.header;
  to.label_column = text_or(from.label_column, to.label_column);
  CHORUS_TRY(
      to.target_columns,
      texts_from(
          from.target_columns, from.target_column_count, "chorus_csv_options.target_columns"));
  to.key_column = text_or(from.key_column, "");
  CHORUS_TRY(to.categories, categories_from(from));
  if (from.missing != nullptr) to.missing = *from.missing;
  set_unless_zero(to.divide_by, from.divide_by);
  CHORUS_TRY(to.normalisation, normalisation_from(from.normalisation));
  CHORUS_TRY(to.scales, scales_from(from.scales, from.scale_count, "chorus_csv_options.scales"));
  CHORUS_TRY(to.fit_rows,
             list_from(from.fit_rows, from.fit_row_count, "chorus_csv_options.fit_rows"));
  CHORUS_TRY(to.feature_shape,
             shape_from(from.feature_shape, from.feature_rank, "chorus_csv_options.feature_shape"));
  to.classes = from.classes;
  to.bytes_max = bytes_or_default(from.bytes_max);
  to.stream = from.stream;
  return to;
}

Made load_csv(const chorus_csv_options* given) {
  CHORUS_TRY(const auto from, copied(given, "chorus_csv_options"));
  CHORUS_TRY(const auto options, csv_options(from));
  CHORUS_TRY(auto table, client::load_csv(options));
  auto made = dataset_of(std::move(table.dataset), std::move(table.keys));
  for (const auto& scale : table.scales) made->scales.push_back({scale.offset, scale.scale});
  made->columns = std::move(table.categories);
  show_categories(*made);
  return made;
}

Made load_idx(const chorus_idx_options* given) {
  CHORUS_TRY(const auto from, copied(given, "chorus_idx_options"));
  client::IdxOptions to;
  CHORUS_TRY(to.images, not_null(from.images, "chorus_idx_options.images"));
  CHORUS_TRY(to.labels, not_null(from.labels, "chorus_idx_options.labels"));
  to.classes = from.classes;
  to.bytes_max = bytes_or_default(from.bytes_max);
  to.stream = from.stream;
  CHORUS_TRY(auto data, client::load_idx(to));
  return dataset_of(std::move(data));
}

Made load_npy(const chorus_npy_options* given) {
  CHORUS_TRY(const auto from, copied(given, "chorus_npy_options"));
  client::NpyOptions to;
  to.archive = text_or(from.archive, "");
  to.features = text_or(from.features, to.features);
  to.labels = text_or(from.labels, to.labels);
  to.keys = text_or(from.keys, "");
  set_unless_zero(to.divide_by, from.divide_by);
  CHORUS_TRY(to.feature_shape,
             shape_from(from.feature_shape, from.feature_rank, "chorus_npy_options.feature_shape"));
  to.classes = from.classes;
  to.bytes_max = bytes_or_default(from.bytes_max);
  to.stream = from.stream;
  CHORUS_TRY(auto keyed, client::load_npy(to));
  return dataset_of(std::move(keyed.dataset), std::move(keyed.keys));
}

Made load_wav(const chorus_wav_options* given) {
  CHORUS_TRY(const auto from, copied(given, "chorus_wav_options"));
  client::WavFolderOptions to;
  CHORUS_TRY(to.folder, not_null(from.folder, "chorus_wav_options.folder"));
  to.samples = from.samples;
  set_unless_zero(to.features.sample_rate, from.sample_rate);
  set_unless_zero(to.features.window, from.window);
  set_unless_zero(to.features.hop, from.hop);
  set_unless_zero(to.features.fft, from.fft);
  set_unless_zero(to.features.mels, from.mels);
  set_unless_zero(to.features.hz_min, from.hz_min);
  set_unless_zero(to.features.hz_max, from.hz_max);
  set_unless_zero(to.features.epsilon, from.epsilon);
  to.bytes_max = bytes_or_default(from.bytes_max);
  to.stream = from.stream;
  CHORUS_TRY(auto folder, client::load_wav_folder(to));
  return dataset_of(std::move(folder));
}

Made load_images(const chorus_image_options* given) {
  CHORUS_TRY(const auto from, copied(given, "chorus_image_options"));
  client::ImageFolderOptions to;
  CHORUS_TRY(to.folder, not_null(from.folder, "chorus_image_options.folder"));
  CHORUS_TRY(to.image.shape, shape_from(from.shape, from.rank, "chorus_image_options.shape"));
  if (from.stretch) to.image.fit = client::ImageFit::stretch;
  set_unless_zero(to.pixels_max, from.pixels_max);
  to.bytes_max = bytes_or_default(from.bytes_max);
  to.stream = from.stream;
  CHORUS_TRY(auto folder, client::load_image_folder(to));
  return dataset_of(std::move(folder));
}

Made load_text(const chorus_text_options* given) {
  CHORUS_TRY(const auto from, copied(given, "chorus_text_options"));
  client::TextOptions to;
  CHORUS_TRY(to.path, not_null(from.path, "chorus_text_options.path"));
  to.by_role = from.by_role;
  set_unless_zero(to.window, from.window);
  set_unless_zero(to.stride, from.stride);
  to.sequence = from.sequence;
  to.vocabulary = text_or(from.vocabulary, to.vocabulary);
  if (from.replacement != nullptr) {
    CHORUS_TRY(to.replacement, character_from(from.replacement, "chorus_text_options.replacement"));
  }
  to.bytes_max = bytes_or_default(from.bytes_max);
  CHORUS_TRY(auto keyed, client::load_text(to));
  return dataset_of(std::move(keyed.dataset), std::move(keyed.keys));
}

/// A list of an open data set; null if it is empty.
template <class T>
const T* list_of(const chorus_dataset* dataset,
                 std::size_t* count,
                 std::vector<T> chorus_dataset::*list) noexcept {
  if (count != nullptr) *count = 0;
  return guarded_or<const T*>(nullptr, [&]() -> Result<const T*> {
    CHORUS_TRY(const auto* const opened, open_handle(dataset));
    const std::vector<T>& items = opened->*list;
    if (count != nullptr) *count = items.size();
    return items.empty() ? nullptr : items.data();
  });
}

}  // namespace

void show_categories(chorus_dataset& dataset) {
  dataset.values.clear();
  dataset.categories.clear();
  for (const auto& column : dataset.columns) {
    auto& values = dataset.values.emplace_back();
    for (const std::string& value : column.values) values.push_back(value.c_str());
    dataset.categories.push_back({column.column.c_str(), values.data(), values.size()});
  }
}

}  // namespace chorus::capi

namespace capi = chorus::capi;

extern "C" {

chorus_status chorus_dataset_load_csv(const chorus_csv_options* options, chorus_dataset** dataset) {
  return capi::give_dataset(dataset, [&] { return capi::load_csv(options); });
}

chorus_status chorus_dataset_load_idx(const chorus_idx_options* options, chorus_dataset** dataset) {
  return capi::give_dataset(dataset, [&] { return capi::load_idx(options); });
}

chorus_status chorus_dataset_load_npy(const chorus_npy_options* options, chorus_dataset** dataset) {
  return capi::give_dataset(dataset, [&] { return capi::load_npy(options); });
}

chorus_status chorus_dataset_load_wav(const chorus_wav_options* options, chorus_dataset** dataset) {
  return capi::give_dataset(dataset, [&] { return capi::load_wav(options); });
}

chorus_status chorus_dataset_load_images(const chorus_image_options* options,
                                         chorus_dataset** dataset) {
  return capi::give_dataset(dataset, [&] { return capi::load_images(options); });
}

chorus_status chorus_dataset_load_text(const chorus_text_options* options,
                                       chorus_dataset** dataset) {
  return capi::give_dataset(dataset, [&] { return capi::load_text(options); });
}

const chorus_scale* chorus_dataset_scales(const chorus_dataset* dataset, size_t* count) {
  return capi::list_of(dataset, count, &chorus_dataset::scales);
}

const chorus_category* chorus_dataset_categories(const chorus_dataset* dataset, size_t* count) {
  return capi::list_of(dataset, count, &chorus_dataset::categories);
}

}  // extern "C"
