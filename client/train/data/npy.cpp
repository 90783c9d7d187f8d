// Datasets from NumPy's array files.
#include "chorus/client/npy.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <memory>
#include <utility>

#include "client/train/data/gzip_file.hpp"
#include "client/train/data/npy_array.hpp"
#include "client/train/data/plain_file.hpp"
#include "client/train/data/zip_member.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

struct OpenArray {
  std::unique_ptr<ByteSource> source;
  NpyHeader header;
};

Result<OpenArray> open_array(const NpyOptions& options, const std::string& name) {
  OpenArray array;
  if (options.archive.empty()) {
    CHORUS_TRY(GzipFile file, GzipFile::open(name));
    array.source = std::make_unique<GzipFile>(std::move(file));
  } else {
    CHORUS_TRY(array.source, ZipMember::open(options.archive, name + ".npy"));
  }
  CHORUS_TRY(array.header, read_npy_header(*array.source));
  return array;
}

// Before memory is taken for what a header announces.
Result<void> check_bytes(const OpenArray& array, std::uint64_t bytes_max) {
  if (array.header.count <= bytes_max / sizeof(float)) return {};
  return malformed_npy(*array.source,
                       fmt::format("its {} values need more than {} bytes of memory; raise "
                                   "bytes_max, or divide the file",
                                   array.header.count,
                                   bytes_max));
}

struct Purpose {
  const char* singular;
  const char* plural;
};

Result<std::vector<std::int64_t>> read_column(const NpyOptions& options,
                                              const std::string& name,
                                              std::uint64_t examples,
                                              Purpose purpose) {
  CHORUS_TRY(const OpenArray array, open_array(options, name));
  const NpyHeader& header = array.header;
  if (header.kind == 'f') {
    return malformed_npy(
        *array.source,
        fmt::format("{} have type {}; expected integers, such as array.astype('<i4')",
                    purpose.plural,
                    header.type_text()));
  }
  if (header.shape.size() != 1 || header.count != examples) {
    return malformed_npy(*array.source,
                         fmt::format("its shape is {}; expected ({},), one {} per example",
                                     header.shape_text(),
                                     examples,
                                     purpose.singular));
  }
  return read_npy_whole(*array.source, header);
}

Result<std::vector<std::uint32_t>> read_labels(const NpyOptions& options, std::uint64_t examples) {
  CHORUS_TRY(const auto values,
             read_column(options, options.labels, examples, {"label", "labels"}));
  const std::int64_t most =
      std::int64_t{options.classes == 0 ? std::numeric_limits<std::uint32_t>::max()
                                        : options.classes} -
      1;
  std::vector<std::uint32_t> labels;
  labels.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] > most) {
      return fail(errc::malformed_file,
                  fmt::format("'{}': label {} is {}; expected a class, a whole number from 0 to {}",
                              options.labels,
                              i,
                              values[i],
                              most));
    }
    labels.push_back(static_cast<std::uint32_t>(values[i]));
  }
  return labels;
}

Result<std::vector<std::uint64_t>> feature_shape(const NpyOptions& options,
                                                 const ByteSource& source,
                                                 const NpyHeader& header) {
  const auto& shape = header.shape;
  if (shape.size() < 2) {
    return malformed_npy(source,
                         fmt::format("its shape is {}; features need 2 to {} dimensions, examples "
                                     "first",
                                     header.shape_text(),
                                     limits::kTensorRankMax));
  }
  std::vector<std::uint64_t> each(shape.begin() + 1, shape.end());
  if (options.feature_shape.empty()) return each;
  const std::uint64_t count = header.count / shape[0];
  std::uint64_t product = 1;
  for (const std::uint64_t side : options.feature_shape) {
    if (__builtin_mul_overflow(product, side, &product)) product = 0;
  }
  if (product == count) return options.feature_shape;
  return fail(errc::invalid_argument,
              fmt::format("{} has {} features per example ({}); the feature shape {} needs {}",
                          source.name(),
                          count,
                          fmt::join(each, "x"),
                          fmt::join(options.feature_shape, "x"),
                          product));
}

// Features that stay in their file.
class NpySource final : public ExampleSource {
 public:
  NpySource(PlainFile file, std::uint64_t offset, NpyHeader header, double divide_by)
      : file_(std::move(file)), header_(std::move(header)), divide_by_(divide_by) {
    rows_.offset = offset;
    rows_.row_bytes = header_.count / header_.shape[0] * header_.value_bytes;
  }

  ExampleFormat format_of_rows{};
  std::vector<std::uint32_t> labels{};

