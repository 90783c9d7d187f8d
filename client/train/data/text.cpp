// Text as examples of next-character prediction.
#include "chorus/client/text.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <memory>
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
  std::vector<std::uint8_t> ids;
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
      roles_[current_].ids.push_back(static_cast<std::uint8_t>(ids_[byte]));
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

// Windows are cut from the texts when they are read: a byte of memory per character, however long
// the window.
class TextSource final : public ExampleSource {
 public:
  TextSource(const TextOptions& options, std::vector<Role> roles)
      : format_{{options.window},
                static_cast<std::uint32_t>(options.vocabulary.size()),
                options.sequence ? options.window : 0,
                "'" + options.path.string() + "'"},
        window_(options.window),
        stride_(options.stride),
        roles_(std::move(roles)) {
    for (const Role& role : roles_) {
      const std::uint64_t length = role.ids.size();
      const std::uint64_t windows = length <= window_ ? 0 : 1 + (length - window_ - 1) / stride_;
      ends_.push_back((ends_.empty() ? 0 : ends_.back()) + windows);
    }
  }

  ExampleFormat format() const override { return format_; }
  std::size_t size() const override { return ends_.empty() ? 0 : ends_.back(); }

  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    for (std::size_t i = 0; i < examples.size(); ++i) {
      const std::size_t role = role_of(examples[i]);
      const std::uint64_t before = role == 0 ? 0 : ends_[role - 1];
      const std::uint8_t* const first = roles_[role].ids.data() + (examples[i] - before) * stride_;
      if (!into.features.empty()) std::copy_n(first, window_, &into.features[i * window_]);
      if (!into.labels.empty()) into.labels[i] = first[window_];
      if (!into.targets.empty()) std::copy_n(first + 1, window_, &into.targets[i * window_]);
    }
    return {};
  }

  void name_roles(ExampleKeys& keys) const {
    std::uint64_t before = 0;
    for (std::size_t role = 0; role < roles_.size(); ++role) {
      keys.add(roles_[role].name, ends_[role] - before);
      before = ends_[role];
    }
  }

 private:
  std::size_t role_of(std::size_t example) const {
    return static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), example) -
                                    ends_.begin());
  }

  ExampleFormat format_;
  std::size_t window_;
  std::size_t stride_;
  std::vector<Role> roles_;
  std::vector<std::uint64_t> ends_;  // windows up to the end of each role
};

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
  CHORUS_TRY(auto roles, Roles(options, ids).read(text));
  auto source = std::make_shared<const TextSource>(options, std::move(roles));
  if (source->size() == 0) {
    return fail(errc::malformed_file,
                fmt::format("'{}': no {} has more than {} characters, a window and the next one",
                            options.path.string(),
                            options.by_role ? "role" : "text",
                            options.window));
  }
  KeyedDataset data;
  CHORUS_TRY(data.dataset, Dataset::of(source));
  if (options.by_role) source->name_roles(data.keys);
  return data;
}

}  // namespace chorus::client
