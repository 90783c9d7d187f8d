// The idx format of the MNIST family: two zero bytes, a type, the number of dimensions, each
// dimension as u32, then the values; all big-endian.
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <string>
#include <utility>

#include "chorus/client/dataset.hpp"
#include "client/train/data/gzip_file.hpp"
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

Failure malformed(const GzipFile& file, std::string_view detail) {
  return fail(errc::malformed_file, fmt::format("'{}': {}", file.path().string(), detail));
}

Result<IdxHeader> read_header(GzipFile& file, IdxRange expected) {
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

Result<void> check_bytes(const GzipFile& file, std::uint64_t bytes, std::uint64_t bytes_max) {
  if (bytes <= bytes_max) return {};
  return malformed(
      file,
      fmt::format("its data needs {} bytes of memory; at most {} are allowed", bytes, bytes_max));
}

// Exactly header.count bytes, and then nothing.
Result<std::vector<std::byte>> read_values(GzipFile& file, const IdxHeader& header) {
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

}  // namespace

Result<Dataset> load_idx(const IdxOptions& options) {
  Dataset::Parts parts;
  parts.classes = options.classes;
  CHORUS_TRY(parts.labels, read_labels(options));
  CHORUS_TRY(GzipFile file, GzipFile::open(options.images));
  CHORUS_TRY(const IdxHeader header, read_header(file, {2, 4}));
  if (header.shape[0] != parts.labels.size()) {
    return malformed(file,
                     fmt::format("it holds {} examples; '{}' holds {} labels",
                                 header.shape[0],
                                 options.labels.string(),
                                 parts.labels.size()));
  }
  // A feature takes 4 bytes, a label too; features alone decide.
  CHORUS_OK(check_bytes(file, header.count, options.bytes_max / sizeof(float)));
  CHORUS_TRY(const auto values, read_values(file, header));
  parts.features.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    parts.features[i] = static_cast<float>(std::to_integer<unsigned>(values[i])) / 255.0F;
  }
  parts.feature_shape.assign(header.shape.begin() + 1, header.shape.end());
  if (parts.feature_shape.size() == 2) parts.feature_shape.insert(parts.feature_shape.begin(), 1);
  auto dataset = Dataset::create(std::move(parts));
  if (!dataset) return std::move(dataset).error().during("'" + options.images.string() + "'");
  return dataset;
}

}  // namespace chorus::client
