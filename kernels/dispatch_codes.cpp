// Forwards the kernels of compression to the variant in use.
#include <array>
#include <bit>

#include "chorus/kernels/codes.hpp"
#include "kernels/code_table.hpp"
#include "kernels/dispatch.hpp"

namespace chorus::kernels {
namespace {

const CodeTable& code_table() noexcept {
  static constexpr std::array kTables{CHORUS_VARIANTS(CodeTable)};
  return *kTables[active_index()];
}

}  // namespace

void quantise_f32(std::span<const float> x,
                  const Grid& grid,
                  const Draws& draws,
                  std::span<std::uint8_t> codes) noexcept {
  require(x.size() == codes.size(), "quantise_f32: sizes differ");
  require(draws.first % kDrawGroup == 0, "quantise_f32: draws begin inside of a group");
  require(grid.levels <= 255, "quantise_f32: codes of more than 8 bits");
  code_table().quantise(x.data(),
                        {grid.low, grid.per_step, grid.levels},
                        {draws.key, draws.first},
                        codes.data(),
                        x.size());
}

void bin_f32(std::span<const float> x,
             float factor,
             std::span<const float> bounds,
             std::span<std::uint8_t> codes) noexcept {
  require(x.size() == codes.size(), "bin_f32: sizes differ");
  code_table().bin(x.data(), factor, bounds.data(), bounds.size(), codes.data(), x.size());
}

void look_up_f32(std::span<const std::uint8_t> codes,
                 std::span<const float> values_of,
                 std::span<float> values) noexcept {
  require(codes.size() == values.size(), "look_up_f32: sizes differ");
  code_table().look_up(codes.data(), values_of.data(), values.data(), values.size());
}

void pack_codes(std::span<const std::uint8_t> codes,
                unsigned bits,
                std::span<std::uint8_t> bytes) noexcept {
  require(bits >= 1 && bits <= 8, "pack_codes: 1 to 8 bits");
  require(bytes.size() == packed_bytes(codes.size(), bits), "pack_codes: sizes do not fit");
  code_table().pack(codes.data(), bits, bytes.data(), codes.size());
}

void unpack_codes(std::span<const std::uint8_t> bytes,
                  unsigned bits,
                  std::span<std::uint8_t> codes) noexcept {
  require(bits >= 1 && bits <= 8, "unpack_codes: 1 to 8 bits");
  require(bytes.size() == packed_bytes(codes.size(), bits), "unpack_codes: sizes do not fit");
  code_table().unpack(bytes.data(), bits, codes.data(), codes.size());
}

ValueRange range_f32(std::span<const float> x) noexcept {
  if (x.empty()) return {};
  const RawRange found = code_table().range(x.data(), x.size());
  return {found.low, found.high};
}

double sum_magnitudes_f32(std::span<const float> x) noexcept {
  return code_table().sum_magnitudes(x.data(), x.size());
}

void to_half(std::span<const float> x, std::span<std::uint16_t> half) noexcept {
  require(x.size() == half.size(), "to_half: sizes differ");
  code_table().to_half(x.data(), half.data(), x.size());
}

void from_half(std::span<const std::uint16_t> half, std::span<float> x) noexcept {
  require(x.size() == half.size(), "from_half: sizes differ");
  code_table().from_half(half.data(), x.data(), x.size());
}

void to_bfloat(std::span<const float> x, std::span<std::uint16_t> bfloat) noexcept {
  require(x.size() == bfloat.size(), "to_bfloat: sizes differ");
  code_table().to_bfloat(x.data(), bfloat.data(), x.size());
}

void from_bfloat(std::span<const std::uint16_t> bfloat, std::span<float> x) noexcept {
  require(x.size() == bfloat.size(), "from_bfloat: sizes differ");
  code_table().from_bfloat(bfloat.data(), x.data(), x.size());
}

void hadamard_f32(std::span<float> x) noexcept {
  require(std::has_single_bit(x.size()), "hadamard_f32: the size is no power of two");
  code_table().hadamard(x.data(), x.size());
}

void flip_signs_f32(std::uint64_t key, std::span<float> x) noexcept {
  code_table().flip_signs(key, x.data(), x.size());
}

std::size_t elements_above(std::span<const float> x,
                           float least,
                           std::span<std::uint32_t> indices,
                           std::span<float> values) noexcept {
  require(indices.size() == values.size(), "elements_above: sizes differ");
  return code_table().elements_above(
      x.data(), least, indices.data(), values.data(), indices.size(), x.size());
}

}  // namespace chorus::kernels
