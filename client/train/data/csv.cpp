// Tables of numbers as datasets.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "chorus/client/dataset.hpp"
#include "client/train/data/csv_columns.hpp"
#include "client/train/data/csv_reader.hpp"
#include "client/train/data/example_checks.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
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

// What a column is for.
enum class Role : std::uint8_t { feature, label, target, key };

std::string_view name_of(Role role) {
  constexpr std::string_view kNames[] = {
      "a feature", "the label column", "a target column", "the key column"};
  return kNames[static_cast<std::size_t>(role)];
}

// Reads records into parts.
class Table {
 public:
  explicit Table(const CsvOptions& options, CsvReader reader)
      : options_(options), reader_(std::move(reader)) {
    parts_.classes = options.classes;
    parts_.feature_shape = options.feature_shape;
  }

  Result<CsvData> read() {
    CHORUS_OK(read_columns());
    bool more = true;
    if (options_.header) {
      CHORUS_TRY(more, reader_.next());
    }
    while (more) {
      CHORUS_OK(read_example());
      CHORUS_TRY(more, reader_.next());
    }
    if (examples_ == 0) return reader_.malformed(0, "there are no examples in the file");
    CsvData data;
    CHORUS_OK(encode(data));
    auto dataset = Dataset::create(std::move(parts_));
    if (!dataset) {
      return std::move(dataset).error().during("'" + options_.path.string() + "'");
    }
    data.dataset = std::move(dataset).value();
    data.keys = std::move(keys_);
    return data;
  }

 private:
  // Finds label, target and key columns in the first record, which stays current.
  Result<void> read_columns() {
    CHORUS_TRY(const bool any, reader_.next());
    if (!any) return reader_.malformed(0, "the file is empty");
    const std::size_t columns = reader_.fields().size();
    roles_.assign(columns, Role::feature);
    place_.assign(columns, 0);
    if (options_.header) names_ = reader_.fields();
    for (const std::string& wanted : options_.target_columns) {
      CHORUS_TRY(const std::size_t column, take_column(wanted, "target_columns", Role::target));
      place_[column] = parts_.target_count++;
    }
    const bool labelled = !options_.label_column.empty() || options_.target_columns.empty();
    if (labelled) {
      const std::string wanted = options_.label_column.empty() ? "-1" : options_.label_column;
      CHORUS_OK(take_column(wanted, "label_column", Role::label));
    }
    if (!options_.key_column.empty()) {
      CHORUS_OK(take_column(options_.key_column, "key_column", Role::key));
    }
    if (std::count(roles_.begin(), roles_.end(), Role::feature) == 0) {
      return reader_.malformed(0, "no column is left for features");
    }
    CHORUS_OK(find_categories());
    const bool fitted = std::any_of(categorical_.begin(), categorical_.end(), [&](std::size_t i) {
      return cells_->categories(place_[i])->fitted();
    });
    return fitted ? Result<void>() : check_shape();
  }

  // A column that is no feature.
  Result<std::size_t> take_column(const std::string& wanted, std::string_view option, Role role) {
    CHORUS_TRY(const std::size_t column, find_column(wanted, option));
    if (roles_[column] != Role::feature) {
      return fail(
          errc::invalid_argument,
          fmt::format("{} '{}' is {} too", option, excerpt(wanted), name_of(roles_[column])));
    }
    roles_[column] = role;
    return column;
  }

  // Which columns hold words. Only then, or to normalise, all cells are kept until the end.
  Result<void> find_categories() {
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
    cells_.emplace(std::move(categories));
    direct_ = categorical_.empty() && options_.normalisation == Normalisation::none;
    if (options_.scales.empty() || options_.scales.size() == cells_->numbers()) return {};
    return fail(errc::invalid_argument,
                fmt::format("there are {} scales for '{}'; expected {}, one per column of numbers",
                            options_.scales.size(),
                            options_.path.string(),
                            cells_->numbers()));
  }

  Result<void> check_shape() {
    const std::size_t features = cells_->width();
    if (parts_.feature_shape.empty()) parts_.feature_shape = {features};
    std::uint64_t product = 1;
    for (const std::uint64_t side : parts_.feature_shape) {
      if (__builtin_mul_overflow(product, side, &product)) product = 0;
    }
    if (product == features) return {};
    return fail(errc::invalid_argument,
                fmt::format("'{}' has {} feature columns; the feature shape {} needs {}",
                            options_.path.string(),
                            features,
                            fmt::join(parts_.feature_shape, "x"),
                            product));
  }

  // Cells that were kept become features.
  Result<void> encode(CsvData& data) {
    if (direct_) return {};
    CHORUS_OK(check_shape());
    for (const std::uint32_t row : options_.fit_rows) {
      if (row < examples_) continue;
      return fail(
          errc::invalid_argument,
          fmt::format(
              "fit_rows names example {}; '{}' has {}", row, options_.path.string(), examples_));
    }
    if (options_.normalisation != Normalisation::none) {
      data.scales = options_.scales.empty() ? cells_->fit(options_.normalisation, options_.fit_rows)
                                            : options_.scales;
    }
    parts_.features = cells_->encode(data.scales);
    parts_.scales = cells_->feature_scales(data.scales);
    for (const std::size_t column : categorical_) {
      data.categories.push_back(cells_->categories(place_[column])->column());
    }
    return {};
  }

