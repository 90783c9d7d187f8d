#include "client/train/data/folder_source.hpp"

#include <memory>

namespace chorus::client {

Result<FolderDataset> read_classes(ClassFolders classes, FolderReading how) {
  ExampleFormat format{std::move(how.feature_shape),
                       static_cast<std::uint32_t>(classes.names.size()),
                       0,
                       "'" + how.folder.string() + "'"};
  auto source = std::make_shared<const FolderSource>(
      std::move(format), std::move(classes.files), std::move(how.decode));
  FolderDataset data;
  data.class_names = std::move(classes.names);
  CHORUS_TRY(const Dataset all, Dataset::of(std::move(source)));
  CHORUS_TRY(data.dataset, how.stream ? all.cached(how.bytes_max) : all.loaded(how.bytes_max));
  return data;
}

}  // namespace chorus::client
