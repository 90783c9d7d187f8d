#include "server/store/list_folder.hpp"

#include <fmt/format.h>
#include <system_error>

namespace chorus::server {

Result<std::vector<std::filesystem::path>> list_folder(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(folder, error);
       !error && entry != std::filesystem::directory_iterator();
       entry.increment(error)) {
    paths.push_back(entry->path());
  }
  if (error) {
    return fail(errc::io_failed,
                fmt::format("listing folder '{}': {}", folder.string(), error.message()));
  }
  return paths;
}

}  // namespace chorus::server
