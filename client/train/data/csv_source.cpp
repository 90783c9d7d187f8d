#include "client/train/data/csv_source.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <utility>
#include <vector>

#include "client/train/data/csv_reader.hpp"
#include "client/train/data/csv_table.hpp"
#include "client/train/data/plain_file.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

// What is in memory of each example.
struct CsvIndex {
  std::vector<std::uint64_t> begin;   // of records in the file, and the end of the last
  std::vector<std::uint32_t> labels;  // one per example, or none
  std::vector<float> targets;         // by examples

  std::size_t examples() const noexcept { return begin.size() - 1; }
  std::uint64_t bytes() const noexcept {
    return begin.size() * sizeof(std::uint64_t) + labels.size() * sizeof(std::uint32_t) +
           targets.size() * sizeof(float);
  }
};

// Every read parses the records it is asked for once more.
class CsvSource final : public ExampleSource {
 public:
  CsvSource(PlainFile file, char separator, CsvTable table, CsvIndex index)
      : file_(std::move(file)),
        separator_(separator),
        table_(std::move(table)),
        index_(std::move(index)) {}

  ExampleFormat format_of_rows{};
  std::vector<FeatureScale> scales{};  // one per column of numbers, or none

  ExampleFormat format() const override { return format_of_rows; }
  std::size_t size() const override { return index_.examples(); }

  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    const std::size_t each = index_.targets.size() / index_.examples();
    for (std::size_t i = 0; i < into.labels.size(); ++i) {
      into.labels[i] = index_.labels[examples[i]];
    }
    for (std::size_t i = 0; i < into.targets.size(); ++i) {
      into.targets[i] = index_.targets[examples[i / each] * each + i % each];
    }
    return into.features.empty() ? Result<void>() : read_features(examples, into.features);
  }

 private:
  Result<void> read_features(std::span<const std::uint32_t> examples, std::span<float> into) const {
    const std::size_t width = table_.columns().width();
    CsvReader reader(file_.name(), separator_);
    CsvRow row;
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < examples.size(); ++i) {
      const std::uint64_t begin = index_.begin[examples[i]];
      bytes.resize(static_cast<std::size_t>(index_.begin[examples[i] + 1] - begin));
      CHORUS_OK(file_.read_at(begin, bytes));
      reader.start(bytes);
      auto next = reader.next();
      const auto read = next ? table_.read(reader, row) : Result<void>(std::move(next).error());
      if (!read) {
        return fail(errc::malformed_file,
                    fmt::format("{} changed while it was in use: example {}: {}",
                                file_.name(),
                                examples[i],
                                read.error().detail));
      }
      table_.columns().encode(row.cells, scales, into.subspan(i * width, width));
    }
    return {};
  }

  PlainFile file_;
  char separator_;
  CsvTable table_;
  CsvIndex index_;
};

Result<CsvReader> open_reader(const CsvOptions& options) {
  CHORUS_TRY(PlainFile file, PlainFile::open(options.path));
  return CsvReader(std::make_unique<PlainFile>(std::move(file)), options.separator);
}

// Passes over the whole file before the first example is asked for.
class FirstLook {
 public:
  explicit FirstLook(const CsvOptions& options) : options_(options) {}

  // Every record is checked; labels, targets, keys, places and categories are kept.
  Result<CsvTable> index(CsvIndex& index, ExampleKeys& keys) {
    CHORUS_TRY(CsvReader reader, open_reader(options_));
    CHORUS_TRY(const bool any, reader.next());
    if (!any) return reader.malformed(0, "the file is empty");
    CHORUS_TRY(CsvTable table, CsvTable::create(options_, reader));
    bool more = true;
    if (options_.header) {
      CHORUS_TRY(more, reader.next());
    }
    for (CsvRow row; more;) {
      CHORUS_OK(table.learn(reader));
      CHORUS_OK(table.read(reader, row));
      index.begin.push_back(reader.record_begin());
      if (table.has_labels()) index.labels.push_back(row.label);
      index.targets.insert(index.targets.end(), row.targets.begin(), row.targets.end());
      if (table.has_keys()) keys.add(row.key);
      if (index.bytes() > options_.bytes_max) {
        return reader.malformed(0,
                                fmt::format("places and labels of the examples need more than {} "
                                            "bytes of memory",
                                            options_.bytes_max));
      }
      end_ = reader.record_end();
      CHORUS_TRY(more, reader.next());
    }
    if (index.begin.empty()) return reader.malformed(0, "there are no examples in the file");
    index.begin.push_back(end_);
    return table;
  }

  // Two more passes, for sums and for squares.
  Result<std::vector<FeatureScale>> fit(const CsvTable& table) const {
    ColumnFit fit(table.columns(), options_.fit_rows);
    CHORUS_OK(each_row(table, [&](const CsvRow& row) { fit.add(row.cells); }));
    if (options_.normalisation == Normalisation::standard) {
      CHORUS_OK(each_row(table, [&](const CsvRow& row) { fit.add_rest(row.cells); }));
    }
    return fit.scales(options_.normalisation);
  }

 private:
  template <class Take>
  Result<void> each_row(const CsvTable& table, Take take) const {
    CHORUS_TRY(CsvReader reader, open_reader(options_));
    if (options_.header) CHORUS_OK(reader.next());
    CsvRow row;
    for (;;) {
      CHORUS_TRY(const bool more, reader.next());
      if (!more) return {};
      CHORUS_OK(table.read(reader, row));
      take(row);
    }
  }

  const CsvOptions& options_;
  std::uint64_t end_ = 0;  // of the last record
};

}  // namespace

Result<CsvData> stream_csv(const CsvOptions& options) {
  CsvData data;
  CsvIndex index;
  FirstLook look(options);
  CHORUS_TRY(CsvTable table, look.index(index, data.keys));
  table.columns().sort({});
  CHORUS_OK(table.check_fit_rows(index.examples()));
  if (options.normalisation != Normalisation::none) {
    data.scales = options.scales;
    if (data.scales.empty()) {
      CHORUS_TRY(data.scales, look.fit(table));
    }
  }
  data.categories = table.categories();
  CHORUS_TRY(PlainFile file, PlainFile::open(options.path));
  ExampleFormat format{{}, 0, table.targets(), file.name()};
  CHORUS_TRY(format.feature_shape, table.feature_shape());
  format.scales = table.columns().feature_scales(data.scales);
  if (table.has_labels()) {
    format.classes = options.classes == 0
                         ? *std::max_element(index.labels.begin(), index.labels.end()) + 1
                         : options.classes;
  }
  const std::uint64_t cache_bytes = options.bytes_max - std::min(options.bytes_max, index.bytes());
  auto source = std::make_shared<CsvSource>(
      std::move(file), options.separator, std::move(table), std::move(index));
  source->format_of_rows = std::move(format);
  source->scales = data.scales;
  CHORUS_TRY(const Dataset all, Dataset::of(std::move(source)));
  CHORUS_TRY(data.dataset, all.cached(cache_bytes));
  return data;
}

}  // namespace chorus::client
