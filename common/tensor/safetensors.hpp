// The safetensors file format: a model version is one such file.
//
//   u64 little-endian   N, bytes of the header
//   N bytes             JSON: {"__metadata__":{…}, "<tensor>":{"dtype","shape","data_offsets"}, …}
//   the rest            tensor data, contiguous, little-endian
//
// Chorus pads the JSON with spaces so that the data begins at a multiple of 64, and reads files
// with any padding. Only float32 tensors. Stricter than the format: no tensor without elements.
// @source  https://github.com/huggingface/safetensors (format description)
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::tensor {

using Metadata = std::map<std::string, std::string>;

/// Bytes before the JSON header: its length.
inline constexpr std::size_t kSafetensorsPrefixBytes = 8;
inline constexpr std::size_t kSafetensorsDataAlignment = 64;

/// What a header says. Tensors are in the order of their data.
struct SafetensorsInfo {
  TensorLayout layout;
  Metadata metadata;
  std::uint64_t data_offset = 0;  ///< first byte of the data within the file
};

/// A whole file in memory.
struct SafetensorsFile {
  TensorLayout layout;
  Metadata metadata;
  AlignedBuffer<float> data;  ///< f32[layout.parameters]
};

/// Everything that comes before the data: length, JSON, padding. Its size is a multiple of
/// kSafetensorsDataAlignment. Equal arguments give equal bytes: metadata first, sorted by key, then
/// the tensors in layout order.
/// @errors invalid_argument: the layout has gaps, wrong counts, duplicate or bad names, or is
///         beyond limits; text is not UTF-8; the header would exceed kSafetensorsHeaderBytesMax
Result<std::vector<std::byte>> build_header(const TensorLayout& layout, const Metadata& metadata);

/// Where the data begins, from the first kSafetensorsPrefixBytes bytes of a file: read this many
/// bytes and give them to parse_header.
/// @errors malformed_file: fewer bytes than that given, or a length beyond limits or the file
Result<std::uint64_t> data_offset_of(std::span<const std::byte> prefix, std::uint64_t file_bytes);

/// Checks and reads a header.
/// @param prefix      the file from its first byte to the data at least (more is ignored)
/// @param file_bytes  size of the whole file; the tensors must fill it exactly
/// @errors malformed_file for every deviation; unsupported_feature for a dtype other than F32
Result<SafetensorsInfo> parse_header(std::span<const std::byte> prefix, std::uint64_t file_bytes);

/// Writes a file as one durable step (see write_durably).
/// @param data  f32[layout.parameters]
/// @errors as build_header; shape_mismatch when data and layout differ; io_failed, disk_full
Result<void> write_safetensors(const std::filesystem::path& path,
                               const TensorLayout& layout,
                               std::span<const float> data,
                               const Metadata& metadata);

/// Reads a whole file. A failure's detail begins with the path.
/// @errors as parse_header; not_found, io_failed; busy when there is no memory
Result<SafetensorsFile> read_safetensors(const std::filesystem::path& path);

}  // namespace chorus::tensor
