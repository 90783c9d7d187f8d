// What the process says to scripts when it ends.
#pragma once

#include "chorus/errc.hpp"

namespace chorus::admin {

enum class ExitCode : int {
  ok = 0,
  failed = 1,          ///< the server refused, or a file could not be read or written
  usage = 2,           ///< the command line makes no sense
  unreachable = 3,     ///< the server cannot be reached, or the connection broke
  not_authorised = 4,  ///< no certificate, an expired one, or one that may not do this
  job_ended = 5,       ///< watch: the job was stopped or stands degraded
};

ExitCode exit_code_of(errc code) noexcept;

/// What to try next, one sentence; empty when the failure's own words say enough.
const char* advice_for(errc code) noexcept;

}  // namespace chorus::admin
