#include "client/agent/model_source.hpp"

#include <fmt/format.h>
#include <utility>

#include "common/base/try.hpp"
#include "common/config/model_file.hpp"
#include "common/tensor/version_file.hpp"

namespace chorus::agent {
namespace {

Result<ModelSource> load_version(const std::filesystem::path& path) {
  CHORUS_TRY(auto file, tensor::read_version(path));
  ModelSource source;
  source.model = std::move(file.model);
  source.train.normalise = std::move(file.normalise);
  source.parameters.assign(file.parameters.begin(), file.parameters.end());
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
