// Text, character by character.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "chorus/client/dataset.hpp"
#include "chorus/export.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// Line feed and the printable characters of ASCII, space to tilde: 96 in this order.
CHORUS_EXPORT std::string printable_characters();

struct TextOptions {
  std::filesystem::path path;  ///< plain or gzip; CR LF counts as LF
  /// A line that ends with a colon, first in the file or after an empty line, names who speaks up
  /// to the next empty line. Speeches of one role are one text, joined by line feeds; the line with
  /// the name is no part of it. The keys of the result are the names.
  bool by_role = false;
  std::uint32_t window = 80;  ///< characters of one example, 1 or more
  std::uint32_t stride = 1;   ///< characters from one example to the next, 1 or more
  /// Each example has targets f32[window], the id after each of its characters, for models that
  /// give scores at every step: all characters are learned from, not the last one only.
  bool sequence = false;
  std::string vocabulary = printable_characters();  ///< bytes; the id of each is its place
  std::optional<char> replacement;  ///< of the vocabulary; stands for bytes that are not in it.
                                    ///< Without it they are errors
  std::uint64_t bytes_max = kDatasetBytesDefault;  ///< of text in memory, one per character
};

/// Next-character prediction: features f32[window] are ids, for an embedding layer; the label is
/// the id of the character that follows; classes is the size of the vocabulary. Windows are cut
/// when they are read: memory does not depend on `window` and `stride`. They do not reach over the
/// end of a role's text; texts of `window` characters or fewer give none. Roles come in the order
/// in which they first speak.
/// @errors not_found, io_failed; invalid_argument: an option; malformed_file: a character that is
///         not in the vocabulary (naming line and column), no role where one must be named, no
///         example
CHORUS_EXPORT Result<KeyedDataset> load_text(const TextOptions& options);

}  // namespace chorus::client
