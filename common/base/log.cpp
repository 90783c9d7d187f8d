#include "common/base/log.hpp"

#include <memory>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

namespace chorus {

Result<void> start_logging(const LogOptions& options, std::string_view program) {
  const auto level = spdlog::level::from_str(options.level);
  if (level == spdlog::level::off && options.level != "off") {
    return fail(errc::invalid_argument,
                "log level '" + options.level +
                    "' is unknown; expected trace, debug, info, warn, error or off");
  }
  std::shared_ptr<spdlog::logger> logger;
  try {
    const std::string name(program);
    logger = options.file.empty() ? spdlog::stderr_color_mt(name)
                                  : spdlog::basic_logger_mt(name, options.file);
  } catch (const spdlog::spdlog_ex& error) {
    return fail(errc::io_failed, "opening log file '" + options.file + "': " + error.what());
  }
  logger->set_level(level);
  logger->flush_on(spdlog::level::info);
  logger->set_pattern(
      options.json
          ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","program":"%n","level":"%l","message":"%v"})"
          : "%Y-%m-%d %H:%M:%S.%e %^%-5l%$ %v");
  spdlog::set_default_logger(std::move(logger));
  return {};
}

}  // namespace chorus