  ExampleFormat format() const override { return format_of_rows; }
  std::size_t size() const override { return labels.size(); }
  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    for (std::size_t i = 0; i < into.labels.size(); ++i) into.labels[i] = labels[examples[i]];
    if (into.features.empty()) return {};
    const std::size_t width = rows_.row_bytes / header_.value_bytes;
    return read_rows(
        file_, rows_, examples, [&](std::span<const std::byte> values, std::size_t first) {
          const std::size_t count = values.size() / header_.value_bytes;
          npy_floats(header_, values, divide_by_, into.features.subspan(first * width, count));
        });
  }

 private:
  PlainFile file_;
  NpyHeader header_;
  double divide_by_;
  RowsInFile rows_;
};

// An array that lies in a file as it is: the file itself, or a stored member of an archive.
struct PlainArray {
  std::unique_ptr<ByteSource> source;  // after the header; for messages
  NpyHeader header;
  std::uint64_t offset = 0;  // of the values in the file
  std::uint64_t bytes = 0;   // of them
};

Result<PlainArray> open_plain(const NpyOptions& options) {
  PlainArray array;
  if (options.archive.empty()) {
    CHORUS_TRY(PlainFile file, PlainFile::open(options.features));
    CHORUS_TRY(array.header, read_npy_header(file));
    array.offset = file.position();
    array.bytes = file.size() - file.position();
    array.source = std::make_unique<PlainFile>(std::move(file));
    return array;
  }
  CHORUS_TRY(auto member, ZipMember::open(options.archive, options.features + ".npy"));
  if (!member->stored_at()) {
    return malformed_npy(*member,
                         "it is compressed, which cannot be streamed; write the archive with "
                         "numpy.savez in place of numpy.savez_compressed, or unpack it");
  }
  CHORUS_TRY(array.header, read_npy_header(*member));
  array.offset = *member->stored_at() + member->position();
  array.bytes = member->size() - member->position();
  array.source = std::move(member);
  return array;
}

Result<Dataset> stream_npy(const NpyOptions& options) {
  CHORUS_TRY(PlainArray array, open_plain(options));
  const NpyHeader& header = array.header;
  ExampleFormat format{{}, options.classes, 0, array.source->name()};
  CHORUS_TRY(format.feature_shape, feature_shape(options, *array.source, header));
  if (header.fortran_order) {
    return malformed_npy(*array.source,
                         "it is in Fortran order, in which no example is in one place, and cannot "
                         "be streamed; convert it with numpy.ascontiguousarray");
  }
  if (array.bytes != header.count * header.value_bytes) {
    return malformed_npy(*array.source,
                         fmt::format("it holds {} bytes of values; its shape {} announces {}",
                                     array.bytes,
                                     header.shape_text(),
                                     header.count * header.value_bytes));
  }
  const std::uint64_t examples = header.shape[0];
  CHORUS_TRY(PlainFile file,
             PlainFile::open(options.archive.empty() ? std::filesystem::path(options.features)
                                                     : options.archive));
  auto source = std::make_shared<NpySource>(
      std::move(file), array.offset, std::move(array.header), options.divide_by);
  CHORUS_TRY(source->labels, read_labels(options, examples));
  if (format.classes == 0) {
    format.classes = *std::max_element(source->labels.begin(), source->labels.end()) + 1;
  }
  source->format_of_rows = std::move(format);
  return Dataset::of(std::move(source));
}

Result<Dataset> read_npy(const NpyOptions& options) {
  CHORUS_TRY(const OpenArray array, open_array(options, options.features));
  Dataset::Parts parts;
  parts.classes = options.classes;
  CHORUS_TRY(parts.feature_shape, feature_shape(options, *array.source, array.header));
  CHORUS_OK(check_bytes(array, options.bytes_max));
  CHORUS_TRY(parts.labels, read_labels(options, array.header.shape[0]));
  CHORUS_TRY(parts.features, read_npy_floats(*array.source, array.header, options.divide_by));
  auto dataset = Dataset::create(std::move(parts));
  if (!dataset) return std::move(dataset).error().during(array.source->name());
  return dataset;
}

}  // namespace

Result<KeyedDataset> load_npy(const NpyOptions& options) {
  if (options.divide_by == 0.0 || !std::isfinite(options.divide_by)) {
    return fail(errc::invalid_argument,
                fmt::format("divide_by is {}; expected a number other than 0", options.divide_by));
  }
  KeyedDataset data;
  CHORUS_TRY(data.dataset, options.stream ? stream_npy(options) : read_npy(options));
  if (!options.keys.empty()) {
    CHORUS_TRY(const auto keys,
               read_column(options, options.keys, data.dataset.size(), {"key", "keys"}));
    for (const std::int64_t key : keys) data.keys.add(std::to_string(key));
  }
  return data;
}

}  // namespace chorus::client
