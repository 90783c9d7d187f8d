#include "common/codec/indices.hpp"

#include <string>

#include "common/codec/bit_stream.hpp"
#include "common/codec/bytes.hpp"

namespace chorus::codec {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::uint8_t kBitmap = 1;
constexpr std::uint8_t kGaps = 2;
constexpr unsigned kRiceMax = 30;

Failure too_short(std::size_t bytes) {
  return fail(errc::shape_mismatch,
              "a payload of " + std::to_string(bytes) + " bytes ends among its indices");
}

std::size_t bitmap_bytes(std::uint64_t count) {
  return static_cast<std::size_t>((count + 7) / 8);
}

Result<void> take_bitmap(std::span<const std::byte> bits,
                         std::uint64_t count,
                         std::uint32_t expected,
                         std::vector<std::uint32_t>& indices) {
  for (std::uint64_t i = 0; i < bits.size() * 8; ++i) {
    const auto byte = static_cast<unsigned>(bits[static_cast<std::size_t>(i / 8)]);
    if (((byte >> (i % 8)) & 1U) == 0) continue;
    if (i >= count || indices.size() == expected) {
      return fail(errc::malformed_message,
                  "bit " + std::to_string(i) + " of the indices is set, beyond " +
                      std::to_string(expected) + " chosen of " + std::to_string(count) +
                      " elements");
    }
    indices.push_back(static_cast<std::uint32_t>(i));
  }
  if (indices.size() == expected) return {};
  return fail(errc::malformed_message,
              "the bits of the indices name " + std::to_string(indices.size()) + " elements, not " +
                  std::to_string(expected));
}

}  // namespace

std::uint64_t index_bytes_max(std::uint64_t count) noexcept {
  return kHeader + (count + 7) / 8;
}

void put_indices(std::span<const std::uint32_t> indices,
                 std::uint64_t count,
                 std::vector<std::byte>& payload) {
  const auto k = static_cast<std::uint32_t>(indices.size());
  const double density = count == 0 ? 1.0 : static_cast<double>(k) / static_cast<double>(count);
  const unsigned low = k == 0 ? 0 : rice_parameter(density);
  std::vector<std::byte> gaps;
  BitWriter writer(gaps);
  std::uint32_t next = 0;
  for (const std::uint32_t index : indices) writer.put_index(index, next, low);
  const bool shorter = gaps.size() < bitmap_bytes(count);
  append(payload, k);
  append(payload, shorter ? kGaps : kBitmap);
  append(payload, static_cast<std::uint8_t>(shorter ? low : 0));
  append(payload, std::uint16_t{0});
  append(payload, static_cast<std::uint32_t>(shorter ? gaps.size() : bitmap_bytes(count)));
  if (shorter) {
    payload.insert(payload.end(), gaps.begin(), gaps.end());
    return;
  }
  const std::size_t begin = payload.size();
  payload.resize(begin + bitmap_bytes(count));
  for (const std::uint32_t index : indices) {
    payload[begin + index / 8] |= static_cast<std::byte>(1U << (index % 8));
  }
}

Result<std::size_t> take_indices(std::span<const std::byte> payload,
                                 std::uint64_t count,
                                 std::uint32_t most,
                                 std::vector<std::uint32_t>& indices) {
  if (payload.size() < kHeader) return too_short(payload.size());
  const auto k = load<std::uint32_t>(payload, 0);
  const auto coding = load<std::uint8_t>(payload, 4);
  const auto low = load<std::uint8_t>(payload, 5);
  const std::size_t bytes = load<std::uint32_t>(payload, 8);
  if (bytes > payload.size() - kHeader) return too_short(payload.size());
  if (k > most) {
    return fail(errc::malformed_message,
                std::to_string(k) + " chosen elements; the codec allows " + std::to_string(most) +
                    " of " + std::to_string(count));
  }
  const std::span<const std::byte> bits = payload.subspan(kHeader, bytes);
  indices.clear();
  indices.reserve(k);
  if (coding == kBitmap && bytes == bitmap_bytes(count)) {
    if (auto taken = take_bitmap(bits, count, k, indices); !taken) return taken.error();
    return kHeader + bytes;
  }
  if (coding != kGaps || low > kRiceMax) {
    return fail(errc::malformed_message,
                "indices in coding " + std::to_string(coding) + " with parameter " +
                    std::to_string(low) + " and " + std::to_string(bytes) +
                    " bytes; there are a bit for each element (1) and Golomb-Rice gaps (2)");
  }
  BitReader reader(bits);
  std::uint64_t next = 0;
  for (std::uint32_t j = 0; j < k; ++j) {
    const auto index = reader.take_index(next, count, low);
    if (!index) {
      return fail(errc::malformed_message,
                  "gap " + std::to_string(j) + " of the indices ends too early, or leads beyond " +
                      std::to_string(count) + " elements");
    }
    indices.push_back(*index);
  }
  if (!reader.at_end()) {
    return fail(errc::malformed_message, "bytes are left behind the last gap of the indices");
  }
  return kHeader + bytes;
}

}  // namespace chorus::codec
