#include "client/train/data/csv_reader.hpp"

#include <algorithm>
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
  return fail(errc::malformed_file,
              fmt::format("{} line {}{}: {}", name_, record_line_, where, detail));
}

void CsvReader::start(std::span<const std::byte> records) {
  buffer_.assign(records.begin(), records.end());
  before_ = position_ = 0;
  started_ = true;  // no byte order mark is here
  line_ = 1;
}

Result<int> CsvReader::peek() {
  if (position_ == buffer_.size()) {
    if (source_ == nullptr) return kEnd;
    before_ += std::exchange(position_, 0);
    buffer_.resize(kBufferBytes);
    auto got = source_->read(buffer_);
    buffer_.resize(got ? *got : 0);
    if (!got) return std::move(got).error();
    if (buffer_.empty()) return kEnd;
  }
  return std::to_integer<int>(buffer_[position_]);
}

Result<int> CsvReader::take() {
  CHORUS_TRY(const int byte, peek());
  if (byte != kEnd) ++position_;
  return byte;
}

Result<void> CsvReader::append(std::string& field, std::span<const std::byte> bytes) {
  if (bytes.size() > limits::kCsvFieldBytesMax - field.size()) {
    return malformed(fields_.size() + 1,
                     fmt::format("the field has more than {} bytes; is a quote missing?",
                                 limits::kCsvFieldBytesMax));
  }
  field.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return {};
}

std::span<const std::byte> CsvReader::plain_part() const {
  const auto rest = std::span(buffer_).subspan(position_);
  const auto end = std::find_if(rest.begin(), rest.end(), [this](std::byte one) {
    const char c = std::to_integer<char>(one);
    return c == separator_ || c == '\n' || c == '\r';
  });
  return rest.first(static_cast<std::size_t>(end - rest.begin()));
}

Result<void> CsvReader::read_plain(std::string& field) {
  for (;;) {
    const auto part = plain_part();
    CHORUS_OK(append(field, part));
    position_ += part.size();
    if (position_ < buffer_.size()) return {};
    CHORUS_TRY(const int byte, peek());
    if (byte == kEnd) return {};
  }
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
    const std::byte one[] = {static_cast<std::byte>(byte)};
    CHORUS_OK(append(field, one));
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
    CHORUS_OK(read_plain(field));
  }
  if (fields_.size() == limits::kCsvColumnsMax) {
    return malformed(0, fmt::format("there are more than {} columns", limits::kCsvColumnsMax));
  }
  fields_.push_back(std::move(field));
  return {};
}

// Nearly all of a table is read here; what is left is read_field()'s.
void CsvReader::take_plain_fields() {
  while (position_ < buffer_.size() && fields_.size() < limits::kCsvColumnsMax) {
    const auto part = plain_part();
    const std::size_t end = position_ + part.size();
    if (end == buffer_.size() || std::to_integer<char>(buffer_[end]) != separator_) return;
    if (part.size() > limits::kCsvFieldBytesMax) return;
    if (!part.empty() && part.front() == std::byte{'"'}) return;
    fields_.emplace_back(reinterpret_cast<const char*>(part.data()), part.size());
    position_ = end + 1;
  }
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
    record_begin_ = before_ + position_;
    CHORUS_TRY(const int byte, peek());
    if (byte == kEnd) return false;
    if (byte != '\n' && byte != '\r') break;
    CHORUS_OK(take_line_end());
  }
  for (;;) {
    take_plain_fields();
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
