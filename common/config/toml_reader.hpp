// Reads configuration files: typed, with defaults, and with errors that name file, line and column,
// key, value and what was expected. Unknown keys are errors. All problems of a file are reported at
// once.
//
//   CHORUS_TRY(auto file, TomlReader::load("agent.toml"));
//   AgentConfig config;                                     // holds the defaults
//   auto train = file.root().table("train");                // absent: every read keeps the default
//   train.whole("batch_size", config.batch_size, {1, 4096});
//   train.duration("pause", config.pause);
//   CHORUS_OK(file.finish());                               // unknown keys and all problems
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "chorus/result.hpp"
#include "common/base/types.hpp"

namespace chorus::config {

/// Inclusive bounds of a whole number.
struct WholeRule {
  std::uint64_t min = 0;
  std::uint64_t max = std::numeric_limits<std::int64_t>::max();
};
/// Bounds of a real number, inclusive unless `…_excluded`. Never NaN or infinite.
struct NumberRule {
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
  bool min_excluded = false;
  bool max_excluded = false;
};
struct DurationRule {
  Duration min{0};
  Duration max = std::chrono::hours(24 * 10'000);
};
struct SizeRule {
  std::uint64_t min = 0;
  std::uint64_t max = 1ULL << 62U;
};
struct TextRule {
  std::size_t bytes_max = 4096;
  bool (*accepts)(std::string_view) = nullptr;  ///< null: any text
  std::string_view expected = "text in quotes";
};
/// One allowed word of a choice and what it stands for.
template <class E>
struct Choice {
  std::string_view name;
  E value;
};
/// A key with a plain value, for tables whose keys someone else declares.
struct Scalar {
  std::string key;
  std::variant<bool, std::int64_t, double, std::string> value;
};

namespace detail {
struct TomlState;
}

/// A handle on one table; valid while its TomlReader lives. Reads return true when the key is there
/// and right; otherwise the target keeps its value (a wrong one is noted as a problem).
class TomlTable {
 public:
  bool present() const noexcept { return table_ != nullptr; }
  /// The key is written in the file. Counts as asking for it: it is not unknown any more.
  bool has(std::string_view key) const;
  /// Notes a problem when the key is missing. `expected`: "a name such as \"digits\"".
  bool require(std::string_view key, std::string_view expected) const;

  bool boolean(std::string_view key, bool& into) const;
  bool text(std::string_view key, std::string& into, const TextRule& rule = {}) const;
  bool number(std::string_view key, double& into, const NumberRule& rule = {}) const;
  bool duration(std::string_view key, Duration& into, const DurationRule& rule = {}) const;
  bool size(std::string_view key, std::uint64_t& into, const SizeRule& rule = {}) const;
  /// Relative paths start at the folder of the file.
  bool path(std::string_view key, std::filesystem::path& into) const;
  bool texts(std::string_view key, std::vector<std::string>& into, const TextRule& rule = {}) const;
  bool wholes(std::string_view key, std::vector<std::uint64_t>& into, WholeRule rule = {}) const;
  bool numbers(std::string_view key, std::vector<float>& into, const NumberRule& rule = {}) const;
  bool numbers(std::string_view key, std::vector<double>& into, const NumberRule& rule = {}) const;

  template <class T>
  bool whole(std::string_view key, T& into, WholeRule rule = {}) const {
    static_assert(std::is_unsigned_v<T> && !std::is_same_v<T, bool>);
    rule.max = std::min<std::uint64_t>(rule.max, std::numeric_limits<T>::max());
    std::uint64_t value = 0;
    if (!read_whole(key, value, rule)) return false;
    into = static_cast<T>(value);
    return true;
  }

  template <class E, std::size_t N>
  bool choice(std::string_view key, E& into, const Choice<E> (&choices)[N]) const {
    std::vector<std::string_view> names;
    for (const auto& choice : choices) names.push_back(choice.name);
    std::size_t index = 0;
    if (!word(key, index, names)) return false;
    into = choices[index].value;
    return true;
  }
  /// One of `names`, as its index.
  bool word(std::string_view key, std::size_t& into, std::span<const std::string_view> names) const;

  /// [key]. Absent: a handle whose reads find nothing.
  TomlTable table(std::string_view key) const;
  /// [[key]], in order.
  std::vector<TomlTable> tables(std::string_view key) const;
  /// Every key that nobody has asked for yet; they count as asked for afterwards. Tables and arrays
  /// among them are problems.
  std::vector<Scalar> rest() const;

  /// Notes that the value of `key` does not do. `why`: "expected at most 20, the cohort".
  void problem(std::string_view key, std::string_view why) const;
  /// Notes that `key` is not known, with a suggestion out of `known`.
  void unknown(std::string_view key, std::span<const std::string_view> known) const;
  /// "pace.cohort"; "model.layers[2].units".
  std::string name_of(std::string_view key) const;

 private:
  friend class TomlReader;
  TomlTable(detail::TomlState* state, const void* table, std::string name)
      : state_(state), table_(table), name_(std::move(name)) {}
  const void* find(std::string_view key) const;
  const void* list_of(std::string_view key, std::string_view expected) const;
  bool read_whole(std::string_view key, std::uint64_t& into, WholeRule rule) const;

  detail::TomlState* state_;
  const void* table_;  ///< a toml::table, or null when the file has none
  std::string name_;
};

/// A parsed file.
class TomlReader {
 public:
  /// `file_name` appears in errors; relative paths start at `folder`.
  /// @errors malformed_file, with line and column, when it is not TOML
  static Result<TomlReader> parse(std::string_view text,
                                  std::string file_name,
                                  std::filesystem::path folder = {});
  /// @errors as parse(), and of reading the file
  static Result<TomlReader> load(const std::filesystem::path& path,
                                 std::size_t bytes_max = 1U << 20U);
  TomlReader(TomlReader&&) noexcept;
  TomlReader& operator=(TomlReader&&) noexcept;
  ~TomlReader();

  TomlTable root();
  /// No problem so far: cross checks between values make sense.
  bool ok() const noexcept;
  /// Adds unknown keys, then returns the problems noted, in the order of the file, one per line:
  /// the first twenty, or fewer if more would not fit into `bytes_max`, and how many there are
  /// more.
  /// @errors malformed_file
  Result<void> finish(std::size_t bytes_max = static_cast<std::size_t>(-1));

 private:
  explicit TomlReader(std::unique_ptr<detail::TomlState> state);
  std::unique_ptr<detail::TomlState> state_;
};

}  // namespace chorus::config
