#include "common/tensor/version_file.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <utility>

#include "common/base/try.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/safetensors.hpp"

namespace chorus::tensor {

Result<VersionFile> read_version(const std::filesystem::path& path) {
  CHORUS_TRY(auto file, read_safetensors(path));
  const auto found = file.metadata.find(std::string(kModelMetadataKey));
  if (found == file.metadata.end()) {
    return fail(errc::malformed_file,
                fmt::format("'{}' does not say its architecture: its metadata lacks '{}'; export "
                            "it with 'chorus model export'",
                            path.string(),
                            kModelMetadataKey));
  }
  auto model = model_from_json(found->second);
  if (!model) return std::move(model).error().during("'" + path.string() + "'");
  CHORUS_TRY(auto layout, layout_of(*model));
  const auto& held = file.layout.tensors;
  const bool same = std::equal(held.begin(),
                               held.end(),
                               layout.tensors.begin(),
                               layout.tensors.end(),
                               [](const TensorSpec& a, const TensorSpec& b) {
                                 return a.name == b.name && a.shape == b.shape;
                               });
  if (!same) {
    return fail(errc::malformed_file,
                fmt::format("'{}': its tensors are not those of its architecture", path.string()));
  }
  return VersionFile{std::move(*model), std::move(layout), std::move(file.data)};
}

}  // namespace chorus::tensor
