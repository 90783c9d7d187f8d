// Labelled examples, in memory or read as they are needed, and how they are read from files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "chorus/client/example_keys.hpp"
#include "chorus/client/example_source.hpp"
#include "chorus/export.hpp"
#include "chorus/feature_scale.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// One example, copied out of a Dataset.
struct Example {
  std::vector<float> features;
  std::uint32_t label = 0;  ///< 0 without labels
  std::vector<float> targets;
};

/// Labelled examples: an ExampleSource, and which of its examples. Immutable; a copy costs little
/// and shares the source, a subset keeps only row numbers. May be read from several threads.
class CHORUS_EXPORT Dataset {
 public:
  /// What a dataset in memory is made of.
  struct Parts {
    std::vector<float> features;               ///< f32[examples × product(feature_shape)], by rows
    std::vector<std::uint64_t> feature_shape;  ///< of one example: {64} or {1, 8, 8}
    std::vector<std::uint32_t> labels;         ///< one per example, each < classes
    std::uint32_t classes = 0;                 ///< 0: the largest label + 1
    /// f32[examples × target_count], by rows: what losses other than softmax_cross_entropy aim at.
    /// Labels may then be left out.
    std::vector<float> targets{};
    std::uint64_t target_count = 0;      ///< of one example; 0: none
    std::vector<FeatureScale> scales{};  ///< as ExampleFormat's
  };

  /// No examples.
  Dataset();

  /// Examples in memory, checked here and not again.
  /// @errors shape_mismatch: features, labels and targets do not fit; invalid_argument: a label
  /// that
  ///         is not below `classes`, no feature, or too many examples; not_finite
  static Result<Dataset> create(Parts parts);

  /// All examples of a source, each checked whenever it is read.
  /// @errors invalid_argument: no source, an impossible format, or too many examples
  static Result<Dataset> of(std::shared_ptr<const ExampleSource> source);

  std::size_t size() const noexcept;
  bool empty() const noexcept { return size() == 0; }
  const std::vector<std::uint64_t>& feature_shape() const noexcept;
  std::size_t feature_count() const noexcept;  ///< product of feature_shape
  std::uint32_t classes() const noexcept;      ///< 0: no labels
  std::size_t target_count() const noexcept;
  const std::string& name() const noexcept;  ///< of the source, for messages; may be empty
  const std::vector<FeatureScale>& scales() const noexcept;  ///< of the source (ExampleFormat)

  /// As ExampleSource::read(); labels may be asked of every dataset, and are 0 where there are
  /// none.
  /// @errors invalid_argument: a number is not below size(), or a span has another length than the
  ///         examples need; not_finite, malformed_file: what the source gave is not finite, or a
  ///         label is not below classes(), naming source and example; those of the source;
  ///         internal: the source threw
  Result<void> read(std::span<const std::uint32_t> examples, const ExampleRows& into) const;

  /// @errors as read()
  Result<Example> example(std::size_t number) const;

  /// Labels of all examples, in order: what partitions by class need. Reads no features.
  /// @errors as read()
  Result<std::vector<std::uint32_t>> labels() const;

  /// The examples with these numbers, in this order; a number may occur more than once.
  /// @errors invalid_argument: a number is not below size()
  Result<Dataset> subset(std::span<const std::uint32_t> examples) const;

  /// Whether it was made by create() or loaded(): then a read is a copy, and does not fail.
  bool in_memory() const noexcept;
  /// The same examples, read once and held in memory.
  /// @errors malformed_file: their features need more than bytes_max; as read()
  Result<Dataset> loaded(std::uint64_t bytes_max) const;
  /// The same examples; the features of those that are read first stay in memory, bytes_max of them
  /// and 8 bytes per example.
  Result<Dataset> cached(std::uint64_t bytes_max) const;

 private:
  struct Held;
  explicit Dataset(std::shared_ptr<const Held> held) : held_(std::move(held)) {}

  std::shared_ptr<const Held> held_;
  std::shared_ptr<const std::vector<std::uint32_t>> rows_;  // null: all examples of the source
};

/// A dataset larger than this is refused unless the options say otherwise.
inline constexpr std::uint64_t kDatasetBytesDefault = 4ULL << 30U;

/// Examples, and whose each is.
struct KeyedDataset {
  Dataset dataset;
  ExampleKeys keys;  ///< one per example if the options name keys, else empty
};

