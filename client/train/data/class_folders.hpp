// A folder with one sub-folder of files per class.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/result.hpp"

namespace chorus::client {

struct ClassFile {
  std::filesystem::path path;
  std::uint32_t label;
};

struct ClassFolders {
  std::vector<std::string> names;  ///< of the classes, in byte order
  std::vector<ClassFile> files;    ///< by class, then by name in byte order
};

/// Lists files with one of these endings (lower case, with the dot; the case in names does not
/// matter). Names that begin with a dot are passed over; other files are an error.
/// @errors not_found, io_failed; malformed_file: no class, an empty class, a file of another kind
Result<ClassFolders> list_classes(const std::filesystem::path& folder,
                                  const std::vector<std::string_view>& endings);

}  // namespace chorus::client
