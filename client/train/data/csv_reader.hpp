// Splits CSV text into records. Knows quotes and line ends, not what fields mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "chorus/result.hpp"
#include "client/train/data/byte_source.hpp"

namespace chorus::client {

/// Reads one record after the other.
class CsvReader {
 public:
  CsvReader(std::unique_ptr<ByteSource> source, char separator)
      : source_(std::move(source)), name_(source_->name()), separator_(separator) {}
  /// Reads what start() gives. @param name  for messages: "'t.csv'"
  CsvReader(std::string name, char separator) : name_(std::move(name)), separator_(separator) {}
  /// Whole records, from the first byte of one on.
  void start(std::span<const std::byte> records);

  /// The next record that is not empty. False: the file is over.
  /// @errors as ByteSource::read; malformed_file: a quote that does not close or closes within a
  ///         field, a field beyond kCsvFieldBytesMax, more columns than kCsvColumnsMax
  Result<bool> next();

  /// Fields of the record that next() read, unquoted.
  const std::vector<std::string>& fields() const noexcept { return fields_; }
  /// Line on which that record begins, from 1.
  std::uint64_t line() const noexcept { return record_line_; }
  /// Where in the source that record begins, and where what follows it does.
  std::uint64_t record_begin() const noexcept { return record_begin_; }
  std::uint64_t record_end() const noexcept { return before_ + position_; }

  /// malformed_file: "'file' line 3, column 5: …"; column counts from 1, 0: the whole line.
  Failure malformed(std::size_t column, const std::string& detail) const;

 private:
  static constexpr int kEnd = -1;

  Result<int> peek();
  Result<int> take();
  Result<void> read_field();
  Result<void> read_quoted(std::string& field);
  Result<void> read_plain(std::string& field);
  /// What the buffer holds before the next separator or line end.
  std::span<const std::byte> plain_part() const;
  /// Fields of the buffer that begin with no quote and that a separator follows, with it.
  void take_plain_fields();
  Result<void> append(std::string& field, std::span<const std::byte> bytes);
  /// Takes LF or CRLF. @pre peek() is one of them
  Result<void> take_line_end();
  Result<void> skip_byte_order_mark();

  std::unique_ptr<ByteSource> source_;  // null: what start() gave is all
  std::string name_;
  char separator_;
  std::vector<std::byte> buffer_;
  std::size_t position_ = 0;
  std::uint64_t before_ = 0;  // bytes of the source before the buffer
  bool started_ = false;
  std::uint64_t line_ = 1;
  std::uint64_t record_line_ = 0;
  std::uint64_t record_begin_ = 0;
  std::vector<std::string> fields_;
};

}  // namespace chorus::client
