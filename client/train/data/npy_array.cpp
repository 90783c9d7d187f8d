#include "client/train/data/npy_array.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <optional>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kBufferBytes = 256U << 10U;
constexpr std::string_view kMagic = "\x93NUMPY";

// The dictionary that stands in front of the values. Not Python: just what NumPy writes.
class HeaderText {
 public:
  explicit HeaderText(std::string_view text) : text_(text) {}

  bool take(char wanted) {
    skip_spaces();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  bool take_word(std::string_view word) {
    skip_spaces();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  std::optional<std::string_view> take_string() {
    skip_spaces();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return std::nullopt;
    const auto end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return std::nullopt;
    const auto found = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return found;
  }

  std::optional<std::uint64_t> take_whole() {
    skip_spaces();
    std::uint64_t value = 0;
    const char* const end = text_.data() + text_.size();
    const auto [next, error] = std::from_chars(text_.data() + at_, end, value);
    if (error != std::errc()) return std::nullopt;
    at_ = static_cast<std::size_t>(next - text_.data());
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote 10L
    return value;
  }

  bool at_end() {
    skip_spaces();
    return at_ == text_.size();
  }

 private:
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::string excerpt(std::string_view text) {
  constexpr std::size_t kShown = 40;
  std::string shown;
  for (const char c : text.substr(0, kShown)) shown += c >= ' ' && c <= '~' ? c : '?';
  return text.size() <= kShown ? shown : shown + "…";
}

Failure bad_type(const ByteSource& source, std::string_view descr) {
  const bool big = descr.starts_with('>');
  return malformed_npy(
      source,
      fmt::format("its type is {}'{}'; expected little-endian '<f4', '<f8', or integers of 1 to 8 "
                  "bytes ('|u1' to '<i8'); convert it with array.astype({})",
                  big ? "big-endian " : "",
                  excerpt(descr),
                  big ? fmt::format("'<{}'", excerpt(descr.substr(1))) : "'<f4'"));
}

Result<void> set_type(const ByteSource& source, std::string_view descr, NpyHeader& header) {
  if (descr.size() != 3) return bad_type(source, descr);
  const char order = descr[0];
  const auto bytes = static_cast<std::size_t>(descr[2] - '0');
  const bool is_float = descr[1] == 'f' && (bytes == 4 || bytes == 8);
  const bool is_whole = (descr[1] == 'i' || descr[1] == 'u') &&
                        (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
  // One byte has no order: NumPy writes '|', others write '<'.
  const bool ordered = order == '<' || (order == '|' && bytes == 1);
  if (!(is_float || is_whole) || !ordered) return bad_type(source, descr);
  header.kind = descr[1];
  header.value_bytes = bytes;
  return {};
}

// "(10, 8)", "(10,)" or "()".
bool read_shape(HeaderText& text, std::vector<std::uint64_t>& shape) {
  if (!text.take('(')) return false;
  while (!text.take(')')) {
    const auto extent = text.take_whole();
    if (!extent.has_value() || shape.size() == limits::kTensorRankMax) return false;
    shape.push_back(*extent);
    if (text.take(',')) continue;
    return text.take(')');
  }
  return true;
}

// Each of the three keys once, in any order.
struct Keys {
  bool descr = false;
  bool order = false;
  bool shape = false;
};

Result<void> read_entry(const ByteSource& source, HeaderText& text, NpyHeader& header, Keys& seen) {
  const auto key = text.take_string();
  if (!key.has_value() || !text.take(':')) {
    return malformed_npy(source,
                         "its header is no dictionary of 'descr', 'fortran_order', 'shape'");
  }
  if (*key == "descr" && !std::exchange(seen.descr, true)) {
    const auto descr = text.take_string();
    if (descr.has_value()) return set_type(source, *descr, header);
    return malformed_npy(source, "it is a structured array; expected plain numbers");
  }
  if (*key == "fortran_order" && !std::exchange(seen.order, true)) {
    header.fortran_order = text.take_word("True");
    if (header.fortran_order || text.take_word("False")) return {};
    return malformed_npy(source, "fortran_order in its header is neither True nor False");
  }
  if (*key == "shape" && !std::exchange(seen.shape, true)) {
    if (read_shape(text, header.shape)) return {};
    return malformed_npy(source,
                         fmt::format("the shape in its header is no tuple of at most {} whole "
                                     "numbers",
                                     limits::kTensorRankMax));
  }
  return malformed_npy(
      source,
      fmt::format("its header has a key '{}' too much; expected 'descr', 'fortran_order' and "
                  "'shape', once each",
                  excerpt(*key)));
}

Result<NpyHeader> parse_header(const ByteSource& source, std::string_view bytes) {
  HeaderText text(bytes);
  NpyHeader header;
  Keys seen;
  bool open = text.take('{');
  if (!open) return malformed_npy(source, "its header does not begin with '{'");
  while (open && !text.take('}')) {
    CHORUS_OK(read_entry(source, text, header, seen));
    if (text.take(',')) continue;
    open = false;
    if (!text.take('}')) return malformed_npy(source, "its header does not end with '}'");
  }
  if (!text.at_end()) return malformed_npy(source, "there is text behind its header's '}'");
  if (!seen.descr || !seen.order || !seen.shape) {
    return malformed_npy(source,
                         fmt::format("its header has no key '{}'",
                                     !seen.descr   ? "descr"
                                     : !seen.order ? "fortran_order"
                                                   : "shape"));
  }
  for (const std::uint64_t extent : header.shape) {
    const bool fits = !__builtin_mul_overflow(header.count, extent, &header.count) &&
                      header.count <= std::numeric_limits<std::uint64_t>::max() / 8;
    if (extent > 0 && fits) continue;
    return malformed_npy(
        source,
        fmt::format("the shape {} {}", header.shape_text(), fits ? "is empty" : "is impossible"));
  }
  return header;
}

template <class T, class Take>
void each_value(std::span<const std::byte> bytes, Take& take) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    take(value);
  }
}

// Reads header.count values in the file's order and hands each to `take`.
template <class T, class Take>
Result<void> read_values(ByteSource& source, const NpyHeader& header, Take take) {
  std::vector<std::byte> buffer(kBufferBytes);
  std::uint64_t done = 0;
  while (done < header.count) {
    const auto now = static_cast<std::size_t>(
        std::min<std::uint64_t>(header.count - done, kBufferBytes / sizeof(T)));
    const auto wanted = std::span(buffer).first(now * sizeof(T));
    CHORUS_TRY(const std::size_t got, source.read(wanted));
    if (got < wanted.size()) {
      return malformed_npy(source,
                           fmt::format("it ends after {} of the {} values that its shape {} "
                                       "announces",
                                       done + got / sizeof(T),
                                       header.count,
                                       header.shape_text()));
    }
    each_value<T>(wanted, take);
    done += now;
  }
  CHORUS_TRY(const std::size_t more, source.read(std::span(buffer).first(1)));
  if (more == 0) return {};
  return malformed_npy(source,
                       fmt::format("it holds more than the {} values that its shape {} announces",
                                   header.count,
                                   header.shape_text()));
}

// work(T{}) with the type of the values.
template <class Work>
auto with_type(const NpyHeader& header, Work work) {
  const bool is_signed = header.kind == 'i';
  if (header.kind == 'f') return header.value_bytes == 4 ? work(float{}) : work(double{});
  switch (header.value_bytes) {
    case 1:
      return is_signed ? work(std::int8_t{}) : work(std::uint8_t{});
    case 2:
      return is_signed ? work(std::int16_t{}) : work(std::uint16_t{});
    case 4:
      return is_signed ? work(std::int32_t{}) : work(std::uint32_t{});
    default:
      return is_signed ? work(std::int64_t{}) : work(std::uint64_t{});
  }
}

template <class Take>
Result<void> read_any(ByteSource& source, const NpyHeader& header, Take take) {
  return with_type(header,
                   [&](auto zero) { return read_values<decltype(zero)>(source, header, take); });
}

// Where the values of the file's order belong in C order.
class Places {
 public:
  explicit Places(const NpyHeader& header) : header_(header), index_(header.shape.size()) {
    strides_.resize(header.shape.size());
    std::size_t stride = 1;
    for (std::size_t i = strides_.size(); i-- > 0;) {
      strides_[i] = stride;
      stride *= static_cast<std::size_t>(header.shape[i]);
    }
  }

  std::size_t next() {
    const std::size_t place = place_;
    if (!header_.fortran_order) {
      ++place_;
      return place;
    }
    for (std::size_t i = 0; i < index_.size(); ++i) {
      place_ += strides_[i];
      if (++index_[i] < header_.shape[i]) break;
      place_ -= strides_[i] * static_cast<std::size_t>(header_.shape[i]);
      index_[i] = 0;
    }
    return place;
  }

 private:
  const NpyHeader& header_;
  std::vector<std::size_t> strides_;
  std::vector<std::uint64_t> index_;
  std::size_t place_ = 0;
};

}  // namespace

std::string NpyHeader::shape_text() const {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

std::string NpyHeader::type_text() const {
  const char* const name = kind == 'f' ? "float" : kind == 'i' ? "int" : "uint";
  return fmt::format("{}{}", name, 8 * value_bytes);
}

Failure malformed_npy(const ByteSource& source, std::string_view detail) {
  return fail(errc::malformed_file, fmt::format("{}: {}", source.name(), detail));
}

Result<NpyHeader> read_npy_header(ByteSource& source) {
  std::array<std::byte, 12> start{};  // magic, version, and the length in 2 or 4 bytes
  CHORUS_TRY(const std::size_t got, source.read(std::span(start).first(8)));
  if (got < 8 || std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0) {
    const bool zip = start[0] == std::byte{'P'} && start[1] == std::byte{'K'};
    return malformed_npy(
        source,
        fmt::format("it is no array file of NumPy (.npy){}",
                    zip ? "; it looks like an .npz, which is read as archive" : ""));
  }
  const auto major = std::to_integer<unsigned>(start[6]);
  const auto minor = std::to_integer<unsigned>(start[7]);
  if (major < 1 || major > 3 || minor != 0) {
    return malformed_npy(
        source, fmt::format("its format version is {}.{}; expected 1.0, 2.0 or 3.0", major, minor));
  }
  const auto length_bytes = std::span(start).subspan(8, major == 1 ? 2 : 4);
  CHORUS_TRY(const std::size_t length_got, source.read(length_bytes));
  std::size_t length = 0;
  for (std::size_t i = length_bytes.size(); i-- > 0;) {
    length = length << 8U | std::to_integer<std::size_t>(length_bytes[i]);
  }
  if (length > limits::kNpyHeaderBytesMax) {
    return malformed_npy(
        source,
        fmt::format(
            "its header has {} bytes; at most {} are allowed", length, limits::kNpyHeaderBytesMax));
  }
  std::string text(length, '\0');
  CHORUS_TRY(const std::size_t text_got, source.read(std::as_writable_bytes(std::span(text))));
  if (length_got < length_bytes.size() || text_got < length) {
    return malformed_npy(source, "it ends within its header");
  }
  return parse_header(source, text);
}

void npy_floats(const NpyHeader& header,
                std::span<const std::byte> bytes,
                double divide_by,
                std::span<float> into) {
  CHORUS_ASSERT(bytes.size() == into.size() * header.value_bytes);
  float* next = into.data();
  const auto take = [&](auto value) {
    *next++ = static_cast<float>(static_cast<double>(value) / divide_by);
  };
  with_type(header, [&](auto zero) { each_value<decltype(zero)>(bytes, take); });
}

Result<std::vector<float>> read_npy_floats(ByteSource& source,
                                           const NpyHeader& header,
                                           double divide_by) {
  std::vector<float> values(header.count);
  Places places(header);
  CHORUS_OK(read_any(source, header, [&](auto value) {
    values[places.next()] = static_cast<float>(static_cast<double>(value) / divide_by);
  }));
  return values;
}

Result<std::vector<std::int64_t>> read_npy_whole(ByteSource& source, const NpyHeader& header) {
  std::vector<std::int64_t> values;
  values.reserve(header.count);
  CHORUS_OK(read_any(source, header, [&](auto value) {
    values.push_back(static_cast<std::int64_t>(value));  // 2^63 and more: negative, see below
  }));
  if (header.kind == 'i') return values;
  const auto wrapped = std::find_if(values.begin(), values.end(), [](auto v) { return v < 0; });
  if (wrapped == values.end()) return values;
  return malformed_npy(source,
                       fmt::format("value {} is {}; expected less than 2^63",
                                   wrapped - values.begin(),
                                   static_cast<std::uint64_t>(*wrapped)));
}

}  // namespace chorus::client
