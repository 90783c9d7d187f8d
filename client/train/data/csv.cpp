// Tables of numbers as datasets.
#include <cmath>
#include <fmt/format.h>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "client/train/data/csv_reader.hpp"
#include "client/train/data/csv_source.hpp"
#include "client/train/data/csv_table.hpp"
#include "client/train/data/example_checks.hpp"
#include "client/train/data/gzip_file.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

// All examples as they are read.
class InMemory {
 public:
  InMemory(const CsvOptions& options, CsvTable table)
      : options_(options),
        table_(std::move(table)),
        direct_(options.categories.empty() && options.normalisation == Normalisation::none) {
    parts_.classes = options.classes;
    parts_.target_count = table_.targets();
  }

  Result<void> add(const CsvReader& reader) {
    CHORUS_OK(table_.learn(reader));
    CHORUS_OK(table_.read(reader, row_));
    ++examples_;
    if (table_.has_labels()) parts_.labels.push_back(row_.label);
    parts_.targets.insert(parts_.targets.end(), row_.targets.begin(), row_.targets.end());
    if (table_.has_keys()) keys_.add(row_.key);
    if (direct_) {
      parts_.features.resize(examples_ * row_.cells.size());
      table_.columns().encode(row_.cells, {}, std::span(parts_.features).last(row_.cells.size()));
    } else {
      cells_.insert(cells_.end(), row_.cells.begin(), row_.cells.end());
    }
    const std::size_t numbers = table_.columns().width() + 1 + table_.targets();
    if (numbers * examples_ <= options_.bytes_max / 4) return {};
    return reader.malformed(
        0, fmt::format("the examples need more than {} bytes of memory", options_.bytes_max));
  }

  std::size_t examples() const noexcept { return examples_; }

  Result<CsvData> finish() {
    CsvData data;
    CHORUS_TRY(parts_.feature_shape, table_.feature_shape());
    CHORUS_OK(table_.check_fit_rows(examples_));
    if (!direct_) encode(data);
    data.categories = table_.categories();
    auto dataset = Dataset::create(std::move(parts_));
    if (!dataset) return std::move(dataset).error().during("'" + options_.path.string() + "'");
    data.dataset = std::move(dataset).value();
    data.keys = std::move(keys_);
    return data;
  }

 private:
  std::span<const double> cells_of(std::size_t example) const {
    const std::size_t columns = table_.columns().size();
    return std::span(cells_).subspan(example * columns, columns);
  }

  std::vector<FeatureScale> fit() const {
    ColumnFit fit(table_.columns(), options_.fit_rows);
    for (std::size_t i = 0; i < examples_; ++i) fit.add(cells_of(i));
    for (std::size_t i = 0; i < examples_; ++i) fit.add_rest(cells_of(i));
    return fit.scales(options_.normalisation);
  }

  // Cells that were kept become features.
  void encode(CsvData& data) {
    CsvColumns& columns = table_.columns();
    columns.sort(cells_);
    if (options_.normalisation != Normalisation::none) {
      data.scales = options_.scales.empty() ? fit() : options_.scales;
    }
    const std::size_t width = columns.width();
    parts_.features.resize(examples_ * width);
    for (std::size_t i = 0; i < examples_; ++i) {
      columns.encode(
          cells_of(i), data.scales, std::span(parts_.features).subspan(i * width, width));
    }
    parts_.scales = columns.feature_scales(data.scales);
  }

  const CsvOptions& options_;
  CsvTable table_;
  bool direct_;  // numbers become features as they are read
  std::size_t examples_ = 0;
  CsvRow row_;
  std::vector<double> cells_;
  Dataset::Parts parts_;
  ExampleKeys keys_;
};

Result<void> check_options(const CsvOptions& options) {
  if (options.separator == '"' || options.separator == '\n' || options.separator == '\r') {
    return fail(errc::invalid_argument, "a quote or line end cannot separate columns");
  }
  if (options.divide_by == 0.0 || !std::isfinite(options.divide_by)) {
    return fail(errc::invalid_argument,
                fmt::format("divide_by is {}; expected a number other than 0", options.divide_by));
  }
  const double missing = options.missing.value_or(0.0);
  if (!std::isfinite(static_cast<float>(missing / options.divide_by))) {
    return fail(errc::invalid_argument,
                fmt::format("missing is {}; expected a number that float32 holds", missing));
  }
  if (!options.scales.empty() && options.normalisation == Normalisation::none) {
    return fail(errc::invalid_argument, "scales are given, but normalisation is none");
  }
  return check_scales(options.scales);
}

Result<CsvData> read_csv(const CsvOptions& options) {
  CHORUS_TRY(GzipFile file, GzipFile::open(options.path));
  CsvReader reader(std::make_unique<GzipFile>(std::move(file)), options.separator);
  CHORUS_TRY(const bool any, reader.next());
  if (!any) return reader.malformed(0, "the file is empty");
  CHORUS_TRY(CsvTable table, CsvTable::create(options, reader));
  InMemory examples(options, std::move(table));
  bool more = true;
  if (options.header) {
    CHORUS_TRY(more, reader.next());
  }
  while (more) {
    CHORUS_OK(examples.add(reader));
    CHORUS_TRY(more, reader.next());
  }
  if (examples.examples() == 0) return reader.malformed(0, "there are no examples in the file");
  return examples.finish();
}

}  // namespace

Result<CsvData> load_csv(const CsvOptions& options) {
  CHORUS_OK(check_options(options));
  return options.stream ? stream_csv(options) : read_csv(options);
}

}  // namespace chorus::client
