// The only source that knows toml++.
#include "common/config/toml_reader.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <set>
#include <sstream>
#include <toml++/toml.h>

#include "common/base/files.hpp"
#include "common/base/try.hpp"
#include "common/config/suggest.hpp"
#include "common/config/units.hpp"
#include "common/config/value_rules.hpp"

namespace chorus::config {
namespace {

constexpr std::size_t kProblemsMax = 20;

struct Problem {
  toml::source_position at;
  std::string text;
};

struct Visited {
  std::string name;  ///< "pace", "" for the root
  std::set<std::string, std::less<>> asked;
};

// A value as the file could have it, short enough for one line.
std::string shown(const toml::node& node) {
  constexpr std::size_t kShownBytesMax = 60;
  if (node.is_table()) return "a table";
  if (node.is_array_of_tables()) return "an array of tables";
  std::ostringstream out;
  if (node.is_string()) {
    out << '"' << node.as_string()->get() << '"';
  } else {
    node.visit([&](const auto& value) { out << value; });
  }
  auto text = out.str();
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (text.size() > kShownBytesMax) text = text.substr(0, kShownBytesMax) + "…";
  return text;
}

bool whole_within(const toml::node& node, const WholeRule& rule, std::uint64_t& into) {
  if (!node.is_integer()) return false;
  const auto value = node.as_integer()->get();
  if (value < 0) return false;
  into = static_cast<std::uint64_t>(value);
  return into >= rule.min && into <= rule.max;
}

std::string quoted_list(std::span<const std::string_view> names) {
  std::string text;
  for (const auto name : names) {
    if (!text.empty()) text += ", ";
    text += fmt::format("\"{}\"", name);
  }
  return text;
}

bool text_accepted(const toml::node& node, const TextRule& rule) {
  if (!node.is_string()) return false;
  const auto& text = node.as_string()->get();
  return text.size() <= rule.bytes_max && (rule.accepts == nullptr || rule.accepts(text));
}

std::string text_expected(const toml::node& node, const TextRule& rule) {
  if (node.is_string() && node.as_string()->get().size() > rule.bytes_max) {
    return fmt::format("{} of at most {} bytes", rule.expected, rule.bytes_max);
  }
  return std::string(rule.expected);
}

}  // namespace

struct detail::TomlState {
  std::string file;
  std::filesystem::path folder;
  toml::table root;
  std::map<const toml::table*, Visited> visited;
  std::map<std::string, std::set<std::string, std::less<>>> absent;  ///< asked of absent tables
  std::vector<Problem> problems;

