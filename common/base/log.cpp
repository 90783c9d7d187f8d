#include "common/base/log.hpp"

#include <memory>
#include <nlohmann/json.hpp>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <string>
#include <utility>

namespace chorus {
namespace {

// %* in a pattern: the message as a JSON string, quotes included. Messages hold names and details
// sent by peers, so quotes, line breaks and broken UTF-8 must not escape their field.
class JsonMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message,
              const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string text(message.payload.data(), message.payload.size());
    const std::string quoted =
        nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out.append(quoted.data(), quoted.data() + quoted.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMessage>();
  }
};

std::unique_ptr<spdlog::pattern_formatter> json_lines() {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<JsonMessage>('*');
  formatter->set_pattern(
      R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","program":"%n","level":"%l","message":%*})");
  return formatter;
}

}  // namespace

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
  if (options.json) {
    logger->set_formatter(json_lines());
  } else {
    logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%-5l%$ %v");
  }
  spdlog::set_default_logger(std::move(logger));
  return {};
}

}  // namespace chorus
