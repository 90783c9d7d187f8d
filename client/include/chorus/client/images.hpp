// Pictures: JPEG and PNG files, and what a model sees of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/export.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// A picture of more pixels is refused before memory is taken for them, unless options say
/// otherwise.
inline constexpr std::uint64_t kImagePixelsDefault = 1ULL << 25U;

/// 8 bits per channel.
struct Image {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t channels = 0;        ///< 1: grey; 3: red, green, blue
  std::vector<std::uint8_t> pixels;  ///< [height × width × channels], the top row first
};

/// Reads a JPEG or PNG file, told apart by their first bytes. JPEG: 8 bits, baseline or
/// progressive, grey or colour (YCbCr, RGB). PNG: every kind; palettes become colours, fewer than 8
/// bits are spread over 0 to 255, 16 bits become the nearest of 8, transparency is dropped, gamma
/// and colour profiles are not applied. The orientation that a camera noted is not applied.
/// @param pixels_max  width · height, known from the header before memory is taken
/// @errors not_found, io_failed; malformed_file, naming the file, what was found and what was
///         expected: another format, CMYK, damaged or cut short, too large
CHORUS_EXPORT Result<Image> load_image(const std::filesystem::path& path,
                                       std::uint64_t pixels_max = kImagePixelsDefault);

enum class ImageFit {
  crop,     ///< the largest part in the middle that has the wanted proportions
  stretch,  ///< the whole picture, whatever its proportions
};

struct ImageOptions {
  std::vector<std::uint64_t> shape;  ///< {1, height, width}: grey; {3, height, width}: RGB
  ImageFit fit = ImageFit::crop;
};

/// Features f32[channels × height × width] in [0, 1], by channel, of a picture of w × h pixels:
///
///     out[c, y, x] = Σ_j Σ_i V_y(j) · U_x(i) · p_c[j, i] / 255
///     U_x(i) = k(i) / Σ_i k(i),  k(i) = max(0, 1 − |i + ½ − x₀ − (x + ½)·s| / max(s, 1))
///
/// with s = w′ / width, over the pixels i of the picture; V_y is the same along the other side. The
/// part that is seen is w′ × h′ in the middle, x₀ = (w − w′) / 2: with stretch w × h, with crop
/// w′ = min(w, h · width / height) and h′ = min(h, w · height / width). A picture that has the
/// wanted size keeps its values. Grey of colours is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), not
/// rounded; colours of grey are three times the same.
/// @errors invalid_argument: the shape
/// @determinism  bit-exact everywhere
/// @source       the triangle filter of Pillow's Image.resize(…, BILINEAR, box), without its
///               rounding to 8 bits
CHORUS_EXPORT Result<std::vector<float>> image_features(const Image& image,
                                                        const ImageOptions& options);

struct ImageFolderOptions {
  std::filesystem::path folder;  ///< one sub-folder per class, each with .jpg, .jpeg or .png files
  ImageOptions image;
  std::uint64_t pixels_max = kImagePixelsDefault;  ///< of one file
  /// Files are decoded when their examples are read, and `bytes_max` of features stay in memory.
  /// Without it all are decoded at once and must fit.
  bool stream = false;
  std::uint64_t bytes_max = kDatasetBytesDefault;  ///< of features in memory
};

/// Examples of classes, by class and then by file name, both in byte order. With `stream` a damaged
/// file ends the task that meets it.
/// @errors as image_features and load_image; malformed_file: no sub-folder, an empty one, a file of
///         another kind in it, or more features than bytes_max
CHORUS_EXPORT Result<FolderDataset> load_image_folder(const ImageFolderOptions& options);

}  // namespace chorus::client
