// What lies in a folder of a store.
#pragma once

#include <filesystem>
#include <vector>

#include "chorus/result.hpp"

namespace chorus::server {

/// Its entries, in no order.
/// @errors io_failed, naming the folder: also when it is not there
Result<std::vector<std::filesystem::path>> list_folder(const std::filesystem::path& folder);

}  // namespace chorus::server
