// RIFF WAVE: "RIFF", length, "WAVE", then chunks of a name, a length and bytes; "fmt " says what
// the bytes of "data" are.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <string_view>

#include "chorus/client/audio.hpp"
#include "client/train/data/gzip_file.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

constexpr unsigned kPcm = 1;
constexpr unsigned kFloat = 3;
constexpr unsigned kExtensible = 0xFFFE;
constexpr std::size_t kFormatBytesMax = 1024;
constexpr std::size_t kBufferBytes = 64U << 10U;

std::uint64_t whole_at(std::span<const std::byte> bytes, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = count; i-- > 0;) {
    value = value << 8U | std::to_integer<std::uint64_t>(bytes[at + i]);
  }
  return value;
}

struct WavFormat {
  unsigned kind = 0;
  unsigned channels = 0;
  std::uint32_t rate = 0;
  unsigned bits = 0;

  std::size_t frame_bytes() const { return std::size_t{channels} * bits / 8; }
};

class WavReader {
 public:
  WavReader(GzipFile file, std::uint64_t bytes_max)
      : file_(std::move(file)), bytes_max_(bytes_max) {}

  Result<Sound> read() {
    std::array<std::byte, 12> start{};
    CHORUS_TRY(const std::size_t got, file_.read(start));
    if (got < start.size() || std::memcmp(start.data(), "RIFF", 4) != 0 ||
        std::memcmp(start.data() + 8, "WAVE", 4) != 0) {
      return malformed("it is no WAV file (RIFF … WAVE)");
    }
    for (bool known = false;;) {
      std::array<std::byte, 8> head{};
      CHORUS_TRY(const std::size_t head_got, file_.read(head));
      if (head_got < head.size()) {
        return malformed(known ? "it ends before its data" : "it ends before its format");
      }
      const std::uint64_t bytes = whole_at(head, 4, 4);
      if (std::memcmp(head.data(), "fmt ", 4) == 0) {
        CHORUS_OK(read_format(bytes));
        known = true;
      } else if (std::memcmp(head.data(), "data", 4) == 0) {
        if (!known) return malformed("its data comes before its format");
        return read_data(bytes);
      } else {
        CHORUS_OK(skip(bytes));
      }
      CHORUS_OK(skip(bytes % 2));  // chunks begin at even places
    }
  }

 private:
  Failure malformed(std::string_view detail) const {
    return fail(errc::malformed_file, fmt::format("{}: {}", file_.name(), detail));
  }

  Result<void> skip(std::uint64_t bytes) {
    std::vector<std::byte> buffer(std::min<std::uint64_t>(bytes, kBufferBytes));
    while (bytes > 0) {
      const auto some = std::span(buffer).first(std::min<std::uint64_t>(bytes, buffer.size()));
      CHORUS_TRY(const std::size_t got, file_.read(some));
      if (got < some.size()) return malformed("it ends within a chunk");
      bytes -= got;
    }
    return {};
  }

  Result<void> read_format(std::uint64_t bytes) {
    if (bytes < 16 || bytes > kFormatBytesMax) {
      return malformed(
          fmt::format("its format takes {} bytes; expected 16 to {}", bytes, kFormatBytesMax));
    }
    std::vector<std::byte> chunk(bytes);
    CHORUS_TRY(const std::size_t got, file_.read(chunk));
    if (got < chunk.size()) return malformed("it ends within its format");
    format_.kind = static_cast<unsigned>(whole_at(chunk, 0, 2));
    format_.channels = static_cast<unsigned>(whole_at(chunk, 2, 2));
    format_.rate = static_cast<std::uint32_t>(whole_at(chunk, 4, 4));
    format_.bits = static_cast<unsigned>(whole_at(chunk, 14, 2));
    // An extensible format names the kind again, as the beginning of a GUID.
    if (format_.kind == kExtensible && bytes >= 26) {
      format_.kind = static_cast<unsigned>(whole_at(chunk, 24, 2));
    }
    const unsigned bits = format_.bits;
    const bool pcm = format_.kind == kPcm && (bits == 8 || bits == 16 || bits == 24 || bits == 32);
    if (!pcm && !(format_.kind == kFloat && (bits == 32 || bits == 64))) {
      return malformed(
          fmt::format("its samples have format {} and {} bits; expected PCM (1) of 8, 16, 24 or 32 "
                      "bits, or float (3) of 32 or 64 bits",
                      format_.kind,
                      bits));
    }
    if (format_.channels == 0 || format_.rate == 0 ||
        whole_at(chunk, 12, 2) != format_.frame_bytes()) {
      return malformed(fmt::format("{} channels, {} Hz and frames of {} bytes do not fit together",
                                   format_.channels,
                                   format_.rate,
                                   whole_at(chunk, 12, 2)));
    }
    return {};
  }

