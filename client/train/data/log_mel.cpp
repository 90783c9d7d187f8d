// Sound as log-mel features; the formula stands in chorus/client/audio.hpp.
#include <bit>
#include <cmath>
#include <complex>
#include <fmt/format.h>
#include <numbers>
#include <utility>

#include "chorus/client/audio.hpp"
#include "client/train/data/class_folders.hpp"
#include "client/train/data/folder_source.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

constexpr std::uint32_t kFftMax = 1U << 16U;

double hz_max_of(const LogMelOptions& options) {
  return options.hz_max == 0.0 ? options.sample_rate / 2.0 : options.hz_max;
}

Result<void> check(const LogMelOptions& options) {
  const auto wrong = [](std::string_view name, auto value, std::string_view expected) {
    return fail(errc::invalid_argument,
                fmt::format("log-mel: {} is {}; expected {}", name, value, expected));
  };
  if (options.sample_rate == 0) return wrong("sample_rate", 0, "a number of Hz above 0");
  if (!std::has_single_bit(options.fft) || options.fft < 2 || options.fft > kFftMax) {
    return wrong("fft", options.fft, fmt::format("a power of two from 2 to {}", kFftMax));
  }
  if (options.window < 2 || options.window > options.fft) {
    return wrong("window", options.window, fmt::format("2 to fft = {}", options.fft));
  }
  if (options.hop == 0) return wrong("hop", 0, "1 or more");
  if (options.mels == 0 || options.mels > options.fft / 2) {
    return wrong("mels", options.mels, fmt::format("1 to fft / 2 = {}", options.fft / 2));
  }
  const double most = options.sample_rate / 2.0;
  if (!(options.hz_min >= 0.0 && hz_max_of(options) <= most &&
        options.hz_min < hz_max_of(options))) {
    return wrong("the range of frequencies",
                 fmt::format("{} to {} Hz", options.hz_min, hz_max_of(options)),
                 fmt::format("a rising range within 0 to {} Hz", most));
  }
  if (!(options.epsilon > 0.0) || !std::isfinite(options.epsilon)) {
    return wrong("epsilon", options.epsilon, "a number above 0");
  }
  return {};
}

// exp(−2πj k / n) for k < n / 2.
std::vector<std::complex<double>> roots(std::size_t n) {
  std::vector<std::complex<double>> all;
  for (std::size_t k = 0; k < n / 2; ++k) {
    all.push_back(
        std::polar(1.0, -2.0 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n)));
  }
  return all;
}

// In place, radix 2 (Cooley and Tukey). @pre values.size() is a power of two
void transform(std::span<std::complex<double>> values, std::span<const std::complex<double>> root) {
  const std::size_t n = values.size();
  for (std::size_t i = 1, j = 0; i < n; ++i) {  // bits of the index reversed
    std::size_t bit = n >> 1U;
    for (; (j & bit) != 0; bit >>= 1U) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(values[i], values[j]);
  }
  for (std::size_t length = 2; length <= n; length *= 2) {
    for (std::size_t first = 0; first < n; first += length) {
      for (std::size_t k = 0; k < length / 2; ++k) {
        const auto odd = values[first + k + length / 2] * root[k * (n / length)];
        values[first + k + length / 2] = values[first + k] - odd;
        values[first + k] += odd;
      }
    }
  }
}

// H: weights of each point of the spectrum, band by band.
std::vector<double> filter_bank(const LogMelOptions& options) {
  const auto mel = [](double hz) { return 2595.0 * std::log10(1.0 + hz / 700.0); };
  const double low = mel(options.hz_min);
  const double step = (mel(hz_max_of(options)) - low) / (options.mels + 1);
  std::vector<double> edges;
  for (std::uint32_t m = 0; m < options.mels + 2; ++m) {
    edges.push_back(700.0 * (std::pow(10.0, (low + m * step) / 2595.0) - 1.0));
  }
  std::vector<double> weights;
  for (std::uint32_t m = 0; m < options.mels; ++m) {
    for (std::uint32_t k = 0; k <= options.fft / 2; ++k) {
      const double hz = static_cast<double>(k) * options.sample_rate / options.fft;
      const double rising = (hz - edges[m]) / (edges[m + 1] - edges[m]);
      const double falling = (edges[m + 2] - hz) / (edges[m + 2] - edges[m + 1]);
      weights.push_back(std::max(0.0, std::min(rising, falling)));
    }
  }
  return weights;
}

