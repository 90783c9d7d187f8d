// From cells of a table to features: categories become one-hot, numbers are normalised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// The values of one categorical column.
class Categories {
 public:
  /// @errors invalid_argument: a value twice
  static Result<Categories> create(const CategoricalColumn& column);

  /// The value's number. None: it is not in the list that was given.
  std::optional<std::size_t> number_of(std::string_view value);

  bool fitted() const noexcept { return fitted_; }
  std::size_t size() const noexcept { return values_.size(); }

  /// Sorts fitted values. @return new number of each old one
  std::vector<std::size_t> sort();
  CategoricalColumn column() const { return {name_, values_}; }

 private:
  std::string name_;
  bool fitted_ = false;
  std::vector<std::string> values_;
  std::map<std::string, std::size_t, std::less<>> numbers_;
};

/// Cells of a table by rows: numbers, and numbers of categories (-1: missing).
class CsvCells {
 public:
  /// @param categories  per column of features: its categories, or none for numbers
  explicit CsvCells(std::vector<std::optional<Categories>> categories)
      : categories_(std::move(categories)) {}

  std::optional<Categories>& categories(std::size_t column) { return categories_[column]; }
  void add(double cell) { cells_.push_back(cell); }
  /// Features of one example, by what is known so far.
  std::size_t width() const;

  /// The scales of all columns of numbers, fitted to these rows; none: to all.
  /// @pre normalisation is not none; rows are below those that were added
  std::vector<FeatureScale> fit(Normalisation normalisation,
                                std::span<const std::uint32_t> rows) const;

  /// Features by rows. @param scales  one per column of numbers, or empty
  std::vector<float> encode(const std::vector<FeatureScale>& scales);
  /// Of each feature, those of categories too, which are not scaled. None: none.
  std::vector<FeatureScale> feature_scales(const std::vector<FeatureScale>& scales) const;
  std::size_t numbers() const;  ///< columns that are not categories

 private:
  std::vector<std::optional<Categories>> categories_;
  std::vector<double> cells_;
};

}  // namespace chorus::client
