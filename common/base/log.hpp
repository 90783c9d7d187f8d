// Logging: spdlog behind one include, with the process-wide set-up in one place.
#pragma once

#include <spdlog/spdlog.h>
#include <string>
#include <string_view>

#include "chorus/result.hpp"

namespace chorus {

/// Where log lines go and how they look.
struct LogOptions {
  std::string level = "info";  ///< trace | debug | info | warn | error | off
  std::string file;            ///< empty: standard error
  bool json = false;           ///< one JSON object per line instead of text
};

/// Installs spdlog's default logger. Call once, in main, before any thread starts.
/// @errors invalid_argument (unknown level), io_failed (file cannot be opened)
Result<void> start_logging(const LogOptions& options, std::string_view program);

}  // namespace chorus
