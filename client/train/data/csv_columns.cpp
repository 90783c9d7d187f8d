#include "client/train/data/csv_columns.hpp"

#include <algorithm>
#include <cmath>
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

std::optional<std::size_t> Categories::number_of(std::string_view value) {
  const auto found = numbers_.find(value);
  if (found != numbers_.end()) return found->second;
  if (!fitted_) return std::nullopt;
  numbers_.emplace(value, values_.size());
  values_.emplace_back(value);
  return values_.size() - 1;
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

std::size_t CsvCells::width() const {
  std::size_t width = 0;
  for (const auto& column : categories_) width += column.has_value() ? column->size() : 1;
  return width;
}

std::size_t CsvCells::numbers() const {
  const auto words = std::count_if(categories_.begin(), categories_.end(), [](const auto& column) {
    return column.has_value();
  });
  return categories_.size() - static_cast<std::size_t>(words);
}

std::vector<ColumnScale> CsvCells::fit(Normalisation normalisation) const {
  const std::size_t columns = categories_.size();
  const auto rows = static_cast<double>(cells_.size() / columns);
  std::vector<ColumnScale> scales;
  for (std::size_t c = 0; c < columns; ++c) {
    if (categories_[c].has_value()) continue;
    double sum = 0.0;
    double smallest = cells_[c];
    double largest = cells_[c];
    for (std::size_t i = c; i < cells_.size(); i += columns) {
      sum += cells_[i];
      smallest = std::min(smallest, cells_[i]);
      largest = std::max(largest, cells_[i]);
    }
    ColumnScale scale{smallest, largest - smallest};
    if (normalisation == Normalisation::standard) {
      const double mean = sum / rows;
      double squares = 0.0;
      for (std::size_t i = c; i < cells_.size(); i += columns) {
        squares += (cells_[i] - mean) * (cells_[i] - mean);
      }
      scale = {mean, std::sqrt(squares / rows)};
    }
    // Rounding of the mean must not blow a constant column up.
    if (smallest == largest) scale = {smallest, 1.0};
    scales.push_back(scale);
  }
  return scales;
}

std::vector<float> CsvCells::encode(const std::vector<ColumnScale>& scales) {
  const std::size_t columns = categories_.size();
  std::vector<std::vector<std::size_t>> places(columns);
  for (std::size_t c = 0; c < columns; ++c) {
    if (categories_[c].has_value()) places[c] = categories_[c]->sort();
  }
  std::vector<float> features;
  features.reserve(cells_.size() / columns * width());
  for (std::size_t i = 0; i < cells_.size();) {
    std::size_t number = 0;
    for (std::size_t c = 0; c < columns; ++c, ++i) {
      if (categories_[c].has_value()) {
        const std::size_t first = features.size();
        features.resize(first + categories_[c]->size(), 0.0F);
        if (cells_[i] >= 0) features[first + places[c][static_cast<std::size_t>(cells_[i])]] = 1.0F;
        continue;
      }
      const ColumnScale scale = scales.empty() ? ColumnScale{} : scales[number++];
      features.push_back(static_cast<float>((cells_[i] - scale.offset) / scale.scale));
    }
  }
  return features;
}

}  // namespace chorus::client
