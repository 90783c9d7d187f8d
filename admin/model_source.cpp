#include "admin/model_source.hpp"

#include <fmt/format.h>

#include "admin/job_source.hpp"
#include "common/base/try.hpp"
#include "common/config/model_file.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/version_metadata.hpp"

namespace chorus::admin {
namespace {

ModelSource source_of(config::ModelFile read) {
  ModelSource source;
  source.format = "TOML";
  source.model = std::move(read.model);
  source.normalise = read.train.normalise;
  source.train = read.train;
  return source;
}

Result<ModelSource> from_onnx(const std::filesystem::path& file) {
  CHORUS_TRY(auto import, onnx::load_model(file));
  ModelSource source;
  source.format =
      fmt::format("ONNX of {}, opset {}, {} nodes", import.producer, import.opset, import.nodes);
  source.notes = std::move(import.notes);
  source.problems = std::move(import.problems);
  if (!source.problems.empty()) return source;
  source.model = std::move(import.model);
  source.parameters = std::move(import.parameters);
  source.normalise = std::move(import.normalise);
  return source;
}

Result<ModelSource> from_safetensors(const std::filesystem::path& file) {
  CHORUS_TRY(auto weights, tensor::read_weights(file));
  ModelSource source;
  source.format = "safetensors";
  if (!weights.metadata.contains(std::string(tensor::kModelMetadataKey))) {
    source.weights = std::move(weights);
    return source;
  }
  auto version = tensor::version_metadata(weights.metadata);
  if (!version) return std::move(version).error().during("'" + file.string() + "'");
  CHORUS_TRY(const auto layout, layout_of(version->model));
  CHORUS_TRY(source.parameters, tensor::parameters_from(layout, weights));
  source.model = std::move(version->model);
  source.normalise = std::move(version->normalise);
  return source;
}

}  // namespace

Result<ModelSource> load_source(const std::filesystem::path& file) {
  if (file.extension() != ".toml") return load_named_source(file);
  CHORUS_TRY(auto job, load_job(file));  // whose [model] may name another file
  CHORUS_TRY(auto read, config::parse_model_file(job.toml, file.string()));
  ModelSource source = source_of(std::move(read));
  source.parameters = std::move(job.parameters);
  source.notes = std::move(job.notes);
  return source;
}

Result<ModelSource> load_named_source(const std::filesystem::path& file) {
  const auto ending = file.extension();
  if (ending == ".toml") {
    CHORUS_TRY(auto read, config::load_model_file(file));
    return source_of(std::move(read));
  }
  if (ending == ".onnx") return from_onnx(file);
  if (ending == ".safetensors") return from_safetensors(file);
  return fail(errc::invalid_argument,
              fmt::format("'{}' is no model file; expected one that ends in .toml, .onnx or "
                          ".safetensors",
                          file.string()));
}

}  // namespace chorus::admin
