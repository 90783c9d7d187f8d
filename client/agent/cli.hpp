// The command line of chorus-agent.
#pragma once

#include <iosfwd>

#include "chorus/errc.hpp"

namespace chorus::agent {

/// What the process says to scripts when it ends.
enum class ExitCode : int {
  ok = 0,              ///< also after SIGINT or SIGTERM
  failed = 1,          ///< data, state folder or model file; or the server refused
  usage = 2,           ///< command line or configuration file
  unreachable = 3,     ///< enroll: the server cannot be reached (run keeps trying)
  not_authorised = 4,  ///< token, certificate: invalid, expired, revoked, of another federation
};

ExitCode exit_code_of(errc code) noexcept;

/// Parses, runs, reports. @return the process's exit code
int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace chorus::agent
