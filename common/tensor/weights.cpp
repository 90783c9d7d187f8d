#include "common/tensor/weights.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/floats.hpp"
#include "common/tensor/json_text.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::tensor {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "tensor data is read as it lies");

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::uint64_t kElementsMax = limits::kModelBytesMax / sizeof(float);
constexpr std::uint64_t kFileBytesMax = 2 * limits::kModelBytesMax;  // all of it in float64

Failure malformed(std::string detail) {
  return fail(errc::malformed_file, std::move(detail));
}

std::size_t bytes_of(std::string_view dtype) {
  if (dtype == "F32") return 4;
  if (dtype == "F64") return 8;
  return dtype == "F16" || dtype == "BF16" ? 2 : 0;
}

template <class T>
T peek(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

float number(std::string_view dtype, const char* at) {
  if (dtype == "F64") return static_cast<float>(peek<double>(at));
  if (dtype == "F16") return float_of_half(peek<std::uint16_t>(at));
  if (dtype == "BF16") return float_of_bfloat(peek<std::uint16_t>(at));
  return peek<float>(at);
}

bool are_wholes(const json& list, std::size_t most) {
  return list.is_array() && list.size() <= most &&
         std::all_of(
             list.begin(), list.end(), [](const json& item) { return item.is_number_unsigned(); });
}

struct Entry {
  Weight weight;
  std::string dtype;
  std::uint64_t begin = 0;
};

Result<Entry> read_entry(const std::string& name, const json& value, std::uint64_t data_bytes) {
  const std::string shown = name.substr(0, 80);
  if (!value.is_object() || !value.contains("dtype") || !value["dtype"].is_string() ||
      !value.contains("shape") || !are_wholes(value["shape"], limits::kTensorRankMax) ||
      !value.contains("data_offsets") || !are_wholes(value["data_offsets"], 2) ||
      value["data_offsets"].size() != 2) {
    return malformed(fmt::format("tensor '{}' must have dtype, shape and data_offsets", shown));
  }
  Entry entry{{name, value["shape"].get<std::vector<std::uint64_t>>(), {}},
              value["dtype"].get<std::string>(),
              value["data_offsets"][0].get<std::uint64_t>()};
  const auto end = value["data_offsets"][1].get<std::uint64_t>();
  const std::size_t each = bytes_of(entry.dtype);
  if (each == 0) {
    return fail(errc::unsupported_feature,
                fmt::format("tensor '{}' has dtype {}; expected F32, F64, F16 or BF16",
                            shown,
                            entry.dtype.substr(0, 16)));
  }
  std::uint64_t count = 1;
  for (const std::uint64_t side : entry.weight.shape) {
    if (__builtin_mul_overflow(count, side, &count) || count > kElementsMax) count = 0;
  }
  if (count == 0 || entry.begin > end || end > data_bytes || end - entry.begin != count * each) {
    return malformed(
        fmt::format("tensor '{}' of shape {} and dtype {} does not fit its place, "
                    "bytes {} to {} of {}",
                    shown,
                    describe_shape(entry.weight.shape),
                    entry.dtype,
                    entry.begin,
                    end,
                    data_bytes));
  }
  entry.weight.values.resize(count);
  return entry;
}

bool passed_over(std::string_view name) {
  return name.ends_with("num_batches_tracked");
}

Result<Weights> parse(std::string_view file) {
  const auto bytes = std::as_bytes(std::span(file));
  CHORUS_TRY(const std::uint64_t data_offset, data_offset_of(bytes, file.size()));
  const JsonLimits json_limits{.depth_max = 3, .values_max = limits::kTensorsMax * 24};
  auto header = parse_json(
      file.substr(kSafetensorsPrefixBytes, data_offset - kSafetensorsPrefixBytes), json_limits);
  if (!header) return std::move(header).error().during("the header");
  if (!header->is_object()) return malformed("the header must be a JSON object");
  const std::string_view data = file.substr(data_offset);
  Weights weights;
  std::vector<Entry> entries;
  std::uint64_t elements = 0;
  for (const auto& [name, value] : header->items()) {
    if (name == kMetadataKey) {
      for (const auto& [key, text] : value.items()) {
        if (text.is_string()) weights.metadata.emplace(key, text.get<std::string>());
      }
      continue;
    }
    if (passed_over(name)) continue;
    CHORUS_TRY(Entry entry, read_entry(name, value, data.size()));
    elements += entry.weight.values.size();  // offsets may overlap: a file is no bound
    if (elements > kElementsMax || entries.size() == limits::kTensorsMax) {
      return malformed(fmt::format("there are more than {} tensors or {} numbers, the most allowed",
                                   limits::kTensorsMax,
                                   kElementsMax));
    }
    entries.push_back(std::move(entry));
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin < b.begin;
  });
  for (Entry& entry : entries) {
    const char* at = data.data() + entry.begin;
    for (float& value : entry.weight.values) {
      value = number(entry.dtype, at);
      at += bytes_of(entry.dtype);
    }
    weights.tensors.push_back(std::move(entry.weight));
  }
  return weights;
}

// "a, b, c and 4 more"
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
  return text;
}

}  // namespace

Result<Weights> read_weights(const std::filesystem::path& path) {
  CHORUS_TRY(const std::string file, read_text(path, kFileBytesMax));
  auto weights = parse(file);
  if (!weights) return std::move(weights).error().during("reading '" + path.string() + "'");
  return weights;
}

Result<std::vector<float>> parameters_from(const TensorLayout& layout,
                                           const Weights& weights,
                                           std::span<const float> start) {
  std::map<std::string_view, const Weight*> given;
  for (const Weight& weight : weights.tensors) given.emplace(weight.name, &weight);
  std::vector<float> parameters(layout.parameters);
  std::vector<std::string> missing;
  std::vector<std::string> misshapen;
  for (const TensorSpec& tensor : layout.tensors) {
    const auto found = given.find(tensor.name);
    if (found == given.end()) {
      if (!start.empty() && is_adapter_name(tensor.name)) {
        std::copy_n(start.data() + tensor.offset, tensor.count, parameters.data() + tensor.offset);
      } else {
        missing.push_back(tensor.name);
      }
      continue;
    }
    const Weight& weight = *found->second;
    given.erase(found);
    if (weight.shape != tensor.shape) {
      misshapen.push_back(fmt::format("{} is {}, expected {}",
                                      tensor.name,
                                      describe_shape(weight.shape),
                                      describe_shape(tensor.shape)));
      continue;
    }
    std::copy(weight.values.begin(),
              weight.values.end(),
              parameters.begin() + static_cast<std::ptrdiff_t>(tensor.offset));
  }
  std::vector<std::string> extra;
  for (const Weight& weight : weights.tensors) {
    if (given.contains(weight.name)) extra.push_back(weight.name);
  }
  if (missing.empty() && misshapen.empty() && extra.empty()) return parameters;
  std::string why = "the weights are not this model's";
  if (!missing.empty()) why += "; missing: " + listed(missing);
  if (!extra.empty()) why += "; not in the model: " + listed(extra);
  if (!misshapen.empty()) why += "; of another shape: " + listed(misshapen);
  return fail(errc::shape_mismatch, std::move(why));
}

}  // namespace chorus::tensor
