// PNG by libpng. Its errors come back by longjmp, as in jpeg.cpp.
#include <array>
#include <csetjmp>
#include <cstring>
#include <fmt/format.h>
#include <png.h>

#include "client/train/data/image_decoders.hpp"

namespace chorus::client {
namespace {

constexpr png_alloc_size_t kChunkBytesMax = 4U << 20U;  // texts, profiles: what nobody looks at
constexpr png_uint_32 kChunksMax = 128;

struct Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> left;
  std::jmp_buf back{};
  std::array<char, 160> message{};
  int passes = 1;

  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
};

struct RowsOfPixels {
  std::uint8_t* first = nullptr;
  std::size_t height = 0;
  std::size_t stride = 0;
};

[[noreturn]] void give_up(png_structp png, png_const_charp message) {
  auto& decoder = *static_cast<Decoder*>(png_get_error_ptr(png));
  std::snprintf(decoder.message.data(), decoder.message.size(), "%s", message);
  std::longjmp(decoder.back, 1);
}

void pass_over(png_structp, png_const_charp) {}

void take_bytes(png_structp png, png_bytep into, png_size_t count) {
  auto& decoder = *static_cast<Decoder*>(png_get_io_ptr(png));
  if (decoder.left.size() < count) png_error(png, "it ends too early");
  std::memcpy(into, decoder.left.data(), count);
  decoder.left = decoder.left.subspan(count);
}

bool read_header(Decoder& decoder) {
  if (setjmp(decoder.back) != 0) return false;
  png_set_read_fn(decoder.png, &decoder, take_bytes);
  png_set_user_limits(decoder.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // pixels are checked
  png_set_chunk_cache_max(decoder.png, kChunksMax);
  png_set_chunk_malloc_max(decoder.png, kChunkBytesMax);
  png_read_info(decoder.png, decoder.info);
  return true;
}

// Whatever it is becomes 8 bits of grey or RGB. Takes memory for rows.
bool begin_pixels(Decoder& decoder) {
  if (setjmp(decoder.back) != 0) return false;
  png_set_expand(decoder.png);
  png_set_scale_16(decoder.png);
  png_set_strip_alpha(decoder.png);
  decoder.passes = png_set_interlace_handling(decoder.png);
  png_read_update_info(decoder.png, decoder.info);
  return true;
}

// Each pass of an interlaced picture fills gaps in the rows of the ones before.
bool read_pixels(Decoder& decoder, const RowsOfPixels& rows) {
  if (setjmp(decoder.back) != 0) return false;
  for (int pass = 0; pass < decoder.passes; ++pass) {
    for (std::size_t y = 0; y < rows.height; ++y) {
      png_read_row(decoder.png, rows.first + y * rows.stride, nullptr);
    }
  }
  png_read_end(decoder.png, nullptr);
  return true;
}

Failure damaged(const EncodedImage& encoded, const Decoder& decoder) {
  return fail(
      errc::malformed_file,
      fmt::format(
          "{}: this PNG is damaged or cut short: {}", encoded.name, decoder.message.data()));
}

}  // namespace

bool is_png(std::span<const std::byte> bytes) noexcept {
  return bytes.size() >= 8 && std::memcmp(bytes.data(), "\x89PNG\r\n\x1A\n", 8) == 0;
}

Result<Image> decode_png(const EncodedImage& encoded) {
  Decoder decoder;
  decoder.left = encoded.bytes;
  decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, give_up, pass_over);
  decoder.info = decoder.png == nullptr ? nullptr : png_create_info_struct(decoder.png);
  if (decoder.info == nullptr) {
    return fail(errc::busy, fmt::format("{}: no memory for libpng", encoded.name));
  }
  if (!read_header(decoder)) return damaged(encoded, decoder);
  Image image{png_get_image_width(decoder.png, decoder.info),
              png_get_image_height(decoder.png, decoder.info),
              0,
              {}};
  if (auto fits = check_pixels(encoded, image.width, image.height); !fits) {
    return std::move(fits).error();
  }
  if (!begin_pixels(decoder)) return damaged(encoded, decoder);
  image.channels = png_get_channels(decoder.png, decoder.info);
  const std::size_t stride = std::size_t{image.width} * image.channels;
  if ((image.channels != 1 && image.channels != 3) ||
      stride != png_get_rowbytes(decoder.png, decoder.info)) {
    return fail(errc::malformed_file,
                fmt::format("{}: it has {} channels and rows of {} bytes; expected 1 or 3 channels",
                            encoded.name,
                            image.channels,
                            png_get_rowbytes(decoder.png, decoder.info)));
  }
  image.pixels.resize(stride * image.height);
  if (!read_pixels(decoder, {image.pixels.data(), image.height, stride})) {
    return damaged(encoded, decoder);
  }
  return image;
}

}  // namespace chorus::client
