#include "common/base/log.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus {
namespace {

using testing::HasSubstr;

class Log : public testing::Test {
 protected:
  ~Log() override {
    spdlog::set_default_logger(before_);
    spdlog::drop("test");
  }

  std::string written() const { return *read_text(file(), 1U << 20U); }
  std::string file() const { return (folder_.path() / "log").string(); }

  test::TempFolder folder_;

 private:
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

TEST_F(Log, RefusesAnUnknownLevel) {
  for (const char* level : {"", "verbose", "INFO", "infos", "7"}) {
    const auto started = start_logging({.level = level, .file = file()}, "test");
    ASSERT_FALSE(started) << level;
    EXPECT_EQ(started.error().code, errc::invalid_argument) << level;
    EXPECT_THAT(started.error().detail, HasSubstr("'" + std::string(level) + "' is unknown"));
    EXPECT_THAT(started.error().detail, HasSubstr("trace, debug, info, warn, error or off"));
  }
}

TEST_F(Log, TakesEveryLevelItNames) {
  for (const char* level : {"trace", "debug", "info", "warn", "error", "off"}) {
    EXPECT_TRUE(start_logging({.level = level, .file = file()}, "test")) << level;
    spdlog::drop("test");
  }
}

TEST_F(Log, SaysWhichFileCannotBeOpened) {
  const auto started = start_logging({.file = folder_.path().string()}, "test");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, errc::io_failed);
  EXPECT_THAT(started.error().detail, HasSubstr(folder_.path().string()));
}

TEST_F(Log, WritesOnlyFromItsLevelUp) {
  ASSERT_TRUE(start_logging({.level = "warn", .file = file()}, "test"));
  spdlog::info("quiet");
  spdlog::warn("loud {}", 7);
  spdlog::default_logger()->flush();
  EXPECT_THAT(written(), HasSubstr("warn"));
  EXPECT_THAT(written(), HasSubstr("loud 7\n"));
  EXPECT_THAT(written(), testing::Not(HasSubstr("quiet")));
}

TEST_F(Log, WritesOneJsonObjectPerLineWhateverTheMessage) {
  ASSERT_TRUE(start_logging({.file = file(), .json = true}, "test"));
  const std::vector<std::string> messages = {
      "plain", R"(a "quoted" C:\path)", "two\nlines\tand\x01more", "device-7: \xC3\xBC", "%v %n"};
  for (const std::string& message : messages) spdlog::info("{}", message);
  spdlog::info("{}", "no UTF-8: \xFF");
  spdlog::default_logger()->flush();
  const std::string text = written();
  std::vector<nlohmann::json> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    const auto line = nlohmann::json::parse(text.substr(begin, end - begin), nullptr, false);
    ASSERT_TRUE(line.is_object()) << text.substr(begin, end - begin);
    lines.push_back(line);
    begin = end + 1;
  }
  ASSERT_EQ(lines.size(), messages.size() + 1);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    EXPECT_EQ(lines[i].at("message"), messages[i]);
    EXPECT_EQ(lines[i].at("program"), "test");
    EXPECT_EQ(lines[i].at("level"), "info");
    EXPECT_THAT(lines[i].at("time").get<std::string>(),
                testing::MatchesRegex("[0-9-]{10}T[0-9:]{8}[.][0-9]{3}[+-][0-9]{2}:[0-9]{2}"));
  }
}

}  // namespace
}  // namespace chorus
