// Sound: WAV files, and what a model hears of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/export.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// One channel of sound.
struct Sound {
  std::uint32_t sample_rate = 0;  ///< Hz
  std::vector<float> samples;     ///< in [-1, 1] if the file has integers
};

/// Reads a RIFF WAVE file: PCM of 8 (unsigned), 16, 24 or 32 bits, or IEEE float of 32 or 64 bits,
/// also as WAVE_FORMAT_EXTENSIBLE. An integer of b bits becomes value / 2^(b-1); channels are
/// averaged.
/// @param bytes_max  of the samples in memory, 4 each
/// @errors not_found, io_failed; malformed_file: naming the file, what was found and what was
///         expected; not_finite
CHORUS_EXPORT Result<Sound> load_wav(const std::filesystem::path& path,
                                     std::uint64_t bytes_max = kDatasetBytesDefault);

/// Defaults: windows of 25 ms every 10 ms at 16 kHz.
struct LogMelOptions {
  std::uint32_t sample_rate = 16'000;  ///< Hz
  std::uint32_t window = 400;          ///< samples of one window, 2 to fft
  std::uint32_t hop = 160;             ///< samples from one window to the next, 1 or more
  std::uint32_t fft = 512;             ///< points of the transform: a power of two, up to 65,536
  std::uint32_t mels = 40;             ///< bands, 1 to fft / 2
  double hz_min = 20.0;                ///< lower edge of the lowest band, 0 or more
  double hz_max = 0.0;                 ///< upper edge of the highest; 0: sample_rate / 2
  double epsilon = 1e-6;               ///< added before the logarithm, above 0
};

/// Log-mel features f32[mels × frames], band by band, frames = 1 + ⌊(samples − window) / hop⌋:
///
///     out[m, t] = ln(ε + Σ_k H_m(k · sample_rate / fft) · P[t, k]),           k = 0 … fft / 2
///     P[t, k]   = |Σ_i w[i] · x[t · hop + i] · exp(−2πj k i / fft)|²,         i < window
///     w[i]      = ½ − ½ cos(2π i / window)                                    (periodic Hann)
///     H_m(f)    = max(0, min((f − f_m) / (f_{m+1} − f_m), (f_{m+2} − f) / (f_{m+2} − f_{m+1})))
///
/// f_0 … f_{mels+1} are equally far apart, from hz_min to hz_max, on HTK's scale
/// mel(f) = 2595 log10(1 + f / 700). Sums are in float64.
/// @param samples  f32[samples], at least one window
/// @errors invalid_argument: an option, or too few samples
/// @determinism  same bits for the same program on the same C library (sin, cos, log)
/// @source       Young et al., The HTK Book, 5.4 and 5.6 (without pre-emphasis, power spectrum)
CHORUS_EXPORT Result<std::vector<float>> log_mel(std::span<const float> samples,
                                                 const LogMelOptions& options);

struct WavFolderOptions {
  std::filesystem::path folder;  ///< one sub-folder per class, each with .wav files
  LogMelOptions features;
  std::uint64_t samples = 0;  ///< longer clips are cut at the end, shorter ones filled with zeros;
                              ///< 0: all must have the same length
  std::uint64_t bytes_max = kDatasetBytesDefault;  ///< of features in memory
  /// Files are read when their examples are, and `bytes_max` of features stay in memory. Without it
  /// all are read at once and must fit.
  bool stream = false;
};

/// Log-mel features of every clip, shape {1, mels, frames}, by class and then by file name, both in
/// byte order. There is no resampling: every file must have features.sample_rate.
/// @errors as load_wav and log_mel; malformed_file: another rate or length, naming the file; no
///         sub-folder, or one without .wav files
CHORUS_EXPORT Result<FolderDataset> load_wav_folder(const WavFolderOptions& options);

}  // namespace chorus::client
