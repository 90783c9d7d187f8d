// [compress] of job files.
#pragma once

#include <optional>

#include "chorus/codec.hpp"
#include "common/config/toml_reader.hpp"

namespace chorus::config {

/// Reads how updates travel: nothing when there is no such table. Problems are noted in the table's
/// file: a parameter that the codec does not take is one.
void read_compress(const TomlTable& table, std::optional<Compression>& into);

}  // namespace chorus::config
