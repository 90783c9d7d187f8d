#include "server/config/strategy_options.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "common/config/suggest.hpp"

namespace chorus::server {
namespace {

using config::Scalar;
using config::TomlTable;

bool bounded(const OptionSpec& spec) {
  return spec.at_most > spec.at_least;
}
bool within(const OptionSpec& spec, double value) {
  return !bounded(spec) || (value >= spec.at_least && value <= spec.at_most);
}

std::string range_text(const OptionSpec& spec, std::string_view kind) {
  return bounded(spec) ? fmt::format("{} from {} to {}", kind, spec.at_least, spec.at_most)
                       : std::string(kind);
}

std::string choices_text(const OptionSpec& spec) {
  if (spec.choices.empty()) return "text in quotes";
  std::string text = "one of ";
  for (const auto choice : spec.choices) {
    text += fmt::format("{}\"{}\"", text == "one of " ? "" : ", ", choice);
  }
  return text;
}

// Either the value in the option's kind, or nothing and what was expected.
struct Converted {
  std::optional<OptionValue> value;
  std::string expected;
};

Converted convert_bool(const Scalar& scalar) {
  if (const auto* flag = std::get_if<bool>(&scalar.value)) return {*flag, ""};
  return {std::nullopt, "true or false"};
}

Converted convert_whole(const Scalar& scalar, const OptionSpec& spec) {
  const auto* number = std::get_if<std::int64_t>(&scalar.value);
  if (number != nullptr && within(spec, static_cast<double>(*number))) return {*number, ""};
  return {std::nullopt, range_text(spec, "a whole number")};
}

Converted convert_number(const Scalar& scalar, const OptionSpec& spec) {
  std::optional<double> number;
  if (const auto* real = std::get_if<double>(&scalar.value)) number = *real;
  if (const auto* whole = std::get_if<std::int64_t>(&scalar.value)) {
    number = static_cast<double>(*whole);
  }
  if (number && std::isfinite(*number) && within(spec, *number)) return {*number, ""};
  return {std::nullopt, range_text(spec, "a number")};
}

Converted convert_text(const Scalar& scalar, const OptionSpec& spec) {
  const auto* text = std::get_if<std::string>(&scalar.value);
  if (text == nullptr) return {std::nullopt, choices_text(spec)};
  const auto& choices = spec.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), *text) != choices.end()) {
    return {*text, ""};
  }
  return {std::nullopt, choices_text(spec) + config::did_you_mean(*text, choices)};
}

Converted convert(const Scalar& scalar, const OptionSpec& spec) {
  if (std::holds_alternative<bool>(spec.fallback)) return convert_bool(scalar);
  if (std::holds_alternative<std::int64_t>(spec.fallback)) return convert_whole(scalar, spec);
  if (std::holds_alternative<double>(spec.fallback)) return convert_number(scalar, spec);
  return convert_text(scalar, spec);
}

void read_options(const TomlTable& table, const StrategyEntry& entry, StrategyOptions& into) {
  std::vector<std::string_view> known;
  for (const auto& spec : entry.options) {
    known.push_back(spec.name);
    into.emplace(std::string(spec.name), spec.fallback);
  }
  for (const auto& scalar : table.rest()) {
    const auto spec = std::find_if(entry.options.begin(),
                                   entry.options.end(),
                                   [&](const OptionSpec& s) { return s.name == scalar.key; });
    if (spec == entry.options.end()) {
      table.unknown(scalar.key, known);
      continue;
    }
    auto converted = convert(scalar, *spec);
    if (converted.value) {
      into[scalar.key] = std::move(*converted.value);
    } else {
      table.problem(scalar.key, "expected " + converted.expected);
    }
  }
}

}  // namespace

const StrategyEntry* read_strategy(const TomlTable& table,
                                   std::span<const StrategyEntry> all,
                                   JobConfig& into) {
  std::vector<std::string_view> names;
  for (const auto& entry : all) names.push_back(entry.name);
  std::size_t index = 0;
  if (table.word("name", index, names)) {
    into.strategy = names[index];
  } else if (table.has("name")) {
    table.rest();  // options of a strategy that is not known: one problem is enough
    return nullptr;
  }
  const auto entry = std::find_if(
      all.begin(), all.end(), [&](const StrategyEntry& e) { return e.name == into.strategy; });
  if (entry == all.end()) return nullptr;
  read_options(table, *entry, into.strategy_options);
  return &*entry;
}

}  // namespace chorus::server
