// Folders of pictures as datasets.
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
  const auto decode = [image = options.image, pixels_max = options.pixels_max](
                          const std::filesystem::path& path,
                          std::span<float> features) -> Result<void> {
    CHORUS_TRY(const Image picture, load_image(path, pixels_max));
    fit_image(picture, image, features);
    return {};
  };
  return read_classes(
      std::move(classes),
      {options.folder, options.image.shape, decode, options.stream, options.bytes_max});
}

}  // namespace chorus::client
