// JPEG by libjpeg-turbo. Its errors come back by longjmp: what lives across is in Decoder, whose
// destructor runs afterwards, and no other object with a destructor stands in between.
#include <array>
#include <csetjmp>
#include <cstdio>  // jpeglib.h wants FILE
#include <cstring>
#include <fmt/format.h>
#include <jerror.h>
#include <jpeglib.h>
#include <string_view>

#include "client/train/data/image_decoders.hpp"

namespace chorus::client {
namespace {

constexpr int kScansMax = 200;  // of a progressive file; more cost time and add nothing

struct Decoder {
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  jpeg_decompress_struct info{};
  std::jmp_buf back{};
  std::array<char, JMSG_LENGTH_MAX> message{};
  bool made = false;

  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() {
    if (made) jpeg_destroy_decompress(&info);
  }
};

Decoder& decoder_of(j_common_ptr info) {
  return *static_cast<Decoder*>(info->client_data);
}

[[noreturn]] void give_up(j_common_ptr info) {
  Decoder& decoder = decoder_of(info);
  info->err->format_message(info, decoder.message.data());
  std::longjmp(decoder.back, 1);
}

// libjpeg fills what is missing or damaged with grey, and warns.
void take_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_TOO_MUCH_DATA:
      give_up(info);
    default:
      break;  // extra bytes between markers, odd profiles: every viewer takes them
  }
}

void count_scans(j_common_ptr info) {
  const auto* const decoder = reinterpret_cast<j_decompress_ptr>(info);
  if (decoder->input_scan_number <= kScansMax) return;
  std::snprintf(
      decoder_of(info).message.data(), JMSG_LENGTH_MAX, "it has more than %d scans", kScansMax);
  std::longjmp(decoder_of(info).back, 1);
}

bool read_header(Decoder& decoder, std::span<const std::byte> bytes) {
  if (setjmp(decoder.back) != 0) return false;
  jpeg_create_decompress(&decoder.info);
  decoder.made = true;
  decoder.info.client_data = &decoder;
  decoder.info.progress = &decoder.progress;
  jpeg_mem_src(&decoder.info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&decoder.info, TRUE);
  return true;
}

bool read_pixels(Decoder& decoder, std::uint8_t* pixels) {
  if (setjmp(decoder.back) != 0) return false;
  jpeg_start_decompress(&decoder.info);
  const std::size_t stride = std::size_t{decoder.info.output_width} *
                             static_cast<std::size_t>(decoder.info.output_components);
  while (decoder.info.output_scanline < decoder.info.output_height) {
    JSAMPROW row = pixels + decoder.info.output_scanline * stride;
    jpeg_read_scanlines(&decoder.info, &row, 1);
  }
  jpeg_finish_decompress(&decoder.info);
  return true;
}

Failure damaged(const EncodedImage& encoded, const Decoder& decoder) {
  return fail(errc::malformed_file,
              fmt::format("{}: this JPEG is damaged, cut short or of an unknown kind: {}",
                          encoded.name,
                          decoder.message.data()));
}

std::string_view name_of(J_COLOR_SPACE space) {
  if (space == JCS_CMYK) return "CMYK";
  return space == JCS_YCCK ? "YCCK" : "unknown";
}

}  // namespace

bool is_jpeg(std::span<const std::byte> bytes) noexcept {
  return bytes.size() >= 3 && std::memcmp(bytes.data(), "\xFF\xD8\xFF", 3) == 0;
}

Result<Image> decode_jpeg(const EncodedImage& encoded) {
  Decoder decoder;
  decoder.info.err = jpeg_std_error(&decoder.errors);
  decoder.info.client_data = &decoder;
  decoder.errors.error_exit = give_up;
  decoder.errors.emit_message = take_message;
  decoder.progress.progress_monitor = count_scans;
  if (!read_header(decoder, encoded.bytes)) return damaged(encoded, decoder);
  const J_COLOR_SPACE space = decoder.info.jpeg_color_space;
  if (space != JCS_GRAYSCALE && space != JCS_YCbCr && space != JCS_RGB) {
    return fail(errc::malformed_file,
                fmt::format("{}: its colours are {}, of {} channels; expected grey, YCbCr or RGB: "
                            "convert it",
                            encoded.name,
                            name_of(space),
                            decoder.info.num_components));
  }
  if (auto fits = check_pixels(encoded, decoder.info.image_width, decoder.info.image_height);
      !fits) {
    return std::move(fits).error();
  }
  decoder.info.out_color_space = space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
  Image image{
      decoder.info.image_width, decoder.info.image_height, space == JCS_GRAYSCALE ? 1U : 3U, {}};
  image.pixels.resize(std::size_t{image.width} * image.height * image.channels);
  if (!read_pixels(decoder, image.pixels.data())) return damaged(encoded, decoder);
  return image;
}

}  // namespace chorus::client
