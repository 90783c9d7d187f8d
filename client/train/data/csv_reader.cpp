#include "client/train/data/csv_reader.hpp"

#include <fmt/format.h>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

constexpr std::size_t kBufferBytes = 256U << 10U;

}  // namespace

Failure CsvReader::malformed(std::size_t column, const std::string& detail) const {
  const std::string where = column == 0 ? "" : fmt::format(", column {}", column);
  return fail(
      errc::malformed_file,
      fmt::format("'{}' line {}{}: {}", file_.path().string(), record_line_, where, detail));
}

Result<int> CsvReader::peek() {
  if (position_ == buffer_.size()) {
    buffer_.resize(kBufferBytes);
    CHORUS_TRY(const std::size_t got, file_.read(buffer_));
    buffer_.resize(got);
    position_ = 0;
    if (got == 0) return kEnd;
  }
  return std::to_integer<int>(buffer_[position_]);
}

Result<int> CsvReader::take() {
  CHORUS_TRY(const int byte, peek());
  if (byte != kEnd) ++position_;
  return byte;
}

Result<void> CsvReader::append(std::string& field, int byte) {
  if (field.size() == limits::kCsvFieldBytesMax) {
    return malformed(fields_.size() + 1,
                     fmt::format("the field has more than {} bytes; is a quote missing?",
                                 limits::kCsvFieldBytesMax));
  }
  field.push_back(static_cast<char>(byte));
  return {};
}

Result<void> CsvReader::read_quoted(std::string& field) {
  CHORUS_OK(take());
  for (;;) {
    CHORUS_TRY(const int byte, take());
    if (byte == kEnd) return malformed(fields_.size() + 1, "the quote never closes");
    if (byte == '\n') ++line_;
    if (byte == '"') {
      CHORUS_TRY(const int after, peek());
      if (after != '"') break;
      CHORUS_OK(take());
    }
    CHORUS_OK(append(field, byte));
  }
  CHORUS_TRY(const int after, peek());
  if (after == kEnd || after == '\n' || after == '\r' || after == separator_) return {};
  return malformed(fields_.size() + 1,
                   "the quote closes before the field ends; a quote within a field is written "
                   "twice");
}

Result<void> CsvReader::read_field() {
  std::string field;
  CHORUS_TRY(const int first, peek());
  if (first == '"') {
    CHORUS_OK(read_quoted(field));
  } else {
    for (;;) {
      CHORUS_TRY(const int byte, peek());
      if (byte == kEnd || byte == '\n' || byte == '\r' || byte == separator_) break;
      CHORUS_OK(append(field, byte));
      ++position_;
    }
  }
  if (fields_.size() == limits::kCsvColumnsMax) {
    return malformed(0, fmt::format("there are more than {} columns", limits::kCsvColumnsMax));
  }
  fields_.push_back(std::move(field));
  return {};
}

Result<void> CsvReader::take_line_end() {
  CHORUS_TRY(const int byte, take());
  if (byte == '\r') {
    CHORUS_TRY(const int after, take());
    if (after != '\n') return malformed(0, "a carriage return without line feed ends the line");
  }
  ++line_;
  return {};
}

// Some programs put U+FEFF in front; it is no part of the first column's name.
Result<void> CsvReader::skip_byte_order_mark() {
  CHORUS_OK(peek());
  const bool marked = buffer_.size() >= 3 && buffer_[0] == std::byte{0xEF} &&
                      buffer_[1] == std::byte{0xBB} && buffer_[2] == std::byte{0xBF};
  if (marked) position_ = 3;
  started_ = true;
  return {};
}

Result<bool> CsvReader::next() {
  if (!started_) CHORUS_OK(skip_byte_order_mark());
  fields_.clear();
  for (;;) {
    record_line_ = line_;
    CHORUS_TRY(const int byte, peek());
    if (byte == kEnd) return false;
    if (byte != '\n' && byte != '\r') break;
    CHORUS_OK(take_line_end());
  }
  for (;;) {
    CHORUS_OK(read_field());
    CHORUS_TRY(const int byte, peek());
    if (byte == kEnd) return true;
    if (byte != separator_) break;
    CHORUS_OK(take());
  }
  CHORUS_OK(take_line_end());
  return true;
}

}  // namespace chorus::client
