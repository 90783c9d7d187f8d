// From files to pictures, and from pictures to features.
#include <algorithm>
#include <cmath>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <utility>

#include "chorus/client/images.hpp"
#include "client/train/data/example_checks.hpp"
#include "client/train/data/image_decoders.hpp"
#include "client/train/data/image_fit.hpp"
#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

Result<std::vector<std::byte>> read_file(const std::filesystem::path& path) {
  CHORUS_TRY(const UniqueFd fd, open_file(path, O_RDONLY));
  CHORUS_TRY(const std::uint64_t size, file_size(fd.get(), path));
  if (size > limits::kImageFileBytesMax) {
    return fail(errc::malformed_file,
                fmt::format("'{}': it has {} bytes; a picture may have up to {}",
                            path.string(),
                            size,
                            limits::kImageFileBytesMax));
  }
  std::vector<std::byte> bytes(size);
  CHORUS_OK(read_at(fd.get(), 0, bytes, path));
  return bytes;
}

// U of docs: which pixels give one of the output, and by how much.
struct Taps {
  std::size_t first = 0;
  std::vector<float> weights;
};

std::vector<Taps> taps_of(std::size_t pixels, double start, double length, std::size_t outputs) {
  const double step = length / static_cast<double>(outputs);
  const double reach = std::max(step, 1.0);
  const auto most = static_cast<double>(pixels);
  std::vector<Taps> all(outputs);
  for (std::size_t o = 0; o < outputs; ++o) {
    const double centre = start + (static_cast<double>(o) + 0.5) * step;
    const auto from = static_cast<std::size_t>(std::clamp(std::floor(centre - reach), 0.0, most));
    const auto to = static_cast<std::size_t>(std::clamp(std::ceil(centre + reach), 0.0, most));
    std::vector<double> weights;
    double sum = 0.0;
    for (std::size_t i = from; i < to; ++i) {
      const double distance = std::abs(static_cast<double>(i) + 0.5 - centre);
      weights.push_back(std::max(0.0, 1.0 - distance / reach));
      sum += weights.back();
    }
    all[o].first = from;
    for (const double weight : weights) {
      all[o].weights.push_back(static_cast<float>(weight / sum));
    }
  }
  return all;
}

struct Part {
  double x0, y0, width, height;
};

Part part_of(const Image& image, const ImageFit fit, double height, double width) {
  const auto w = static_cast<double>(image.width);
  const auto h = static_cast<double>(image.height);
  if (fit == ImageFit::stretch) return {0.0, 0.0, w, h};
  const double part_w = std::min(w, h * width / height);
  const double part_h = std::min(h, w * height / width);
  return {(w - part_w) / 2, (h - part_h) / 2, part_w, part_h};
}

}  // namespace

Result<void> check_pixels(const EncodedImage& encoded, std::uint64_t width, std::uint64_t height) {
  if (width > 0 && height > 0 && width <= encoded.pixels_max / height) return {};
  return fail(errc::malformed_file,
              fmt::format("{}: it has {} x {} pixels; expected 1 to {} (pixels_max)",
                          encoded.name,
                          width,
                          height,
                          encoded.pixels_max));
}

Result<Image> load_image(const std::filesystem::path& path, std::uint64_t pixels_max) {
  CHORUS_TRY(const auto bytes, read_file(path));
  const EncodedImage encoded{
      bytes, "'" + path.string() + "'", std::min(pixels_max, limits::kImagePixelsMax)};
  if (is_jpeg(bytes)) return decode_jpeg(encoded);
  if (is_png(bytes)) return decode_png(encoded);
  return fail(errc::malformed_file,
              fmt::format("{}: it begins neither like a JPEG nor like a PNG file; convert it",
                          encoded.name));
}

Result<void> check_image_options(const ImageOptions& options) {
  const auto& shape = options.shape;
  const bool fits = shape.size() == 3 && (shape[0] == 1 || shape[0] == 3);
  if (fits && features_per_example(shape)) return {};
  return fail(errc::invalid_argument,
              fmt::format("a picture cannot have the shape [{}]; expected 1 (grey) or 3 (RGB) "
                          "channels x height x width",
                          fmt::join(shape, ", ")));
}

void fit_image(const Image& image, const ImageOptions& options, std::span<float> out) {
  const std::size_t channels = options.shape[0];
  const std::size_t height = options.shape[1];
  const std::size_t width = options.shape[2];
  const Part part =
      part_of(image, options.fit, static_cast<double>(height), static_cast<double>(width));
  const auto rows = taps_of(image.height, part.y0, part.height, height);
  const auto columns = taps_of(image.width, part.x0, part.width, width);
  const std::size_t depth = image.channels;
  const std::size_t stride = std::size_t{image.width} * depth;
  const std::size_t plane = height * width;
  std::vector<float> line(stride);
  for (std::size_t y = 0; y < height; ++y) {
    // Down first: one line of the picture's width, whatever its height.
    std::fill(line.begin(), line.end(), 0.0F);
    for (std::size_t j = 0; j < rows[y].weights.size(); ++j) {
      const std::uint8_t* const from = image.pixels.data() + (rows[y].first + j) * stride;
      const float weight = rows[y].weights[j];
      for (std::size_t i = 0; i < stride; ++i) line[i] += weight * static_cast<float>(from[i]);
    }
    for (std::size_t x = 0; x < width; ++x) {
      float value[3] = {};
      for (std::size_t i = 0; i < columns[x].weights.size(); ++i) {
        for (std::size_t c = 0; c < depth; ++c) {
          value[c] += columns[x].weights[i] * line[(columns[x].first + i) * depth + c];
        }
      }
      for (float& one : value) one /= 255.0F;
      float* const to = out.data() + y * width + x;
      if (channels == depth) {
        for (std::size_t c = 0; c < depth; ++c) to[c * plane] = value[c];
      } else if (channels == 1) {
        to[0] = 0.299F * value[0] + 0.587F * value[1] + 0.114F * value[2];
      } else {
        for (std::size_t c = 0; c < channels; ++c) to[c * plane] = value[0];
      }
    }
  }
}

Result<std::vector<float>> image_features(const Image& image, const ImageOptions& options) {
  CHORUS_OK(check_image_options(options));
  const std::size_t pixels = std::size_t{image.width} * image.height;
  if (pixels == 0 || (image.channels != 1 && image.channels != 3) ||
      image.pixels.size() != pixels * image.channels) {
    return fail(errc::invalid_argument,
                fmt::format("a picture of {} x {} pixels and {} channels cannot have {} numbers",
                            image.width,
                            image.height,
                            image.channels,
                            image.pixels.size()));
  }
  std::vector<float> features(options.shape[0] * options.shape[1] * options.shape[2]);
  fit_image(image, options, features);
  return features;
}

}  // namespace chorus::client
