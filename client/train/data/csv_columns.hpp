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
#include "client/train/data/scale_fit.hpp"

namespace chorus::client {

/// The values of one categorical column.
class Categories {
 public:
  /// @errors invalid_argument: a value twice
  static Result<Categories> create(const CategoricalColumn& column);

  /// Its values are those of the file.
  bool fitted() const noexcept { return fitted_; }
  std::size_t size() const noexcept { return values_.size(); }

  /// The value's number. None: it is not among them.
  std::optional<std::size_t> number_of(std::string_view value) const;
  void add(std::string_view value);  ///< @pre fitted(); one more, if it is new

  /// Sorts fitted values. @return new number of each old one
  std::vector<std::size_t> sort();
  CategoricalColumn column() const { return {name_, values_}; }

 private:
  std::string name_;
  bool fitted_ = false;
  std::vector<std::string> values_;
  std::map<std::string, std::size_t, std::less<>> numbers_;
};

/// The columns of features. A row of them is one cell each: a number, or the number of a category
/// (-1: missing).
class CsvColumns {
 public:
  CsvColumns() = default;
  /// @param categories  per column: its categories, or none for numbers
  explicit CsvColumns(std::vector<std::optional<Categories>> categories)
      : categories_(std::move(categories)) {}

  std::size_t size() const noexcept { return categories_.size(); }
  std::optional<Categories>& categories(std::size_t column) { return categories_[column]; }
  const std::optional<Categories>& categories(std::size_t column) const {
    return categories_[column];
  }
  std::size_t numbers() const;  ///< columns that are not categories
  std::size_t width() const;    ///< features of one example, by what is known so far

  /// Brings fitted categories into their order, and the cells of rows that were read before to it.
  void sort(std::span<double> cells);

  /// Features of one row. @param scales  one per column of numbers, or empty
  /// @pre cells.size() == size(), into.size() == width()
  void encode(std::span<const double> cells,
              const std::vector<FeatureScale>& scales,
              std::span<float> into) const;
  /// Of each feature, those of categories too, which are not scaled. None: none.
  std::vector<FeatureScale> feature_scales(const std::vector<FeatureScale>& scales) const;

 private:
  std::vector<std::optional<Categories>> categories_;
};

/// The scales of all columns of numbers, from rows that go through add() in order, and then all
/// once more through add_rest().
class ColumnFit {
 public:
  /// @param rows  that count, once for each time they are named; none: all
  ColumnFit(const CsvColumns& columns, std::vector<std::uint32_t> rows);

  void add(std::span<const double> cells);
  void add_rest(std::span<const double> cells);
  /// @pre normalisation is not none
  std::vector<FeatureScale> scales(Normalisation normalisation) const;

 private:
  /// How often the row that is next counts.
  std::size_t weight_of_next();

  const CsvColumns& columns_;
  std::vector<std::uint32_t> rows_;  // sorted
  bool all_;
  bool rest_ = false;         // add_rest() began
  std::size_t next_row_ = 0;  // of this pass
  std::size_t next_ = 0;      // in rows_
  std::vector<ScaleFit> fits_;
};

}  // namespace chorus::client
