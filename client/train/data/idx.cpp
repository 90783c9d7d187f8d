// The idx format of the MNIST family: two zero bytes, a type, the number of dimensions, each
// dimension as u32, then the values; all big-endian.
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <utility>

#include "chorus/client/dataset.hpp"
#include "client/train/data/gzip_file.hpp"
#include "client/train/data/plain_file.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

constexpr unsigned kUnsignedByte = 0x08;

struct IdxRange {
  std::size_t dimensions_min;
  std::size_t dimensions_max;
};

struct IdxHeader {
  std::vector<std::uint64_t> shape;  // examples first
  std::uint64_t count = 1;           // product of shape
};

Failure malformed(const ByteSource& file, std::string_view detail) {
  return fail(errc::malformed_file, fmt::format("{}: {}", file.name(), detail));
}

Result<IdxHeader> read_header(ByteSource& file, IdxRange expected) {
  std::array<std::byte, 4> magic{};
  CHORUS_TRY(const std::size_t got, file.read(magic));
  if (got < magic.size() || magic[0] != std::byte{0} || magic[1] != std::byte{0}) {
    return malformed(file, "it does not begin like an idx file (two zero bytes)");
  }
  if (std::to_integer<unsigned>(magic[2]) != kUnsignedByte) {
    return malformed(file,
                     fmt::format("its values have type 0x{:02x}; expected 0x08, unsigned bytes",
                                 std::to_integer<unsigned>(magic[2])));
  }
  const auto dimensions = std::to_integer<std::size_t>(magic[3]);
  if (dimensions < expected.dimensions_min || dimensions > expected.dimensions_max) {
    return malformed(file,
                     fmt::format("it has {} dimensions; expected {} to {}",
                                 dimensions,
                                 expected.dimensions_min,
                                 expected.dimensions_max));
  }
  std::array<std::byte, 16> sizes{};
  const auto used = std::span(sizes).first(4 * dimensions);
  CHORUS_TRY(const std::size_t read, file.read(used));
  if (read < used.size()) return malformed(file, "it ends within the header");
  IdxHeader header;
  for (std::size_t i = 0; i < used.size(); i += 4) {
    std::uint64_t size = 0;
    for (std::size_t k = 0; k < 4; ++k) size = size << 8U | std::to_integer<unsigned>(used[i + k]);
    header.shape.push_back(size);
    if (size == 0 || __builtin_mul_overflow(header.count, size, &header.count)) {
      return malformed(file,
                       fmt::format("dimensions {} are impossible", fmt::join(header.shape, " x ")));
    }
  }
  return header;
}

Result<void> check_bytes(const ByteSource& file, std::uint64_t bytes, std::uint64_t bytes_max) {
  if (bytes <= bytes_max) return {};
  return malformed(
      file,
      fmt::format("its data needs {} bytes of memory; at most {} are allowed", bytes, bytes_max));
}

// Exactly header.count bytes, and then nothing.
Result<std::vector<std::byte>> read_values(ByteSource& file, const IdxHeader& header) {
  std::vector<std::byte> values(header.count + 1);
  CHORUS_TRY(const std::size_t got, file.read(values));
  if (got != header.count) {
    return malformed(file,
                     fmt::format("it holds {} values; {} = {} were announced",
                                 got < header.count ? std::to_string(got) : "more",
                                 fmt::join(header.shape, " x "),
                                 header.count));
  }
  values.pop_back();
  return values;
}

Result<std::vector<std::uint32_t>> read_labels(const IdxOptions& options) {
  CHORUS_TRY(GzipFile file, GzipFile::open(options.labels));
  CHORUS_TRY(const IdxHeader header, read_header(file, {1, 1}));
  CHORUS_OK(check_bytes(file, header.count, options.bytes_max / sizeof(std::uint32_t)));
  CHORUS_TRY(const auto values, read_values(file, header));
  std::vector<std::uint32_t> labels(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    labels[i] = std::to_integer<std::uint32_t>(values[i]);
  }
  return labels;
}

constexpr std::uint64_t header_bytes(const IdxHeader& header) {
  return 4 + 4 * header.shape.size();
}