  Result<std::size_t> find_column(const std::string& wanted, std::string_view option) const {
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

  Result<void> read_example() {
    const auto& fields = reader_.fields();
    if (fields.size() != roles_.size()) {
      return reader_.malformed(
          0,
          fmt::format("there are {} columns; the first line has {}", fields.size(), roles_.size()));
    }
    ++examples_;
    parts_.targets.resize(examples_ * parts_.target_count);
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      if (roles_[i] == Role::label) {
        CHORUS_OK(add_label(i));
      } else if (roles_[i] == Role::target) {
        CHORUS_OK(add_target(i));
      } else if (roles_[i] == Role::key) {
        keys_.add(fields[i]);
      } else if (cells_->categories(place_[i]).has_value()) {
        CHORUS_OK(add_category(i));
      } else {
        CHORUS_OK(add_feature(i));
      }
    }
    const std::size_t width = cells_->width();
    if (width > limits::kCsvColumnsMax) {
      return reader_.malformed(0,
                               fmt::format("the categories make more than {} features; is a "
                                           "column of numbers among them?",
                                           limits::kCsvColumnsMax));
    }
    const std::size_t numbers = width + 1 + parts_.target_count;
    if (numbers * examples_ <= options_.bytes_max / 4) return {};
    return reader_.malformed(
        0, fmt::format("the examples need more than {} bytes of memory", options_.bytes_max));
  }

  Failure bad_value(std::size_t column, std::string_view expected) const {
    const std::string_view value = trimmed(reader_.fields()[column]);
    const std::string name = names_.empty() ? "" : fmt::format("'{}': ", excerpt(names_[column]));
    if (is_missing(value)) {
      return reader_.malformed(column + 1,
                               fmt::format("{}the value is missing; expected {}", name, expected));
    }
    return reader_.malformed(column + 1,
                             fmt::format("{}'{}' is not {}", name, excerpt(value), expected));
  }

  Result<void> add_label(std::size_t column) {
    const std::string_view text = trimmed(reader_.fields()[column]);
    const auto label = parse_whole<std::uint32_t>(text);
    const std::uint32_t most = options_.classes == 0 ? std::numeric_limits<std::uint32_t>::max() - 1
                                                     : options_.classes - 1;
    if (!label.has_value() || *label > most) {
      return bad_value(column, fmt::format("a class, a whole number from 0 to {}", most));
    }
    parts_.labels.push_back(*label);
    return {};
  }

  Result<void> add_category(std::size_t column) {
    Categories& categories = *cells_->categories(place_[column]);
    const std::string_view value = trimmed(reader_.fields()[column]);
    std::optional<std::size_t> number;
    if (!categories.fitted() || !is_missing(value)) number = categories.number_of(value);
    if (number.has_value()) {
      cells_->add(static_cast<double>(*number));
      return {};
    }
    if (is_missing(value) && options_.missing.has_value()) {
      cells_->add(-1.0);
      return {};
    }
    const auto known = categories.column().values;
    if (known.empty()) return bad_value(column, "a category");
    const std::span<const std::string> some =
        std::span(known).first(std::min<std::size_t>(known.size(), 8));
    return bad_value(column,
                     fmt::format("a category of this column ({}{})",
                                 fmt::join(some, ", "),
                                 some.size() < known.size() ? ", …" : ""));
  }

  // The number in a field, divided; float32 must hold it.
  Result<double> number_in(std::size_t column, double divide_by) const {
    std::string_view text = trimmed(reader_.fields()[column]);
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    double value = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() ||
        !std::isfinite(value) || !std::isfinite(static_cast<float>(value / divide_by))) {
      return bad_value(column, "a number");
    }
    return value / divide_by;
  }

  Result<void> add_target(std::size_t column) {
    CHORUS_TRY(const double target, number_in(column, 1.0));
    parts_.targets[(examples_ - 1) * parts_.target_count + place_[column]] =
        static_cast<float>(target);
    return {};
  }

  Result<void> add_feature(std::size_t column) {
    double value = 0.0;
    if (options_.missing.has_value() && is_missing(trimmed(reader_.fields()[column]))) {
      value = *options_.missing / options_.divide_by;
    } else {
      CHORUS_TRY(value, number_in(column, options_.divide_by));
    }
    if (direct_) {
      parts_.features.push_back(static_cast<float>(value));
    } else {
      cells_->add(value);
    }
    return {};
  }

  const CsvOptions& options_;
  CsvReader reader_;
  std::vector<std::string> names_;
  std::vector<Role> roles_;               // by column
  std::vector<std::size_t> place_;        // of a column among features, or among targets
  std::vector<std::size_t> categorical_;  // columns, in the options' order
  std::optional<CsvCells> cells_;
  std::size_t examples_ = 0;
  bool direct_ = true;  // numbers become features as they are read
  Dataset::Parts parts_;
  ExampleKeys keys_;
};

Result<void> check_options(const CsvOptions& options) {
  if (options.separator == '"' || options.separator == '\n' || options.separator == '\r') {
    return fail(errc::invalid_argument, "a quote or line end cannot separate columns");
  }
  if (options.divide_by == 0.0 || !std::isfinite(options.divide_by)) {
    return fail(errc::invalid_argument,
                fmt::format("divide_by is {}; expected a number other than 0", options.divide_by));
  }
  const double missing = options.missing.value_or(0.0);
  if (!std::isfinite(static_cast<float>(missing / options.divide_by))) {
    return fail(errc::invalid_argument,
                fmt::format("missing is {}; expected a number that float32 holds", missing));
  }
  if (!options.scales.empty() && options.normalisation == Normalisation::none) {
    return fail(errc::invalid_argument, "scales are given, but normalisation is none");
  }
  return check_scales(options.scales);
}

}  // namespace

Result<CsvData> load_csv(const CsvOptions& options) {
  CHORUS_OK(check_options(options));
  CHORUS_TRY(GzipFile file, GzipFile::open(options.path));
  return Table(options, CsvReader(std::move(file), options.separator)).read();
}

}  // namespace chorus::client
