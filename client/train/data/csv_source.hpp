// Tables that stay in their file.
#pragma once

#include "chorus/client/dataset.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// load_csv() with CsvOptions::stream. @pre the options were checked
Result<CsvData> stream_csv(const CsvOptions& options);

}  // namespace chorus::client
