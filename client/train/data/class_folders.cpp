#include "client/train/data/class_folders.hpp"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <system_error>

#include "common/base/files.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

namespace fs = std::filesystem;

// What is in a folder, in byte order, without hidden names.
Result<std::vector<fs::path>> entries_of(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  if (error) return errno_failure(error.value(), "listing", folder);
  std::vector<fs::path> paths;
  while (entry != fs::directory_iterator()) {
    if (!entry->path().filename().native().starts_with('.')) paths.push_back(entry->path());
    entry.increment(error);
    if (error) return errno_failure(error.value(), "listing", folder);
  }
  std::sort(paths.begin(), paths.end(), [](const fs::path& a, const fs::path& b) {
    return a.native() < b.native();
  });
  return paths;
}

std::string ending_of(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

}  // namespace

Result<ClassFolders> list_classes(const fs::path& folder,
                                  const std::vector<std::string_view>& endings) {
  ClassFolders classes;
  CHORUS_TRY(const auto folders, entries_of(folder));
  for (const fs::path& path : folders) {
    std::error_code error;
    if (!fs::is_directory(path, error)) continue;  // a README beside the classes is usual
    const auto label = static_cast<std::uint32_t>(classes.names.size());
    classes.names.push_back(path.filename().string());
    CHORUS_TRY(const auto files, entries_of(path));
    for (const fs::path& file : files) {
      if (std::find(endings.begin(), endings.end(), ending_of(file)) == endings.end()) {
        return fail(errc::malformed_file,
                    fmt::format("'{}' is not one of {}; move it out of the class's folder",
                                file.string(),
                                fmt::join(endings, ", ")));
      }
      classes.files.push_back({file, label});
    }
    if (!files.empty()) continue;
    return fail(errc::malformed_file,
                fmt::format("'{}' holds no files; expected some of {}, or no such folder",
                            path.string(),
                            fmt::join(endings, ", ")));
  }
  if (!classes.names.empty()) return classes;
  return fail(errc::malformed_file,
              fmt::format("'{}' has no sub-folders; expected one per class", folder.string()));
}

}  // namespace chorus::client
