// ONNX files: what imports must be a model that fits together, with as many numbers as it has.
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/assert.hpp"
#include "common/onnx/onnx.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto import = chorus::onnx::import_model(std::as_bytes(std::span(data, size)));
  if (!import || !import->problems.empty()) return 0;
  const auto layout = chorus::layout_of(import->model);
  CHORUS_ASSERT(layout && layout->parameters == import->parameters.size());
  return 0;
}
