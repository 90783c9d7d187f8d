// A table in a folder of its own, for the tests of CSV files.
#pragma once

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/dataset.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/client/train/gzip.hpp"

namespace chorus::client {

class CsvTest : public testing::Test {
 protected:
  Result<CsvData> load(const std::string& text) {
    options_.path = folder_.path() / "table.csv";
    test::write_plain(options_.path, text);
    return load_csv(options_);
  }

  void refused(const std::string& text, const std::string& why, errc code = errc::malformed_file) {
    const auto data = load(text);
    ASSERT_FALSE(data) << why;
    EXPECT_EQ(data.error().code, code) << data.error().detail;
    EXPECT_THAT(data.error().detail, testing::HasSubstr(why));
  }

  const test::TempFolder folder_{};
  CsvOptions options_;
};

}  // namespace chorus::client
