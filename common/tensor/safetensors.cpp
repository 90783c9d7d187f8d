#include "common/tensor/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <sys/stat.h>
#include <utility>

#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/json_text.hpp"

namespace chorus::tensor {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "tensor data is written as it is held");

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::uint64_t kParametersMax = limits::kModelBytesMax / sizeof(float);

Failure malformed(std::string detail) {
  return fail(errc::malformed_file, std::move(detail));
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::kTensorNameBytesMax && name != kMetadataKey &&
         std::none_of(name.begin(), name.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte < 0x20 || byte == 0x7F;
         });
}

// Elements of a shape; 0 when a dimension is 0 or the product is beyond any model.
std::uint64_t elements_of(const std::vector<std::uint64_t>& shape) {
  std::uint64_t product = 1;
  for (const std::uint64_t side : shape) {
    if (side == 0 || __builtin_mul_overflow(product, side, &product)) return 0;
    if (product > kParametersMax) return 0;
  }
  return product;
}

Result<void> check_layout(const TensorLayout& layout) {
  if (layout.tensors.empty() || layout.tensors.size() > limits::kTensorsMax) {
    return fail(errc::invalid_argument,
                fmt::format("a layout of {} tensors cannot be stored; expected 1 to {}",
                            layout.tensors.size(),
                            limits::kTensorsMax));
  }
  std::uint64_t next = 0;
  std::set<std::string_view> names;
  for (const TensorSpec& tensor : layout.tensors) {
    const bool fits = is_name(tensor.name) && names.insert(tensor.name).second &&
                      tensor.shape.size() <= limits::kTensorRankMax && tensor.count > 0 &&
                      tensor.count == elements_of(tensor.shape) && tensor.offset == next &&
                      tensor.count <= kParametersMax - next;
    if (!fits) {
      return fail(errc::invalid_argument,
                  fmt::format("tensor '{}' (shape {}, {} elements at {}) does not fit a layout "
                              "that is contiguous up to {}, with unique names and correct counts",
                              tensor.name,
                              fmt::join(tensor.shape, "x"),
                              tensor.count,
                              tensor.offset,
                              next));
    }
    next += tensor.count;
  }
  if (next == layout.parameters) return {};
  return fail(
      errc::invalid_argument,
      fmt::format("the layout claims {} parameters; its tensors hold {}", layout.parameters, next));
}

// A list of whole, non-negative numbers.
Result<std::vector<std::uint64_t>> numbers(const json& list,
                                           const std::string& tensor,
                                           std::string_view key) {
  std::vector<std::uint64_t> values;
  if (!list.is_array() || list.size() > limits::kTensorRankMax) {
    return malformed(fmt::format("tensor '{}': {} must be a list of at most {} numbers",
                                 tensor,
                                 key,
                                 limits::kTensorRankMax));
  }
  for (const json& item : list) {
    if (!item.is_number_unsigned()) {
      return malformed(
          fmt::format("tensor '{}': {} must hold whole, non-negative numbers", tensor, key));
    }
    values.push_back(item.get<std::uint64_t>());
  }
  return values;
}

