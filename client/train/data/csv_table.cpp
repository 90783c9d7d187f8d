#include "client/train/data/csv_table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool is_missing(std::string_view value) {
  return value.empty() || value == "?" || value == "NA";
}

// Values from a file may be of any length; error messages are not.
std::string excerpt(std::string_view text) {
  constexpr std::size_t kShown = 40;
  return text.size() <= kShown ? std::string(text) : std::string(text.substr(0, kShown)) + "…";
}

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string_view CsvTable::name_of(Role role) {
  constexpr std::string_view kNames[] = {
      "a feature", "the label column", "a target column", "the key column"};
  return kNames[static_cast<std::size_t>(role)];
}

Result<CsvTable> CsvTable::create(const CsvOptions& options, const CsvReader& reader) {
  CsvTable table(options);
  CHORUS_OK(table.find_roles(reader));
  CHORUS_OK(table.find_categories());
  if (!table.grows()) CHORUS_OK(table.feature_shape());
  return table;
}

Result<void> CsvTable::find_roles(const CsvReader& reader) {
  const std::size_t columns = reader.fields().size();
  roles_.assign(columns, Role::feature);
  place_.assign(columns, 0);
  if (options_.header) names_ = reader.fields();
  for (const std::string& wanted : options_.target_columns) {
    CHORUS_TRY(const std::size_t column, take_column(wanted, "target_columns", Role::target));
    place_[column] = targets_++;
  }
  has_labels_ = !options_.label_column.empty() || options_.target_columns.empty();
  if (has_labels_) {
    const std::string wanted = options_.label_column.empty() ? "-1" : options_.label_column;
    CHORUS_OK(take_column(wanted, "label_column", Role::label));
  }
  has_keys_ = !options_.key_column.empty();
  if (has_keys_) CHORUS_OK(take_column(options_.key_column, "key_column", Role::key));
  if (std::count(roles_.begin(), roles_.end(), Role::feature) == 0) {
    return reader.malformed(0, "no column is left for features");
  }
  return {};
}

// A column that is no feature.
Result<std::size_t> CsvTable::take_column(const std::string& wanted,
                                          std::string_view option,
                                          Role role) {
  CHORUS_TRY(const std::size_t column, find_column(wanted, option));
  if (roles_[column] != Role::feature) {
    return fail(errc::invalid_argument,
                fmt::format("{} '{}' is {} too", option, excerpt(wanted), name_of(roles_[column])));
  }
  roles_[column] = role;
  return column;
}

// Which columns hold words.
Result<void> CsvTable::find_categories() {
  std::size_t place = 0;
  for (std::size_t i = 0; i < roles_.size(); ++i) {
    if (roles_[i] == Role::feature) place_[i] = place++;
  }
  std::vector<std::optional<Categories>> categories(place);
  for (const CategoricalColumn& wanted : options_.categories) {
    CHORUS_TRY(const std::size_t column, find_column(wanted.column, "categories: column"));
    const bool feature = roles_[column] == Role::feature;
    if (!feature || categories[place_[column]].has_value()) {
      return fail(
          errc::invalid_argument,
          fmt::format("categories: column '{}' is {}",
                      excerpt(wanted.column),
                      feature ? "named twice" : fmt::format("{} too", name_of(roles_[column]))));
    }
    CHORUS_TRY(categories[place_[column]], Categories::create(wanted));
    categorical_.push_back(column);
  }
  columns_ = CsvColumns(std::move(categories));
  if (options_.scales.empty() || options_.scales.size() == columns_.numbers()) return {};
  return fail(errc::invalid_argument,
              fmt::format("there are {} scales for '{}'; expected {}, one per column of numbers",
                          options_.scales.size(),
                          options_.path.string(),
                          columns_.numbers()));
}

Result<std::size_t> CsvTable::find_column(const std::string& wanted,
                                          std::string_view option) const {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (trimmed(names_[i]) == wanted) return i;
  }
  const auto number = parse_whole<std::int64_t>(wanted);
  const auto count = static_cast<std::int64_t>(roles_.size());
  if (number.has_value() && *number < count && *number >= -count) {
    return static_cast<std::size_t>(*number < 0 ? *number + count : *number);
  }
  return fail(errc::invalid_argument,
              fmt::format("{} '{}' is not in '{}', which has {} columns{}; give a number ({} to "
                          "{}){}",
                          option,
                          excerpt(wanted),
                          options_.path.string(),
                          roles_.size(),
                          names_.empty() ? " without names" : "",
                          -count,
                          count - 1,
                          names_.empty() ? "" : " or a name of the first line"));
}

bool CsvTable::grows() const {
  return std::any_of(categorical_.begin(), categorical_.end(), [this](std::size_t column) {
    return columns_.categories(place_[column])->fitted();
  });
}

Result<std::vector<std::uint64_t>> CsvTable::feature_shape() const {
  const std::size_t features = columns_.width();
  if (options_.feature_shape.empty()) return std::vector<std::uint64_t>{features};
  std::uint64_t product = 1;
  for (const std::uint64_t side : options_.feature_shape) {
    if (__builtin_mul_overflow(product, side, &product)) product = 0;
  }
  if (product == features) return options_.feature_shape;
  return fail(errc::invalid_argument,
              fmt::format("'{}' has {} feature columns; the feature shape {} needs {}",
                          options_.path.string(),
                          features,
                          fmt::join(options_.feature_shape, "x"),
                          product));
}