/// Examples of classes, one class per sub-folder.
struct FolderDataset {
  Dataset dataset;
  std::vector<std::string> class_names;  ///< sub-folders in byte order: label 0 first
};

/// The two files of a dataset of the MNIST family, each plain or gzip.
struct IdxOptions {
  std::filesystem::path images;  ///< idx of unsigned bytes, 2 to 4 dimensions, examples first
  std::filesystem::path labels;  ///< idx of unsigned bytes, 1 dimension
  std::uint32_t classes = 0;     ///< 0: the largest label + 1
  std::uint64_t bytes_max = kDatasetBytesDefault;  ///< of features and labels in memory
  /// Images stay in their file, a plain one, and are read whenever they are needed.
  bool stream = false;
};

/// Reads idx files. Bytes become value / 255, so that features lie in [0, 1]. n × h × w images have
/// the feature shape {1, h, w}, n × w rows {w}, n × c × h × w images {c, h, w}.
/// @errors not_found, io_failed; malformed_file (naming file, what was found, what was expected)
CHORUS_EXPORT Result<Dataset> load_idx(const IdxOptions& options);

/// A column of words: each becomes as many features as it has values, of which the row's is 1 and
/// all others 0 (one-hot), in the place of the column.
struct CategoricalColumn {
  std::string column;               ///< a name of the header, or a number: 0 first, -1 last
  std::vector<std::string> values;  ///< in this order; empty: those of the file, in byte order
};

/// What is done to numbers that belong together: (value − offset) / scale.
enum class Normalisation {
  none,
  standard,  ///< offset: mean; scale: standard deviation of the population (divided by n)
  min_max,   ///< offset: smallest; scale: largest − smallest; so that values lie in [0, 1]
};

using chorus::FeatureScale;

/// A table: one example per line, plain or gzip.
struct CsvOptions {
  std::filesystem::path path;
  char separator = ',';
  bool header = false;  ///< the first line holds column names
  /// A name of the header, or a number: 0 first, -1 last. Empty: the last column, or none with
  /// target_columns.
  std::string label_column;
  /// Same; numbers that losses other than softmax_cross_entropy aim at, in this order: one for
  /// regression, time and event (1, or 0 if censored) for cox_partial_likelihood.
  std::vector<std::string> target_columns;
  std::string key_column;  ///< same; text that says whose example it is; empty: none
  std::vector<CategoricalColumn> categories;  ///< columns that are not numbers
  /// Stands for a missing number (empty, "?" or "NA"), as if the file held it, and allows missing
  /// categories, whose features are all 0. Without it both are errors.
  std::optional<double> missing;
  double divide_by = 1.0;  ///< every feature that is a number, before it is normalised
  Normalisation normalisation = Normalisation::none;  ///< of each column of numbers by itself
  std::vector<FeatureScale> scales;                   ///< one per such column; empty: fitted …
  std::vector<std::uint32_t> fit_rows;  ///< … to these examples, such as split_holdout().train;
                                        ///< empty: to all
  std::vector<std::uint64_t> feature_shape;        ///< e.g. {1, 8, 8}; empty: {features}
  std::uint32_t classes = 0;                       ///< 0: the largest label + 1
  std::uint64_t bytes_max = kDatasetBytesDefault;  ///< of features and labels in memory
  /// The file, a plain one, is read through once (to fit scales, three times) and checked; features
  /// stay there and are parsed whenever they are needed, except for those of the examples that were
  /// read first, which are kept as far as bytes_max allows. Of each example its place, label,
  /// targets and key are in memory: 12 bytes, 4 for each target and for a key.
  bool stream = false;
};

struct CsvData : KeyedDataset {
  std::vector<CategoricalColumn> categories;  ///< the options', with all values
  std::vector<FeatureScale> scales;  ///< what was given or fitted; empty without normalisation
};

/// Reads a table. Fields may be quoted ("…", with "" for a quote) and then hold separators and line
/// breaks; lines end with LF or CRLF; empty lines are skipped; spaces around a value are ignored.
/// All columns but label, targets and key are features, in file order. Labels are whole numbers
/// from 0; a missing label or target is an error, whatever `missing` says.
/// To treat other data the same way, hand `categories` and `scales` of the result to its options.
/// @errors not_found, io_failed; malformed_file, naming file, line, column, value and what was
///         expected (missing values among them); invalid_argument: the options contradict the file
CHORUS_EXPORT Result<CsvData> load_csv(const CsvOptions& options);

}  // namespace chorus::client
