// Splits CSV text into records. Knows quotes and line ends, not what fields mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "chorus/result.hpp"
#include "client/train/data/gzip_file.hpp"

namespace chorus::client {

/// Reads one record after the other.
class CsvReader {
 public:
  CsvReader(GzipFile file, char separator) : file_(std::move(file)), separator_(separator) {}

  /// The next record that is not empty. False: the file is over.
  /// @errors as GzipFile::read; malformed_file: a quote that does not close or closes within a
  ///         field, a field beyond kCsvFieldBytesMax, more columns than kCsvColumnsMax
  Result<bool> next();

  /// Fields of the record that next() read, unquoted.
  const std::vector<std::string>& fields() const noexcept { return fields_; }
  /// Line on which that record begins, from 1.
  std::uint64_t line() const noexcept { return record_line_; }

  /// malformed_file: "'file' line 3, column 5: …"; column counts from 1, 0: the whole line.
  Failure malformed(std::size_t column, const std::string& detail) const;

 private:
  static constexpr int kEnd = -1;

  Result<int> peek();
  Result<int> take();
  Result<void> read_field();
  Result<void> read_quoted(std::string& field);
  Result<void> append(std::string& field, int byte);
  /// Takes LF or CRLF. @pre peek() is one of them
  Result<void> take_line_end();
  Result<void> skip_byte_order_mark();

  GzipFile file_;
  char separator_;
  std::vector<std::byte> buffer_;
  std::size_t position_ = 0;
  bool started_ = false;
  std::uint64_t line_ = 1;
  std::uint64_t record_line_ = 0;
  std::vector<std::string> fields_;
};

}  // namespace chorus::client