Result<void> CsvTable::check_fit_rows(std::size_t examples) const {
  for (const std::uint32_t row : options_.fit_rows) {
    if (row < examples) continue;
    return fail(
        errc::invalid_argument,
        fmt::format(
            "fit_rows names example {}; '{}' has {}", row, options_.path.string(), examples));
  }
  return {};
}

std::vector<CategoricalColumn> CsvTable::categories() const {
  std::vector<CategoricalColumn> all;
  for (const std::size_t column : categorical_) {
    all.push_back(columns_.categories(place_[column])->column());
  }
  return all;
}

Result<void> CsvTable::check_columns(const CsvReader& reader) const {
  if (reader.fields().size() == roles_.size()) return {};
  return reader.malformed(
      0,
      fmt::format(
          "there are {} columns; the first line has {}", reader.fields().size(), roles_.size()));
}

Result<void> CsvTable::learn(const CsvReader& reader) {
  CHORUS_OK(check_columns(reader));
  for (const std::size_t column : categorical_) {
    Categories& categories = *columns_.categories(place_[column]);
    const std::string_view value = trimmed(reader.fields()[column]);
    if (categories.fitted() && !is_missing(value)) categories.add(value);
  }
  if (columns_.width() <= limits::kCsvColumnsMax) return {};
  return reader.malformed(0,
                          fmt::format("the categories make more than {} features; is a column of "
                                      "numbers among them?",
                                      limits::kCsvColumnsMax));
}

Result<void> CsvTable::read(const CsvReader& reader, CsvRow& row) const {
  CHORUS_OK(check_columns(reader));
  row.targets.resize(targets_);
  row.cells.resize(columns_.size());
  for (std::size_t i = 0; i < roles_.size(); ++i) {
    if (roles_[i] == Role::label) {
      CHORUS_TRY(row.label, label_in(reader, i));
    } else if (roles_[i] == Role::target) {
      CHORUS_TRY(const double target, number_in(reader, i, 1.0));
      row.targets[place_[i]] = static_cast<float>(target);
    } else if (roles_[i] == Role::key) {
      row.key = reader.fields()[i];
    } else if (columns_.categories(place_[i]).has_value()) {
      CHORUS_TRY(row.cells[place_[i]], category_in(reader, i));
    } else {
      CHORUS_TRY(row.cells[place_[i]], feature_in(reader, i));
    }
  }
  return {};
}

Failure CsvTable::bad_value(const CsvReader& reader,
                            std::size_t column,
                            std::string_view expected) const {
  const std::string_view value = trimmed(reader.fields()[column]);
  const std::string name = names_.empty() ? "" : fmt::format("'{}': ", excerpt(names_[column]));
  if (is_missing(value)) {
    return reader.malformed(column + 1,
                            fmt::format("{}the value is missing; expected {}", name, expected));
  }
  return reader.malformed(column + 1,
                          fmt::format("{}'{}' is not {}", name, excerpt(value), expected));
}

Result<std::uint32_t> CsvTable::label_in(const CsvReader& reader, std::size_t column) const {
  const auto label = parse_whole<std::uint32_t>(trimmed(reader.fields()[column]));
  const std::uint32_t most =
      options_.classes == 0 ? std::numeric_limits<std::uint32_t>::max() - 1 : options_.classes - 1;
  if (label.has_value() && *label <= most) return *label;
  return bad_value(reader, column, fmt::format("a class, a whole number from 0 to {}", most));
}

Result<double> CsvTable::category_in(const CsvReader& reader, std::size_t column) const {
  const Categories& categories = *columns_.categories(place_[column]);
  const std::string_view value = trimmed(reader.fields()[column]);
  if (const auto number = categories.number_of(value)) return static_cast<double>(*number);
  if (is_missing(value) && options_.missing.has_value()) return -1.0;
  const auto known = categories.column().values;
  if (known.empty()) return bad_value(reader, column, "a category");
  const std::span<const std::string> some =
      std::span(known).first(std::min<std::size_t>(known.size(), 8));
  return bad_value(reader,
                   column,
                   fmt::format("a category of this column ({}{})",
                               fmt::join(some, ", "),
                               some.size() < known.size() ? ", …" : ""));
}

// The number in a field, divided; float32 must hold it.
Result<double> CsvTable::number_in(const CsvReader& reader,
                                   std::size_t column,
                                   double divide_by) const {
  std::string_view text = trimmed(reader.fields()[column]);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const double divided = value / divide_by;
  if (text.empty() || error != std::errc() || end != text.data() + text.size() ||
      !std::isfinite(value) || !std::isfinite(static_cast<float>(divided))) {
    return bad_value(reader, column, "a number");
  }
  return divided;
}

Result<double> CsvTable::feature_in(const CsvReader& reader, std::size_t column) const {
  if (options_.missing.has_value() && is_missing(trimmed(reader.fields()[column]))) {
    return *options_.missing / options_.divide_by;
  }
  return number_in(reader, column, options_.divide_by);
}

}  // namespace chorus::client