  double sample_at(std::span<const std::byte> bytes, std::size_t at) const {
    const std::size_t width = format_.bits / 8;
    if (format_.kind == kFloat && width == 4) {
      float value = 0;
      std::memcpy(&value, bytes.data() + at, width);
      return value;
    }
    if (format_.kind == kFloat) {
      double value = 0;
      std::memcpy(&value, bytes.data() + at, width);
      return value;
    }
    if (width == 1) return (static_cast<double>(whole_at(bytes, at, 1)) - 128.0) / 128.0;
    const double half = std::ldexp(1.0, static_cast<int>(format_.bits) - 1);
    const auto value = static_cast<double>(whole_at(bytes, at, width));
    return (value >= half ? value - 2 * half : value) / half;
  }

  Result<Sound> read_data(std::uint64_t bytes) {
    const std::size_t frame = format_.frame_bytes();
    if (bytes == 0 || bytes % frame != 0) {
      return malformed(
          fmt::format("its data takes {} bytes; expected a multiple of {}", bytes, frame));
    }
    const std::uint64_t frames = bytes / frame;
    if (frames > bytes_max_ / sizeof(float)) {
      return malformed(
          fmt::format("its {} samples need more than {} bytes of memory", frames, bytes_max_));
    }
    Sound sound;
    sound.sample_rate = format_.rate;
    std::vector<std::byte> buffer(std::max(frame, kBufferBytes / frame * frame));
    while (sound.samples.size() < frames) {
      const std::uint64_t left = (frames - sound.samples.size()) * frame;
      const auto some = std::span(buffer).first(std::min<std::uint64_t>(left, buffer.size()));
      CHORUS_TRY(const std::size_t got, file_.read(some));
      if (got < some.size()) {
        return malformed(fmt::format(
            "it ends after {} of {} samples", sound.samples.size() + got / frame, frames));
      }
      CHORUS_OK(add_frames(some, sound));
    }
    return sound;
  }

  Result<void> add_frames(std::span<const std::byte> bytes, Sound& sound) const {
    const std::size_t frame = format_.frame_bytes();
    for (std::size_t at = 0; at < bytes.size(); at += frame) {
      double sum = 0.0;
      for (std::size_t i = 0; i < frame; i += format_.bits / 8) sum += sample_at(bytes, at + i);
      const auto mixed = static_cast<float>(sum / format_.channels);
      if (!std::isfinite(mixed)) {
        return fail(errc::not_finite,
                    fmt::format("{}: sample {} is not finite", file_.name(), sound.samples.size()));
      }
      sound.samples.push_back(mixed);
    }
    return {};
  }

  GzipFile file_;
  std::uint64_t bytes_max_;
  WavFormat format_;
};

}  // namespace

Result<Sound> load_wav(const std::filesystem::path& path, std::uint64_t bytes_max) {
  CHORUS_TRY(GzipFile file, GzipFile::open(path));
  return WavReader(std::move(file), bytes_max).read();
}

}  // namespace chorus::client
