// [compress] of job files.
#pragma once

#include <optional>

#include "chorus/codec.hpp"
#include "common/config/toml_reader.hpp"

namespace chorus::config {

/// Reads codec and [[tensors]] of a table. Problems are noted in the table's file: a parameter that
/// the codec does not take is one. @returns whether they are good
bool read_codecs(const TomlTable& table, Compression& into);

/// Reads how updates travel: nothing when there is no such table, or one that only says how
/// versions do ([compress.down]).
void read_compress(const TomlTable& table, std::optional<Compression>& into);

}  // namespace chorus::config