float feature_of(std::byte value) {
  return static_cast<float>(std::to_integer<unsigned>(value)) / 255.0F;
}

// Images that stay in their file.
class IdxSource final : public ExampleSource {
 public:
  IdxSource(PlainFile file,
            ExampleFormat format,
            std::vector<std::uint32_t> labels,
            RowsInFile rows)
      : file_(std::move(file)),
        format_(std::move(format)),
        labels_(std::move(labels)),
        rows_(rows) {}

  ExampleFormat format() const override { return format_; }
  std::size_t size() const override { return labels_.size(); }
  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    for (std::size_t i = 0; i < into.labels.size(); ++i) into.labels[i] = labels_[examples[i]];
    if (into.features.empty()) return {};
    return read_rows(
        file_, rows_, examples, [&](std::span<const std::byte> values, std::size_t first) {
          const auto to = into.features.subspan(first * rows_.row_bytes, values.size());
          std::transform(values.begin(), values.end(), to.begin(), feature_of);
        });
  }

 private:
  PlainFile file_;
  ExampleFormat format_;
  std::vector<std::uint32_t> labels_;
  RowsInFile rows_;
};

Result<IdxHeader> read_image_header(const IdxOptions& options,
                                    ByteSource& file,
                                    std::size_t labels) {
  CHORUS_TRY(IdxHeader header, read_header(file, {2, 4}));
  if (header.shape[0] == labels) return header;
  return malformed(file,
                   fmt::format("it holds {} examples; '{}' holds {} labels",
                               header.shape[0],
                               options.labels.string(),
                               labels));
}

std::vector<std::uint64_t> shape_of_images(const IdxHeader& header) {
  std::vector<std::uint64_t> shape(header.shape.begin() + 1, header.shape.end());
  if (shape.size() == 2) shape.insert(shape.begin(), 1);
  return shape;
}

Result<Dataset> stream_idx(const IdxOptions& options, std::vector<std::uint32_t> labels) {
  CHORUS_TRY(PlainFile file, PlainFile::open(options.images));
  CHORUS_TRY(const IdxHeader header, read_image_header(options, file, labels.size()));
  const std::uint64_t begin = header_bytes(header);
  if (file.size() - begin != header.count) {
    return malformed(file,
                     fmt::format("it holds {} values; {} = {} were announced",
                                 file.size() - begin,
                                 fmt::join(header.shape, " x "),
                                 header.count));
  }
  const auto largest = std::max_element(labels.begin(), labels.end());
  ExampleFormat format{shape_of_images(header),
                       options.classes == 0 ? *largest + 1 : options.classes,
                       0,
                       file.name()};
  if (*largest >= format.classes) {
    return fail(errc::invalid_argument,
                fmt::format("'{}': example {} has label {}; expected 0 to {}",
                            options.labels.string(),
                            largest - labels.begin(),
                            *largest,
                            format.classes - 1));
  }
  const RowsInFile rows{begin, static_cast<std::size_t>(header.count / header.shape[0])};
  return Dataset::of(std::make_shared<const IdxSource>(
      std::move(file), std::move(format), std::move(labels), rows));
}

}  // namespace

Result<Dataset> load_idx(const IdxOptions& options) {
  CHORUS_TRY(auto labels, read_labels(options));
  if (options.stream) return stream_idx(options, std::move(labels));
  CHORUS_TRY(GzipFile file, GzipFile::open(options.images));
  CHORUS_TRY(const IdxHeader header, read_image_header(options, file, labels.size()));
  // A feature takes 4 bytes, a label too; features alone decide.
  CHORUS_OK(check_bytes(file, header.count, options.bytes_max / sizeof(float)));
  CHORUS_TRY(const auto values, read_values(file, header));
  Dataset::Parts parts;
  parts.classes = options.classes;
  parts.labels = std::move(labels);
  parts.features.resize(values.size());
  std::transform(values.begin(), values.end(), parts.features.begin(), feature_of);
  parts.feature_shape = shape_of_images(header);
  auto dataset = Dataset::create(std::move(parts));
  if (!dataset) return std::move(dataset).error().during("'" + options.images.string() + "'");
  return dataset;
}

}  // namespace chorus::client