// A tensor as the header tells it; `offset` and `end` in bytes of the data section.
struct Entry {
  TensorSpec spec;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

Result<Entry> read_entry(const std::string& name, const json& value) {
  if (!is_name(name)) {
    return malformed(fmt::format("a tensor name must be 1 to {} printable bytes; one has {}",
                                 limits::kTensorNameBytesMax,
                                 name.size()));
  }
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value.contains("shape") || !value.contains("data_offsets") || !value["dtype"].is_string()) {
    return malformed(
        fmt::format("tensor '{}' must have exactly dtype, shape and data_offsets", name));
  }
  if (const auto& dtype = value["dtype"].get_ref<const std::string&>(); dtype != "F32") {
    return fail(errc::unsupported_feature,
                fmt::format("tensor '{}' has dtype {}; only F32 can be read, convert it first",
                            name,
                            dtype.substr(0, 16)));
  }
  Entry entry;
  entry.spec.name = name;
  entry.spec.buffer = is_buffer_name(name);
  CHORUS_TRY(entry.spec.shape, numbers(value["shape"], name, "shape"));
  CHORUS_TRY(const auto offsets, numbers(value["data_offsets"], name, "data_offsets"));
  entry.spec.count = elements_of(entry.spec.shape);
  if (entry.spec.count == 0) {
    return malformed(fmt::format("tensor '{}' has shape {}; expected 1 to {} elements",
                                 name,
                                 fmt::join(entry.spec.shape, "x"),
                                 kParametersMax));
  }
  if (offsets.size() != 2 || offsets[0] > offsets[1] ||
      offsets[1] - offsets[0] != entry.spec.count * sizeof(float)) {
    return malformed(fmt::format("tensor '{}' has shape {} ({} bytes) but data_offsets [{}]",
                                 name,
                                 fmt::join(entry.spec.shape, "x"),
                                 entry.spec.count * sizeof(float),
                                 fmt::join(offsets, ", ")));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return entry;
}

Result<Metadata> read_metadata(const json& value) {
  if (!value.is_object()) return malformed("__metadata__ must be an object of strings");
  Metadata metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      return malformed(fmt::format("__metadata__: '{}' must be a string", key.substr(0, 80)));
    }
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

// Puts the tensors in the order of their data, which must leave no gap and no byte over.
Result<TensorLayout> arrange(std::vector<Entry> entries, std::uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin < b.begin;
  });
  TensorLayout layout;
  std::uint64_t next = 0;
  for (Entry& entry : entries) {
    if (entry.begin != next) {
      return malformed(
          fmt::format("tensor '{}' begins at byte {} of the data; expected {} (no "
                      "gap, no overlap)",
                      entry.spec.name,
                      entry.begin,
                      next));
    }
    if (entry.end > data_bytes) {
      return malformed(fmt::format("tensor '{}' ends at byte {}; the file has {} bytes of data",
                                   entry.spec.name,
                                   entry.end,
                                   data_bytes));
    }
    next = entry.end;
    entry.spec.offset = entry.begin / sizeof(float);
    layout.tensors.push_back(std::move(entry.spec));
  }
  if (next != data_bytes) {
    return malformed(
        fmt::format("the tensors end at byte {}; the file has {} bytes of data", next, data_bytes));
  }
  layout.parameters = next / sizeof(float);
  return layout;
}

Result<std::uint64_t> file_size(int fd, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return errno_failure(errno, "examining", path);
  if (!S_ISREG(status.st_mode)) {
    return fail(errc::io_failed, "'" + path.string() + "' is not a regular file");
  }
  return static_cast<std::uint64_t>(status.st_size);
}

Result<SafetensorsFile> read_open_file(int fd, const std::filesystem::path& path) {
  CHORUS_TRY(const std::uint64_t bytes, file_size(fd, path));
  std::vector<std::byte> header(std::min<std::uint64_t>(bytes, kSafetensorsPrefixBytes));
  CHORUS_OK(read_at(fd, 0, header, path));
  CHORUS_TRY(const std::uint64_t data_offset, data_offset_of(header, bytes));
  header.resize(data_offset);
  CHORUS_OK(read_at(fd, 0, header, path));
  CHORUS_TRY(SafetensorsInfo info, parse_header(header, bytes));
  CHORUS_TRY(auto data, AlignedBuffer<float>::create(info.layout.parameters));
  CHORUS_OK(read_at(fd, info.data_offset, std::as_writable_bytes(data.span()), path));
  return SafetensorsFile{std::move(info.layout), std::move(info.metadata), std::move(data)};
}

}  // namespace

