#include "common/tensor/version_file.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <utility>

#include "common/base/try.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_metadata.hpp"

namespace chorus::tensor {

Result<VersionFile> read_version(const std::filesystem::path& path) {
  CHORUS_TRY(auto file, read_safetensors(path));
  auto version = version_metadata(file.metadata);
  if (!version) return std::move(version).error().during("'" + path.string() + "'");
  CHORUS_TRY(auto layout, layout_of(version->model));
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
  return VersionFile{std::move(version->model),
                     std::move(version->normalise),
                     std::move(layout),
                     std::move(file.data)};
}

}  // namespace chorus::tensor
