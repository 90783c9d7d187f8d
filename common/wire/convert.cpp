#include "common/wire/convert.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::wire {
namespace {

// Length of the UTF-8 sequence at the front of `text`, 0 if it is not one.
std::size_t utf8_length(std::string_view text) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xC0U) != 0x80U) return 0;
  }
  // Overlong forms, surrogates and beyond U+10FFFF.
  if ((lead == 0xE0 && at(1) < 0xA0) || (lead == 0xED && at(1) > 0x9F)) return 0;
  if ((lead == 0xF0 && at(1) < 0x90) || (lead == 0xF4 && at(1) > 0x8F)) return 0;
  return length;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 80;
  std::string shown = "'" + text_to(text.substr(0, kShown), kShown);
  return shown + (text.size() > kShown ? "…'" : "'");
}

}  // namespace

Failure malformed(const Field& field, std::string_view found, std::string_view expected) {
  return fail(errc::malformed_message,
              std::string(field.message) + "." + std::string(field.name) + ": " +
                  std::string(found) + "; expected " + std::string(expected));
}

Result<std::string> name_from(const Field& field, const std::string& text) {
  if (!valid_name(text)) {
    return malformed(field,
                     quoted(text),
                     "a name of 1 to " + std::to_string(limits::kNameBytesMax) +
                         " characters a-z 0-9 . _ -, beginning with a letter or digit");
  }
  return text;
}

Result<std::string> optional_name_from(const Field& field, const std::string& text) {
  if (text.empty()) return text;
  return name_from(field, text);
}

Result<std::string> text_from(const Field& field, const std::string& text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return malformed(
        field, std::to_string(text.size()) + " bytes", "at most " + std::to_string(bytes_max));
  }
  return text;
}

Result<Sha256> sha256_from(const Field& field, const std::string& bytes) {
  Sha256 digest;
  if (bytes.size() != digest.bytes.size()) {
    return malformed(field,
                     std::to_string(bytes.size()) + " bytes",
                     std::to_string(digest.bytes.size()) + " (SHA-256)");
  }
  std::memcpy(digest.bytes.data(), bytes.data(), bytes.size());
  return digest;
}

Result<Duration> duration_from(const Field& field, std::uint64_t milliseconds) {
  constexpr auto kMax = std::chrono::duration_cast<Duration>(limits::kSpanMax).count();
  if (milliseconds > static_cast<std::uint64_t>(kMax)) {
    return malformed(field,
                     std::to_string(milliseconds) + " ms",
                     "at most " + std::to_string(kMax) + " ms (one year)");
  }
  return Duration(static_cast<Duration::rep>(milliseconds));
}

Result<errc> code_from(const Field& field, std::uint32_t number) {
  if (number == 0) return malformed(field, "0", "the number of an error code");
  return errc_from_number(number);
}

Result<double> finite_from(const Field& field, double value) {
  if (!std::isfinite(value)) return malformed(field, std::to_string(value), "a finite number");
  return value;
}

Result<std::vector<std::byte>> blob_from(const Field& field,
                                         const std::string& bytes,
                                         std::size_t bytes_max) {
  if (bytes.empty() || bytes.size() > bytes_max) {
    return malformed(
        field, std::to_string(bytes.size()) + " bytes", "1 to " + std::to_string(bytes_max));
  }
  const auto view = std::as_bytes(std::span(bytes));
  return std::vector<std::byte>(view.begin(), view.end());
}

Result<std::uint64_t> offset_from(const Field& field, std::uint64_t offset) {
  if (offset > limits::kModelBytesMax) {
    return malformed(
        field, std::to_string(offset), "at most " + std::to_string(limits::kModelBytesMax));
  }
  return offset;
}

Result<TaskRef> task_from(std::string_view message, bool present, const pb::TaskRef& proto) {
  if (!present) return malformed({message, "task"}, "missing", "job, round and kind");
  TaskRef task;
  CHORUS_TRY(task.job.value, name_from({message, "task.job"}, proto.job()));
  if (proto.round() == 0) return malformed({message, "task.round"}, "0", "a round, from 1");
  task.round.value = proto.round();
  switch (proto.kind()) {
    case pb::TaskRef::KIND_TRAIN:
      task.kind = TaskKind::train;
      return task;
    case pb::TaskRef::KIND_EVALUATE:
      task.kind = TaskKind::evaluate;
      return task;
    default:
      return malformed({message, "task.kind"},
                       std::to_string(static_cast<int>(proto.kind())),
                       "train (1) or evaluate (2)");
  }
}

std::string bytes_to(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string text_to(std::string_view text, std::size_t bytes_max) {
  std::string clean;
  clean.reserve(std::min(text.size(), bytes_max));
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (clean.size() + std::max<std::size_t>(length, 1) > bytes_max) break;
    if (length == 0) {
      clean += '?';
    } else {
      clean += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return clean;
}

std::uint64_t duration_to(Duration duration) {
  const Duration max = std::chrono::duration_cast<Duration>(limits::kSpanMax);
  return static_cast<std::uint64_t>(std::clamp(duration, Duration::zero(), max).count());
}

void task_to(const TaskRef& task, pb::TaskRef* proto) {
  proto->set_job(task.job.value);
  proto->set_round(task.round.value);
  proto->set_kind(task.kind == TaskKind::train ? pb::TaskRef::KIND_TRAIN
                                               : pb::TaskRef::KIND_EVALUATE);
}

}  // namespace chorus::wire
