// What the columns of a table are for, and what a record of it says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/result.hpp"
#include "client/train/data/csv_columns.hpp"
#include "client/train/data/csv_reader.hpp"

namespace chorus::client {

/// One record.
struct CsvRow {
  std::uint32_t label = 0;     ///< if the table has labels
  std::string key;             ///< if it has keys
  std::vector<float> targets;  ///< one per target column
  std::vector<double> cells;   ///< one per column of features, see CsvColumns
};

class CsvTable {
 public:
  /// Finds labels, targets, keys and categories by the first record, which stays current.
  /// @errors invalid_argument: the options contradict it; malformed_file: it has no features
  static Result<CsvTable> create(const CsvOptions& options, const CsvReader& reader);

  /// Adds the current record's values to categories that are fitted to the file.
  /// @errors malformed_file: another number of columns, or too many categories
  Result<void> learn(const CsvReader& reader);
  /// @errors malformed_file: another number of columns, or a value that is not what its column
  /// holds
  Result<void> read(const CsvReader& reader, CsvRow& row) const;

  CsvColumns& columns() noexcept { return columns_; }
  const CsvColumns& columns() const noexcept { return columns_; }
  bool has_labels() const noexcept { return has_labels_; }
  bool has_keys() const noexcept { return has_keys_; }
  std::size_t targets() const noexcept { return targets_; }
  /// Some categories are fitted to the file: how many features there are is known at its end.
  bool grows() const;
  /// The shape of an example. @errors invalid_argument: the options' does not fit
  Result<std::vector<std::uint64_t>> feature_shape() const;
  /// @errors invalid_argument: CsvOptions::fit_rows names an example that is not there
  Result<void> check_fit_rows(std::size_t examples) const;
  /// All categories, in the options' order.
  std::vector<CategoricalColumn> categories() const;

 private:
  enum class Role : std::uint8_t { feature, label, target, key };

  explicit CsvTable(const CsvOptions& options) : options_(options) {}

  static std::string_view name_of(Role role);
  Result<void> find_roles(const CsvReader& reader);
  Result<void> find_categories();
  Result<std::size_t> take_column(const std::string& wanted, std::string_view option, Role role);
  Result<std::size_t> find_column(const std::string& wanted, std::string_view option) const;
  Result<void> check_columns(const CsvReader& reader) const;
  Failure bad_value(const CsvReader& reader, std::size_t column, std::string_view expected) const;
  Result<std::uint32_t> label_in(const CsvReader& reader, std::size_t column) const;
  Result<double> category_in(const CsvReader& reader, std::size_t column) const;
  Result<double> number_in(const CsvReader& reader, std::size_t column, double divide_by) const;
  Result<double> feature_in(const CsvReader& reader, std::size_t column) const;

  CsvOptions options_;
  std::vector<std::string> names_;
  std::vector<Role> roles_;               // by column
  std::vector<std::size_t> place_;        // of a column among features, or among targets
  std::vector<std::size_t> categorical_;  // columns, in the options' order
  CsvColumns columns_;
  bool has_labels_ = false;
  bool has_keys_ = false;
  std::size_t targets_ = 0;
};

}  // namespace chorus::client
