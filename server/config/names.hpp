// Which names may be written where.
#pragma once

#include <string_view>

namespace chorus::server {

/// A federation: [a-z0-9] then [a-z0-9._-].
bool valid_label(std::string_view text);
/// A job: [a-z0-9-], 1 to 63 characters, no '-' at either end.
bool valid_job_name(std::string_view text);

}  // namespace chorus::server