// What is made once for many clips.
class LogMel {
 public:
  explicit LogMel(const LogMelOptions& options)
      : options_(options), roots_(roots(options.fft)), weights_(filter_bank(options)) {
    for (std::uint32_t i = 0; i < options.window; ++i) {
      hann_.push_back(0.5 - 0.5 * std::cos(2.0 * std::numbers::pi * i / options.window));
    }
  }

  std::size_t frames(std::size_t samples) const {
    return samples < options_.window ? 0 : 1 + (samples - options_.window) / options_.hop;
  }

  // @pre into.size() == mels × frames(samples.size())
  void features(std::span<const float> samples, std::span<float> into) const {
    const std::size_t count = frames(samples.size());
    std::vector<std::complex<double>> values(options_.fft);
    std::vector<double> power(options_.fft / 2 + 1);
    for (std::size_t t = 0; t < count; ++t) {
      std::fill(values.begin(), values.end(), std::complex<double>());
      const auto window = samples.subspan(t * options_.hop, options_.window);
      for (std::size_t i = 0; i < window.size(); ++i) values[i] = hann_[i] * double{window[i]};
      transform(values, roots_);
      for (std::size_t k = 0; k < power.size(); ++k) power[k] = std::norm(values[k]);
      for (std::size_t m = 0; m < options_.mels; ++m) {
        double sum = options_.epsilon;
        for (std::size_t k = 0; k < power.size(); ++k) {
          sum += weights_[m * power.size() + k] * power[k];
        }
        into[m * count + t] = static_cast<float>(std::log(sum));
      }
    }
  }

 private:
  LogMelOptions options_;
  std::vector<std::complex<double>> roots_;
  std::vector<double> weights_;
  std::vector<double> hann_;
};

// The clip as the options want it.
Result<Sound> load_clip(const WavFolderOptions& options, const std::filesystem::path& path) {
  CHORUS_TRY(Sound sound, load_wav(path, options.bytes_max));
  if (sound.sample_rate != options.features.sample_rate) {
    return fail(errc::malformed_file,
                fmt::format("'{}' has {} Hz; expected {} Hz (sample_rate): convert it, there is no "
                            "resampling",
                            path.string(),
                            sound.sample_rate,
                            options.features.sample_rate));
  }
  if (options.samples > 0) sound.samples.resize(options.samples, 0.0F);
  return sound;
}

Failure wrong_length(const std::filesystem::path& path,
                     std::size_t samples,
                     const std::string& expected) {
  return fail(errc::malformed_file,
              fmt::format("'{}' has {} samples; expected {}", path.string(), samples, expected));
}

}  // namespace

Result<std::vector<float>> log_mel(std::span<const float> samples, const LogMelOptions& options) {
  CHORUS_OK(check(options));
  if (samples.size() < options.window) {
    return fail(errc::invalid_argument,
                fmt::format("log-mel: there are {} samples; expected at least one window of {}",
                            samples.size(),
                            options.window));
  }
  const LogMel maker(options);
  std::vector<float> features(options.mels * maker.frames(samples.size()));
  maker.features(samples, features);
  return features;
}

Result<FolderDataset> load_wav_folder(const WavFolderOptions& options) {
  CHORUS_OK(check(options.features));
  if (options.samples > options.bytes_max / sizeof(float)) {
    return fail(errc::invalid_argument,
                fmt::format("clips of {} samples need more than {} bytes of memory",
                            options.samples,
                            options.bytes_max));
  }
  CHORUS_TRY(ClassFolders classes, list_classes(options.folder, {".wav"}));
  // The first clip says how long all are.
  const std::filesystem::path model = classes.files[0].path;
  CHORUS_TRY(const Sound first, load_clip(options, model));
  const std::size_t samples = first.samples.size();
  const std::size_t frames = LogMel(options.features).frames(samples);
  if (frames == 0) {
    return wrong_length(
        model, samples, fmt::format("at least one window of {}", options.features.window));
  }
  const auto decode = [=, maker = LogMel(options.features)](
                          const std::filesystem::path& path,
                          std::span<float> features) -> Result<void> {
    CHORUS_TRY(const Sound sound, load_clip(options, path));
    if (sound.samples.size() != samples) {
      return wrong_length(
          path,
          sound.samples.size(),
          fmt::format("{} as '{}' has; set samples to cut or fill clips", samples, model.string()));
    }
    maker.features(sound.samples, features);
    return {};
  };
  return read_classes(std::move(classes),
                      {options.folder,
                       {1, options.features.mels, frames},
                       decode,
                       options.stream,
                       options.bytes_max});
}

}  // namespace chorus::client