  void note(toml::source_position at, std::string text) {
    problems.push_back({at, std::move(text)});
  }
};

namespace {

const toml::table* as_table(const void* table) noexcept {
  return static_cast<const toml::table*>(table);
}
const toml::node* as_node(const void* node) noexcept {
  return static_cast<const toml::node*>(node);
}

toml::source_position key_position(const toml::table& table, std::string_view key) {
  const auto found = table.find(key);
  return found == table.end() ? table.source().begin : found->first.source().begin;
}

void note_value(detail::TomlState& state,
                const std::string& name,
                const toml::node& node,
                std::string_view expected) {
  state.note(node.source().begin, fmt::format("{} = {}: expected {}", name, shown(node), expected));
}

// The table, other than `here`, in which a key is known; empty: none.
std::string home_of(const detail::TomlState& state, const void* here, std::string_view key) {
  for (const auto& [table, visited] : state.visited) {
    if (table != here && !visited.name.empty() && visited.asked.contains(key)) return visited.name;
  }
  for (const auto& [name, asked] : state.absent) {
    if (asked.contains(key)) return name;
  }
  return "";
}

// A key in the wrong table is as common as a mistyped one: say where it belongs.
std::string unknown_text(const detail::TomlState& state,
                         const void* here,
                         std::string_view key,
                         std::span<const std::string_view> known) {
  if (const auto hint = did_you_mean(key, known); !hint.empty()) return "unknown key" + hint;
  const auto home = home_of(state, here, key);
  if (!home.empty()) return fmt::format("unknown key here; '{}' belongs in [{}]", key, home);
  std::string names;
  for (const auto word : known) names += (names.empty() ? "" : ", ") + std::string(word);
  return names.empty() ? "unknown key" : "unknown key; known here: " + names;
}

// Elements of a list: `accepts(element, value)` reads one; `says(element)` is what was expected.
template <class T, class Accepts, class Says>
bool read_list(detail::TomlState& state,
               const std::string& name,
               const toml::array& list,
               std::vector<T>& into,
               const Accepts& accepts,
               const Says& says) {
  std::vector<T> values;
  for (const auto& element : list) {
    T value{};
    if (!accepts(element, value)) {
      note_value(state, fmt::format("{}[{}]", name, values.size()), element, says(element));
      return false;
    }
    values.push_back(std::move(value));
  }
  into = std::move(values);
  return true;
}

}  // namespace

// ---- TomlTable ----

const void* TomlTable::find(std::string_view key) const {
  if (table_ == nullptr) {
    state_->absent[name_].emplace(key);
    return nullptr;
  }
  state_->visited[as_table(table_)].asked.emplace(key);
  return as_table(table_)->get(key);
}

std::string TomlTable::name_of(std::string_view key) const {
  return name_.empty() ? std::string(key) : name_ + "." + std::string(key);
}

bool TomlTable::has(std::string_view key) const {
  return find(key) != nullptr;
}

bool TomlTable::require(std::string_view key, std::string_view expected) const {
  if (has(key)) return true;
  const auto at =
      table_ == nullptr ? toml::source_position{1, 1} : as_table(table_)->source().begin;
  state_->note(at.line == 0 ? toml::source_position{1, 1} : at,
               fmt::format("{} is missing: expected {}", name_of(key), expected));
  return false;
}

bool TomlTable::boolean(std::string_view key, bool& into) const {
  const auto* node = as_node(find(key));
  if (node == nullptr) return false;
  if (!node->is_boolean()) {
    note_value(*state_, name_of(key), *node, "true or false");
    return false;
  }
  into = node->as_boolean()->get();
  return true;
}

bool TomlTable::text(std::string_view key, std::string& into, const TextRule& rule) const {
  const auto* node = as_node(find(key));
  if (node == nullptr) return false;
  if (!text_accepted(*node, rule)) {
    note_value(*state_, name_of(key), *node, text_expected(*node, rule));
    return false;
  }
  into = node->as_string()->get();
  return true;
}

bool TomlTable::number(std::string_view key, double& into, const NumberRule& rule) const {
  const auto* node = as_node(find(key));
  if (node == nullptr) return false;
  const auto value = node->is_number() ? node->value<double>() : std::nullopt;
  if (!value || !within(*value, rule)) {
    note_value(*state_, name_of(key), *node, range_text(rule));
    return false;
  }
  into = *value;
  return true;
}

bool TomlTable::duration(std::string_view key, Duration& into, const DurationRule& rule) const {
  const auto* node = as_node(find(key));
  if (node == nullptr) return false;
  const auto value = node->is_string() ? parse_duration(node->as_string()->get()) : std::nullopt;
  if (!value || *value < rule.min || *value > rule.max) {
    const auto range =
        value ? fmt::format("from {} to {}", format_duration(rule.min), format_duration(rule.max))
              : std::string("such as \"30s\", \"5m\" or \"250ms\"");
    note_value(*state_, name_of(key), *node, "a duration " + range);
    return false;
  }
  into = *value;
  return true;
}

bool TomlTable::size(std::string_view key, std::uint64_t& into, const SizeRule& rule) const {
  const auto* node = as_node(find(key));
  if (node == nullptr) return false;
  std::optional<std::uint64_t> value;
  if (node->is_string()) value = parse_size(node->as_string()->get());
  if (node->is_integer() && node->as_integer()->get() >= 0) {
    value = static_cast<std::uint64_t>(node->as_integer()->get());
  }
  if (!value || *value < rule.min || *value > rule.max) {
    const auto range =
        value ? fmt::format("from {} to {}", format_size(rule.min), format_size(rule.max))
              : std::string("such as \"64MiB\" or \"4GiB\"");
    note_value(*state_, name_of(key), *node, "a size " + range);
    return false;
  }
  into = *value;
  return true;
}

bool TomlTable::path(std::string_view key, std::filesystem::path& into) const {
  std::string written;
  const TextRule rule{
      4096, [](std::string_view text) { return !text.empty(); }, "a path in quotes"};
  if (!text(key, written, rule)) return false;
  into = std::filesystem::path(written);
  if (into.is_relative() && !state_->folder.empty()) {
    into = (state_->folder / into).lexically_normal();
  }
  return true;
}

// The list under `key`, if it is one.
const void* TomlTable::list_of(std::string_view key, std::string_view expected) const {
  const auto* node = as_node(find(key));
  if (node == nullptr || node->is_array()) return node;
  note_value(*state_, name_of(key), *node, std::string(expected));
  return nullptr;
}

bool TomlTable::texts(std::string_view key,
                      std::vector<std::string>& into,
                      const TextRule& rule) const {
  const auto* list = as_node(list_of(key, fmt::format("a list in brackets of {}", rule.expected)));
  const auto accepts = [&rule](const toml::node& element, std::string& value) {
    if (!text_accepted(element, rule)) return false;
    value = element.as_string()->get();
    return true;
  };
  const auto says = [&rule](const toml::node& element) { return text_expected(element, rule); };
  return list != nullptr &&
         read_list(*state_, name_of(key), *list->as_array(), into, accepts, says);
}

bool TomlTable::wholes(std::string_view key,
                       std::vector<std::uint64_t>& into,
                       WholeRule rule) const {
  const auto* list = as_node(list_of(key, "whole numbers in brackets such as [1, 8, 8]"));
  const auto accepts = [&rule](const toml::node& element, std::uint64_t& value) {
    return whole_within(element, rule, value);
  };
  const auto says = [&rule](const toml::node&) { return range_text(rule); };
  return list != nullptr &&
         read_list(*state_, name_of(key), *list->as_array(), into, accepts, says);
}

bool TomlTable::numbers(std::string_view key,
                        std::vector<double>& into,
                        const NumberRule& rule) const {
  const auto* list = as_node(list_of(key, "numbers in brackets such as [1.0, 2.5]"));
  const auto accepts = [&rule](const toml::node& element, double& value) {
    value = element.value<double>().value_or(0.0);
    return element.is_number() && within(value, rule);
  };
  const auto says = [&rule](const toml::node&) { return range_text(rule); };
  return list != nullptr &&
         read_list(*state_, name_of(key), *list->as_array(), into, accepts, says);
}

bool TomlTable::numbers(std::string_view key,
                        std::vector<float>& into,
                        const NumberRule& rule) const {
  std::vector<double> all;
  const bool found = numbers(key, all, rule);
  if (found) into.assign(all.begin(), all.end());
  return found;
}

bool TomlTable::read_whole(std::string_view key, std::uint64_t& into, WholeRule rule) const {
  const auto* node = as_node(find(key));
  if (node == nullptr) return false;
  std::uint64_t value = 0;
  if (!whole_within(*node, rule, value)) {
    note_value(*state_, name_of(key), *node, range_text(rule));
    return false;
  }
  into = value;
  return true;
}

bool TomlTable::word(std::string_view key,
                     std::size_t& into,
                     std::span<const std::string_view> names) const {
  const auto* node = as_node(find(key));
  if (node == nullptr) return false;
  const auto written = node->is_string() ? std::string_view(node->as_string()->get()) : "";
  const auto found = std::find(names.begin(), names.end(), written);
  if (!node->is_string() || found == names.end()) {
    note_value(
        *state_,
        name_of(key),
        *node,
        (names.size() == 1 ? "" : "one of ") + quoted_list(names) + did_you_mean(written, names));
    return false;
  }
  into = static_cast<std::size_t>(found - names.begin());
  return true;
}

TomlTable TomlTable::table(std::string_view key) const {
  const auto* node = as_node(find(key));
  const auto name = name_of(key);
  if (node != nullptr && !node->is_table()) {
    note_value(*state_, name, *node, fmt::format("a table, written [{}]", name));
    node = nullptr;
  }
  if (node != nullptr) state_->visited[node->as_table()].name = name;
  return {state_, node == nullptr ? nullptr : node->as_table(), name};
}

std::vector<TomlTable> TomlTable::tables(std::string_view key) const {
  const auto* node = as_node(find(key));
  std::vector<TomlTable> all;
  if (node == nullptr) return all;
  if (!node->is_array_of_tables()) {
    note_value(
        *state_, name_of(key), *node, fmt::format("tables, each written [[{}]]", name_of(key)));
    return all;
  }
  for (const auto& element : *node->as_array()) {
    auto name = fmt::format("{}[{}]", name_of(key), all.size());
    state_->visited[element.as_table()].name = name_of(key);
    all.push_back({state_, element.as_table(), std::move(name)});
  }
  return all;
}

std::vector<Scalar> TomlTable::rest() const {
  std::vector<Scalar> all;
  if (table_ == nullptr) return all;
  auto& asked = state_->visited[as_table(table_)].asked;
  for (const auto& [key, node] : *as_table(table_)) {
    if (!asked.emplace(key.str()).second) continue;
    const std::string name(key.str());
    if (node.is_boolean()) {
      all.push_back({name, node.as_boolean()->get()});
    } else if (node.is_integer()) {
      all.push_back({name, node.as_integer()->get()});
    } else if (node.is_floating_point()) {
      all.push_back({name, node.as_floating_point()->get()});
    } else if (node.is_string()) {
      all.push_back({name, node.as_string()->get()});
    } else {
      note_value(*state_, name_of(name), node, "a single value");
    }
  }
  return all;
}

void TomlTable::problem(std::string_view key, std::string_view why) const {
  const auto* node = table_ == nullptr ? nullptr : as_table(table_)->get(key);
  if (node == nullptr) {
    auto at = table_ == nullptr ? toml::source_position{1, 1} : as_table(table_)->source().begin;
    if (at.line == 0) at = {1, 1};
    state_->note(at, fmt::format("{}: {}", name_of(key), why));
    return;
  }
  state_->note(node->source().begin, fmt::format("{} = {}: {}", name_of(key), shown(*node), why));
}

void TomlTable::unknown(std::string_view key, std::span<const std::string_view> known) const {
  const auto at =
      table_ == nullptr ? toml::source_position{1, 1} : key_position(*as_table(table_), key);
  state_->note(at, fmt::format("{}: {}", name_of(key), unknown_text(*state_, table_, key, known)));
}

// ---- TomlReader ----

TomlReader::TomlReader(std::unique_ptr<detail::TomlState> state) : state_(std::move(state)) {}
TomlReader::TomlReader(TomlReader&&) noexcept = default;
TomlReader& TomlReader::operator=(TomlReader&&) noexcept = default;
TomlReader::~TomlReader() = default;

Result<TomlReader> TomlReader::parse(std::string_view text,
                                     std::string file_name,
                                     std::filesystem::path folder) {
  auto state = std::make_unique<detail::TomlState>();
  try {
    state->root = toml::parse(text, file_name);
  } catch (const toml::parse_error& error) {
    const auto at = error.source().begin;
    return fail(
        errc::malformed_file,
        fmt::format(
            "{}:{}:{}: not valid TOML: {}", file_name, at.line, at.column, error.description()));
  }
  state->file = std::move(file_name);
  state->folder = std::move(folder);
  return TomlReader(std::move(state));
}

Result<TomlReader> TomlReader::load(const std::filesystem::path& path, std::size_t bytes_max) {
  CHORUS_TRY(const auto text, read_text(path, bytes_max));
  std::error_code ignored;
  const auto absolute = std::filesystem::absolute(path, ignored);
  return parse(text, path.string(), absolute.parent_path());
}

TomlTable TomlReader::root() {
  state_->visited[&state_->root].name = "";
  return {state_.get(), &state_->root, ""};
}

bool TomlReader::ok() const noexcept {
  return state_->problems.empty();
}

Result<void> TomlReader::finish(std::size_t bytes_max) {
  for (const auto& [table, visited] : state_->visited) {
    const std::vector<std::string_view> known(visited.asked.begin(), visited.asked.end());
    for (const auto& [key, node] : *table) {
      if (visited.asked.contains(key.str())) continue;
      const auto name = visited.name.empty() ? std::string(key.str())
                                             : visited.name + "." + std::string(key.str());
      state_->note(key.source().begin,
                   fmt::format("{}: {}", name, unknown_text(*state_, table, key.str(), known)));
    }
  }
  auto& problems = state_->problems;
  if (problems.empty()) return {};
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.at.line, a.at.column) < std::pair(b.at.line, b.at.column);
  });
  const auto ending = [&problems](std::size_t shown) {
    const std::size_t left = problems.size() - shown;
    return left == 0 ? "" : fmt::format("\n… and {} more", left);
  };
  std::string all;
  std::size_t shown = 0;
  while (shown < problems.size() && shown < kProblemsMax) {
    const auto& [at, text] = problems[shown];
    const auto line = fmt::format(
        "{}{}:{}:{}: {}", shown == 0 ? "" : "\n", state_->file, at.line, at.column, text);
    const bool fits = all.size() + line.size() + ending(shown + 1).size() <= bytes_max;
    if (!fits && shown > 0) break;
    all += line;
    ++shown;
  }
  return fail(errc::malformed_file, all + ending(shown));
}

}  // namespace chorus::config
