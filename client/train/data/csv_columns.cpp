#include "client/train/data/csv_columns.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "client/train/data/scale_fit.hpp"

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

std::vector<FeatureScale> CsvCells::fit(Normalisation normalisation,
                                        std::span<const std::uint32_t> rows) const {
  const std::size_t columns = categories_.size();
  const std::size_t count = rows.empty() ? cells_.size() / columns : rows.size();
  std::vector<FeatureScale> scales;
  for (std::size_t c = 0; c < columns; ++c) {
    if (categories_[c].has_value()) continue;
    const auto cell = [&](std::size_t i) {
      return cells_[(rows.empty() ? i : rows[i]) * columns + c];
    };
    ScaleFit fit;
    for (std::size_t i = 0; i < count; ++i) fit.add(cell(i));
    for (std::size_t i = 0; i < count; ++i) fit.add_rest(cell(i));
    scales.push_back(fit.scale(normalisation));
  }
  return scales;
}

std::vector<float> CsvCells::encode(const std::vector<FeatureScale>& scales) {
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
      const FeatureScale scale = scales.empty() ? FeatureScale{} : scales[number++];
      features.push_back(static_cast<float>((cells_[i] - scale.offset) / scale.scale));
    }
  }
  return features;
}

std::vector<FeatureScale> CsvCells::feature_scales(const std::vector<FeatureScale>& scales) const {
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

}  // namespace chorus::client