Result<std::vector<std::byte>> build_header(const TensorLayout& layout, const Metadata& metadata) {
  CHORUS_OK(check_layout(layout));
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(kMetadataKey)] = metadata;
  for (const TensorSpec& tensor : layout.tensors) {
    nlohmann::ordered_json& entry = header[tensor.name];
    entry["dtype"] = "F32";
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {tensor.offset * sizeof(float),
                             (tensor.offset + tensor.count) * sizeof(float)};
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    return fail(errc::invalid_argument, "tensor names and metadata must be valid UTF-8");
  }
  const std::size_t used = kSafetensorsPrefixBytes + text.size();
  text.append((0 - used) % kSafetensorsDataAlignment, ' ');
  if (text.size() > limits::kSafetensorsHeaderBytesMax) {
    return fail(errc::invalid_argument,
                fmt::format("the header would take {} bytes; at most {} are allowed",
                            text.size(),
                            limits::kSafetensorsHeaderBytesMax));
  }
  const std::uint64_t length = text.size();
  std::vector<std::byte> bytes(kSafetensorsPrefixBytes + text.size());
  std::memcpy(bytes.data(), &length, sizeof length);
  std::memcpy(bytes.data() + kSafetensorsPrefixBytes, text.data(), text.size());
  return bytes;
}

Result<std::uint64_t> data_offset_of(std::span<const std::byte> prefix, std::uint64_t file_bytes) {
  if (prefix.size() < kSafetensorsPrefixBytes || file_bytes < kSafetensorsPrefixBytes) {
    return malformed(fmt::format("a safetensors file has at least {} bytes; this one has {}",
                                 kSafetensorsPrefixBytes,
                                 std::min<std::uint64_t>(prefix.size(), file_bytes)));
  }
  std::uint64_t length = 0;
  std::memcpy(&length, prefix.data(), sizeof length);
  const std::uint64_t most = std::min<std::uint64_t>(limits::kSafetensorsHeaderBytesMax,
                                                     file_bytes - kSafetensorsPrefixBytes);
  if (length < 2 || length > most) {
    return malformed(fmt::format(
        "the header claims {} bytes; expected 2 to {} in a file of {}", length, most, file_bytes));
  }
  return kSafetensorsPrefixBytes + length;
}

Result<SafetensorsInfo> parse_header(std::span<const std::byte> prefix, std::uint64_t file_bytes) {
  CHORUS_TRY(const std::uint64_t data_offset, data_offset_of(prefix, file_bytes));
  if (prefix.size() < data_offset) {
    return malformed(fmt::format(
        "the header ends at byte {}; only {} bytes are there", data_offset, prefix.size()));
  }
  const auto* const text = reinterpret_cast<const char*>(prefix.data()) + kSafetensorsPrefixBytes;
  const JsonLimits json_limits{.depth_max = 3, .values_max = limits::kTensorsMax * 24};
  auto parsed = parse_json({text, data_offset - kSafetensorsPrefixBytes}, json_limits);
  if (!parsed) return std::move(parsed).error().during("the header");
  if (!parsed->is_object()) return malformed("the header must be a JSON object");

  SafetensorsInfo info;
  info.data_offset = data_offset;
  std::vector<Entry> entries;
  for (const auto& [name, value] : parsed->items()) {
    if (name == kMetadataKey) {
      CHORUS_TRY(info.metadata, read_metadata(value));
      continue;
    }
    if (entries.size() == limits::kTensorsMax) {
      return malformed(
          fmt::format("there are more than {} tensors, the most allowed", limits::kTensorsMax));
    }
    CHORUS_TRY(Entry entry, read_entry(name, value));
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) return malformed("there is no tensor in the file");
  CHORUS_TRY(info.layout, arrange(std::move(entries), file_bytes - data_offset));
  return info;
}

Result<void> write_safetensors(const std::filesystem::path& path,
                               const TensorLayout& layout,
                               std::span<const float> data,
                               const Metadata& metadata) {
  if (data.size() != layout.parameters) {
    return fail(errc::shape_mismatch,
                fmt::format("writing '{}': the layout has {} parameters, the data {}",
                            path.string(),
                            layout.parameters,
                            data.size()));
  }
  CHORUS_TRY(std::vector<std::byte> file, build_header(layout, metadata));
  const auto body = std::as_bytes(data);
  file.insert(file.end(), body.begin(), body.end());
  return write_durably(path, std::span<const std::byte>(file));
}

Result<SafetensorsFile> read_safetensors(const std::filesystem::path& path) {
  CHORUS_TRY(const UniqueFd file, open_file(path, O_RDONLY));
  auto read = read_open_file(file.get(), path);
  if (!read) return std::move(read).error().during("reading '" + path.string() + "'");
  return read;
}

}  // namespace chorus::tensor
