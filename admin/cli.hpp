// The command line of `chorus`.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>

#include "admin/admin_link.hpp"
#include "admin/console.hpp"
#include "chorus/result.hpp"

namespace chorus::admin {

/// What the command line needs of the world; tests put their own in its place.
struct World {
  std::ostream& out;
  std::ostream& err;
  std::function<Console::Look(bool json)> look;
  std::function<Result<std::unique_ptr<AdminLink>>(const Federation&)> connect;
};

/// Parses, runs, reports. @return the process's exit code (exit_codes.hpp)
int run(int argc, const char* const* argv, const World& world);

}  // namespace chorus::admin
