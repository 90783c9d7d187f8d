// The doors to libjpeg and libpng: their types, their error handling by longjmp and their codes end
// in one file each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "chorus/client/images.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

struct EncodedImage {
  std::span<const std::byte> bytes;  ///< the whole file
  std::string name;                  ///< for messages: "'cat.jpg'"
  std::uint64_t pixels_max = 0;
};

bool is_jpeg(std::span<const std::byte> bytes) noexcept;
bool is_png(std::span<const std::byte> bytes) noexcept;

/// @errors as load_image
Result<Image> decode_jpeg(const EncodedImage& encoded);
Result<Image> decode_png(const EncodedImage& encoded);

/// Of a header, before memory is taken. @errors malformed_file
Result<void> check_pixels(const EncodedImage& encoded, std::uint64_t width, std::uint64_t height);

}  // namespace chorus::client
