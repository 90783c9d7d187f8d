#include "client/train/data/csv_columns.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace chorus::client {

Result<Categories> Categories::create(const CategoricalColumn& column) {
  Categories categories;
  categories.name_ = column.column;
  categories.fitted_ = column.values.empty();
  categories.values_ = column.values;
  for (std::size_t i = 0; i < column.values.size(); ++i) {
    if (categories.numbers_.emplace(column.values[i], i).second) continue;
    return fail(
        errc::invalid_argument,
        fmt::format(
            "the categories of column '{}' name '{}' twice", column.column, column.values[i]));
  }
  return categories;
}

std::optional<std::size_t> Categories::number_of(std::string_view value) const {
  const auto found = numbers_.find(value);
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

void Categories::add(std::string_view value) {
  if (numbers_.find(value) != numbers_.end()) return;
  numbers_.emplace(value, values_.size());
  values_.emplace_back(value);
}

std::vector<std::size_t> Categories::sort() {
  std::vector<std::size_t> places(values_.size());
  std::size_t place = 0;
  for (auto& [value, number] : numbers_) {  // in byte order
    if (fitted_) {
      values_[place] = value;
      places[number] = place;
      number = place++;
    } else {
      places[number] = number;
    }
  }
  return places;
}

std::size_t CsvColumns::width() const {
  std::size_t width = 0;
  for (const auto& column : categories_) width += column.has_value() ? column->size() : 1;
  return width;
}

std::size_t CsvColumns::numbers() const {
  const auto words = std::count_if(categories_.begin(), categories_.end(), [](const auto& column) {
    return column.has_value();
  });
  return categories_.size() - static_cast<std::size_t>(words);
}

void CsvColumns::sort(std::span<double> cells) {
  for (std::size_t c = 0; c < size(); ++c) {
    if (!categories_[c].has_value()) continue;
    const auto places = categories_[c]->sort();
    for (std::size_t i = c; i < cells.size(); i += size()) {
      if (cells[i] < 0) continue;
      cells[i] = static_cast<double>(places[static_cast<std::size_t>(cells[i])]);
    }
  }
}

void CsvColumns::encode(std::span<const double> cells,
                        const std::vector<FeatureScale>& scales,
                        std::span<float> into) const {
  std::size_t at = 0;
  std::size_t number = 0;
  for (std::size_t c = 0; c < size(); ++c) {
    if (categories_[c].has_value()) {
      const auto hot = into.subspan(at, categories_[c]->size());
      std::fill(hot.begin(), hot.end(), 0.0F);
      if (cells[c] >= 0) hot[static_cast<std::size_t>(cells[c])] = 1.0F;
      at += hot.size();
      continue;
    }
    const FeatureScale scale = scales.empty() ? FeatureScale{} : scales[number++];
    into[at++] = static_cast<float>((cells[c] - scale.offset) / scale.scale);
  }
}

std::vector<FeatureScale> CsvColumns::feature_scales(
    const std::vector<FeatureScale>& scales) const {
  std::vector<FeatureScale> all;
  if (scales.empty()) return all;
  std::size_t number = 0;
  for (const auto& categories : categories_) {
    if (categories.has_value()) {
      all.resize(all.size() + categories->size());
    } else {
      all.push_back(scales[number++]);
    }
  }
  return all;
}

ColumnFit::ColumnFit(const CsvColumns& columns, std::vector<std::uint32_t> rows)
    : columns_(columns), rows_(std::move(rows)), all_(rows_.empty()), fits_(columns.size()) {
  std::sort(rows_.begin(), rows_.end());
}

std::size_t ColumnFit::weight_of_next() {
  const std::size_t row = next_row_++;
  if (all_) return 1;
  const std::size_t first = next_;
  while (next_ < rows_.size() && rows_[next_] == row) ++next_;
  return next_ - first;
}

void ColumnFit::add(std::span<const double> cells) {
  for (std::size_t left = weight_of_next(); left > 0; --left) {
    for (std::size_t c = 0; c < cells.size(); ++c) fits_[c].add(cells[c]);
  }
}

void ColumnFit::add_rest(std::span<const double> cells) {
  if (!std::exchange(rest_, true)) next_row_ = next_ = 0;
  for (std::size_t left = weight_of_next(); left > 0; --left) {
    for (std::size_t c = 0; c < cells.size(); ++c) fits_[c].add_rest(cells[c]);
  }
}

std::vector<FeatureScale> ColumnFit::scales(Normalisation normalisation) const {
  std::vector<FeatureScale> scales;
  for (std::size_t c = 0; c < fits_.size(); ++c) {
    if (!columns_.categories(c).has_value()) scales.push_back(fits_[c].scale(normalisation));
  }
  return scales;
}

}  // namespace chorus::client
