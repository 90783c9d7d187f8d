// ONNX files in and out: a model and its weights from other frameworks, and back to them. What maps
// to what, and what does not: docs/formats.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "chorus/feature_scale.hpp"
#include "chorus/model.hpp"
#include "chorus/result.hpp"

namespace chorus::onnx {

/// Bytes of a file that is read; protobuf's own bound.
inline constexpr std::uint64_t kFileBytesMax = (1ULL << 31U) - 1;
/// The operators that export_model() writes.
inline constexpr std::int64_t kExportOpset = 17;

/// A node that has no counterpart here.
struct Problem {
  std::string node;     ///< its name in the file
  std::string op;       ///< "ConvTranspose"
  std::string why;      ///< "the kernel is 3x5, not square"
  std::string instead;  ///< what could replace it; may be empty
};

struct Import {
  std::string producer;  ///< "pytorch 1.13.1"
  std::int64_t opset = 0;
  std::size_t nodes = 0;
  std::vector<Problem> problems;   ///< if there are any, model and parameters are empty
  std::vector<std::string> notes;  ///< what was understood in a way worth knowing
  ModelSpec model;
  std::vector<float> parameters;        ///< f32[layout_of(model).parameters]
  std::vector<FeatureScale> normalise;  ///< of a file that export_model() made; none: not said
};

/// Reads a model with its weights.
/// @errors malformed_file, unsupported_feature: as read_graph(); nodes that cannot be trained here
///         are no failure but Import::problems
Result<Import> import_model(std::span<const std::byte> file);
/// @errors also of reading the file; a failure's detail begins with the path
Result<Import> load_model(const std::filesystem::path& path);

/// The problems in one text, one per line: "node '/up/ConvTranspose' (ConvTranspose): …".
std::string text_of(const std::vector<Problem>& problems);

/// An ONNX file that computes the model's outputs in evaluation, for batches of any size: input
/// "input", output "output", initialisers by the tensors' names.
/// @param parameters  f32[layout_of(model).parameters]
/// @param normalise  how inputs are made ready, which the graph does not do: written down in the
///        file's metadata, as in a version's ("chorus.normalise", docs/formats.md)
/// @errors as layout_of; shape_mismatch; unsupported_feature: a layer that ONNX cannot express
Result<std::string> export_model(const ModelSpec& model,
                                 std::span<const float> parameters,
                                 std::span<const FeatureScale> normalise = {});

}  // namespace chorus::onnx
