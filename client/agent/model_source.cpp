#include "client/agent/model_source.hpp"

#include <fmt/format.h>
#include <string>

#include "common/base/try.hpp"
#include "common/config/model_file.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/safetensors.hpp"

namespace chorus::agent {
namespace {

Result<ModelSource> load_version(const std::filesystem::path& path) {
  CHORUS_TRY(const auto file, tensor::read_safetensors(path));
  const auto found = file.metadata.find(std::string(tensor::kModelMetadataKey));
  if (found == file.metadata.end()) {
    return fail(errc::malformed_file,
                fmt::format("'{}' does not say its architecture: its metadata lacks '{}'; export "
                            "it with 'chorus model export'",
                            path.string(),
                            tensor::kModelMetadataKey));
  }
  auto model = tensor::model_from_json(found->second);
  if (!model) return std::move(model).error().during("'" + path.string() + "'");
  ModelSource source;
  source.model = std::move(model).value();
  source.parameters.assign(file.data.begin(), file.data.end());
  return source;
}

}  // namespace

Result<ModelSource> load_model(const std::filesystem::path& path, std::uint64_t seed) {
  if (path.extension() == ".safetensors") return load_version(path);
  if (path.extension() != ".toml") {
    return fail(errc::invalid_argument,
                fmt::format("'{}' is no model; expected a model or job file (.toml), or a version "
                            "(.safetensors)",
                            path.string()));
  }
  CHORUS_TRY(auto file, config::load_model_file(path));
  ModelSource source;
  CHORUS_TRY(source.parameters, initial_parameters(file.model, seed));
  source.model = std::move(file.model);
  source.train = file.train;
  return source;
}

}  // namespace chorus::agent
