// Folders of pictures as datasets.
#include <fmt/format.h>
#include <memory>
#include <utility>

#include "chorus/client/images.hpp"
#include "client/train/data/class_folders.hpp"
#include "client/train/data/folder_source.hpp"
#include "client/train/data/image_fit.hpp"
#include "common/base/try.hpp"

namespace chorus::client {

Result<FolderDataset> load_image_folder(const ImageFolderOptions& options) {
  CHORUS_OK(check_image_options(options.image));
  CHORUS_TRY(ClassFolders classes, list_classes(options.folder, {".jpg", ".jpeg", ".png"}));
  ExampleFormat format{options.image.shape,
                       static_cast<std::uint32_t>(classes.names.size()),
                       0,
                       "'" + options.folder.string() + "'"};
  const auto decode = [image = options.image, pixels_max = options.pixels_max](
                          const std::filesystem::path& path,
                          std::span<float> features) -> Result<void> {
    CHORUS_TRY(const Image picture, load_image(path, pixels_max));
    fit_image(picture, image, features);
    return {};
  };
  auto source =
      std::make_shared<const FolderSource>(std::move(format), std::move(classes.files), decode);
  FolderDataset data;
  data.class_names = std::move(classes.names);
  CHORUS_TRY(const Dataset all, Dataset::of(std::move(source)));
  CHORUS_TRY(data.dataset,
             options.stream ? all.cached(options.bytes_max) : all.loaded(options.bytes_max));
  return data;
}

}  // namespace chorus::client
