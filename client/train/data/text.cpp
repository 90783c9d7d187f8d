// Text as examples of next-character prediction.
#include "chorus/client/text.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "client/train/data/gzip_file.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

constexpr std::size_t kBufferBytes = 256U << 10U;
constexpr int kUnknown = -1;

using Ids = std::array<int, 256>;

Result<Ids> ids_of(const TextOptions& options) {
  Ids ids{};
  ids.fill(kUnknown);
  const std::string& vocabulary = options.vocabulary;
  if (vocabulary.size() < 2) {
    return fail(
        errc::invalid_argument,
        fmt::format("the vocabulary has {} characters; expected 2 to 256", vocabulary.size()));
  }
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto byte = static_cast<unsigned char>(vocabulary[i]);
    if (std::exchange(ids[byte], static_cast<int>(i)) == kUnknown) continue;
    return fail(errc::invalid_argument,
                fmt::format("the vocabulary holds byte 0x{:02x} twice", byte));
  }
  if (!options.replacement.has_value()) return ids;
  const int replacement = ids[static_cast<unsigned char>(*options.replacement)];
  if (replacement == kUnknown) {
    return fail(errc::invalid_argument,
                fmt::format("the replacement, byte 0x{:02x}, is not in the vocabulary",
                            static_cast<unsigned char>(*options.replacement)));
  }
  std::replace(ids.begin(), ids.end(), kUnknown, replacement);
  return ids;
}

// The whole file, CR LF as LF.
Result<std::string> read_whole(const TextOptions& options) {
  CHORUS_TRY(GzipFile file, GzipFile::open(options.path));
  std::string text;
  std::vector<std::byte> buffer(kBufferBytes);
  for (;;) {
    CHORUS_TRY(const std::size_t got, file.read(buffer));
    text.append(reinterpret_cast<const char*>(buffer.data()), got);
    if (text.size() > options.bytes_max) {
      return fail(errc::malformed_file,
                  fmt::format("{}: it has more than {} bytes", file.name(), options.bytes_max));
    }
    if (got < buffer.size()) break;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    text[kept++] = text[i];
  }
  text.resize(kept);
  return text;
}

struct Role {
  std::string name;
  std::vector<float> ids;
};

// Turns lines into the texts of roles.
class Roles {
 public:
  Roles(const TextOptions& options, const Ids& ids) : options_(options), ids_(ids) {}

  Result<std::vector<Role>> read(std::string_view text) {
    if (!options_.by_role) {
      roles_.emplace_back();
      current_ = 0;
    }
    bool fresh = true;  // a role may be named here
    while (!text.empty()) {
      ++line_;
      const auto end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      const bool ended = end < text.size();
      text.remove_prefix(std::min(end + 1, text.size()));
      if (!options_.by_role) {
        CHORUS_OK(add(line));
        if (ended) CHORUS_OK(add("\n"));
      } else if (line.empty()) {
        fresh = true;
      } else if (fresh) {
        CHORUS_OK(begin(line));
        fresh = false;
      } else {
        if (!roles_[current_].ids.empty()) CHORUS_OK(add("\n"));
        CHORUS_OK(add(line));
      }
    }
    return std::move(roles_);
  }

 private:
  Failure malformed(const std::string& detail) const {
    return fail(errc::malformed_file,
                fmt::format("'{}' line {}{}", options_.path.string(), line_, detail));
  }

  Result<void> begin(std::string_view line) {
    if (line.size() < 2 || line.back() != ':') {
      constexpr std::size_t kShown = 40;
      return malformed(
          fmt::format(": '{}' names no role; expected a name and a colon after an "
                      "empty line",
                      line.substr(0, kShown)));
    }
    line.remove_suffix(1);
    const auto [found, added] = numbers_.emplace(line, roles_.size());
    if (added) roles_.push_back({std::string(line), {}});
    current_ = found->second;
    return {};
  }

  Result<void> add(std::string_view characters) {
    for (std::size_t i = 0; i < characters.size(); ++i) {
      const auto byte = static_cast<unsigned char>(characters[i]);
      if (ids_[byte] == kUnknown) {
        return malformed(
            fmt::format(", column {}: byte 0x{:02x} is not in the vocabulary; add it, "
                        "or name a replacement",
                        i + 1,
                        byte));
      }
      roles_[current_].ids.push_back(static_cast<float>(ids_[byte]));
    }
    return {};
  }

  const TextOptions& options_;
  const Ids& ids_;
  std::vector<Role> roles_;
  std::map<std::string, std::size_t, std::less<>> numbers_;
  std::size_t current_ = 0;
  std::uint64_t line_ = 0;
};

// Examples of one text.
std::uint64_t windows_of(const Role& role, const TextOptions& options) {
  const std::uint64_t length = role.ids.size();
  return length <= options.window ? 0 : 1 + (length - options.window - 1) / options.stride;
}

}  // namespace

std::string printable_characters() {
  std::string all = "\n";
  for (char c = ' '; c <= '~'; ++c) all += c;
  return all;
}

Result<KeyedDataset> load_text(const TextOptions& options) {
  if (options.window == 0 || options.stride == 0) {
    return fail(
        errc::invalid_argument,
        fmt::format(
            "window is {} and stride {}; expected 1 or more", options.window, options.stride));
  }
  CHORUS_TRY(const Ids ids, ids_of(options));
  CHORUS_TRY(const std::string text, read_whole(options));
  CHORUS_TRY(const auto roles, Roles(options, ids).read(text));
  std::uint64_t examples = 0;
  for (const Role& role : roles) examples += windows_of(role, options);
  const std::string file = "'" + options.path.string() + "'";
  if (examples == 0) {
    return fail(errc::malformed_file,
                fmt::format("{}: no {} has more than {} characters, a window and the next one",
                            file,
                            options.by_role ? "role" : "text",
                            options.window));
  }
  const std::uint64_t numbers = std::uint64_t{options.window} * (options.sequence ? 2 : 1) + 1;
  if (examples > options.bytes_max / sizeof(float) / numbers) {
    return fail(errc::malformed_file,
                fmt::format("{}: {} windows of {} characters need more than {} bytes of memory; "
                            "raise stride or bytes_max",
                            file,
                            examples,
                            options.window,
                            options.bytes_max));
  }
  KeyedDataset data;
  Dataset::Parts parts;
  parts.feature_shape = {options.window};
  parts.classes = static_cast<std::uint32_t>(options.vocabulary.size());
  parts.features.reserve(examples * options.window);
  parts.target_count = options.sequence ? options.window : 0;
  parts.targets.reserve(examples * parts.target_count);
  for (const Role& role : roles) {
    for (std::uint64_t i = 0; i < windows_of(role, options); ++i) {
      const auto first = role.ids.begin() + static_cast<std::ptrdiff_t>(i * options.stride);
      const auto next = first + options.window;
      parts.features.insert(parts.features.end(), first, next);
      parts.labels.push_back(static_cast<std::uint32_t>(*next));
      if (options.sequence) parts.targets.insert(parts.targets.end(), first + 1, next + 1);
      if (options.by_role) data.keys.push_back(role.name);
    }
  }
  CHORUS_TRY(data.dataset, Dataset::create(std::move(parts)));
  return data;
}

}  // namespace chorus::client
