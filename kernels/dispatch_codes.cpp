// Forwards the kernels of compression to the variant in use.
#include <algorithm>
#include <array>
#include <bit>

#include "chorus/kernels/codes.hpp"
#include "chorus/kernels/kernels.hpp"
#include "kernels/code_table.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/table.hpp"

namespace chorus::kernels {
namespace {

const CodeTable& code_table() noexcept {
  static constexpr std::array kTables{CHORUS_VARIANTS(CodeTable)};
  return *kTables[active_index()];
}

const Table& fold_table() noexcept {
  static constexpr std::array kTables{CHORUS_VARIANTS(Table)};
  return *kTables[active_index()];
}

constexpr unsigned kLookedUpBits = 4;  ///< codes of so many or fewer have a table of their values
constexpr std::size_t kValues = 1U << kLookedUpBits;
constexpr std::size_t kApart = 64;      ///< so that rows are no power of two apart
constexpr std::size_t kUnpacked = 512;  ///< codes at a time; of any width they are whole bytes

using Values = std::array<float, kValues>;

// Those of `bits` bits, again and again.
constexpr Values repeated(const float* values, unsigned bits) noexcept {
  Values all{};
  const std::size_t mask = (std::size_t{1} << bits) - 1;
  for (std::size_t c = 0; c < kValues; ++c) {
    all[c] = values != nullptr ? values[c & mask] : static_cast<float>(c & mask);
  }
  return all;
}

// Codes that stand for themselves.
constexpr std::array<Values, kLookedUpBits> kOwn{
    repeated(nullptr, 1), repeated(nullptr, 2), repeated(nullptr, 3), repeated(nullptr, 4)};

/// The inputs of a pass, as the loops take them.
struct Inputs {
  std::array<const std::uint8_t*, kPassInputs> codes;
  std::array<double, kPassInputs> bases;
  std::array<double, kPassInputs> units;
  std::size_t count = 0;

  void add(const FoldCodes& input, const std::uint8_t* of) noexcept {
    codes[count] = of;
    bases[count] = input.base;
    units[count] = input.unit;
    ++count;
  }
};

void fold_looked_up(unsigned bits,
                    std::span<const FoldCodes> inputs,
                    std::size_t first,
                    std::span<std::int64_t> acc) noexcept {
  Inputs all;
  std::array<Values, kPassInputs> values;
  std::array<const float*, kPassInputs> places{};
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    all.add(inputs[k], inputs[k].codes + first * bits / 8);
    places[k] = kOwn[bits - 1].data();
    if (inputs[k].values == nullptr) continue;
    values[k] = repeated(inputs[k].values, bits);
    places[k] = values[k].data();
  }
  fold_table().fold_packed(all.codes.data(),
                           bits,
                           places.data(),
                           all.bases.data(),
                           all.units.data(),
                           all.count,
                           acc.data(),
                           acc.size());
}

/// The inputs of a pass whose base and unit are whole numbers that a 52-bit multiplication takes.
struct Products {
  std::array<const std::uint8_t*, kPassInputs> codes;
  std::array<std::uint64_t, kPassInputs> units;
  std::int64_t base = 0;
  std::size_t count = 0;

  bool take(const FoldCodes& input, const std::uint8_t* of) noexcept {
    if (!(input.unit >= 0.0 && input.unit < 0x1.0p44)) return false;
    if (!(input.base > -0x1.0p62 && input.base < 0x1.0p62)) return false;
    const auto unit = static_cast<std::int64_t>(input.unit);
    const auto whole = static_cast<std::int64_t>(input.base);
    if (static_cast<double>(unit) != input.unit) return false;
    if (static_cast<double>(whole) != input.base) return false;
    codes[count] = of;
    units[count] = static_cast<std::uint64_t>(unit);
    base += whole;
    ++count;
    return true;
  }
};

// Codes of a byte each, from `first` on.
void fold_lines(std::span<const FoldCodes> inputs,
                std::size_t first,
                std::span<std::int64_t> acc) noexcept {
  const Table& table = fold_table();
  const bool multiplies = table.fold_products != nullptr && multiplies_52_bits();
  Products products;
  Inputs others;
  for (const FoldCodes& input : inputs) {
    const std::uint8_t* codes = input.codes + first;
    if (!multiplies || !products.take(input, codes)) others.add(input, codes);
  }
  if (products.count > 0) {
    table.fold_products(products.codes.data(),
                        products.units.data(),
                        products.base,
                        products.count,
                        acc.data(),
                        acc.size());
  }
  if (others.count == 0) return;
  table.fold_codes(others.codes.data(),
                   others.bases.data(),
                   others.units.data(),
                   others.count,
                   acc.data(),
                   acc.size());
}

// At most kUnpacked of them.
void fold_unpacked(unsigned bits,
                   std::span<const FoldCodes> inputs,
                   std::size_t first,
                   std::span<std::int64_t> acc) noexcept {
  std::array<std::array<std::uint8_t, kUnpacked + kApart>, kPassInputs> codes;
  std::array<FoldCodes, kPassInputs> unpacked;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    unpacked[k] = inputs[k];
    unpacked[k].codes = codes[k].data();
    code_table().unpack(inputs[k].codes + first * bits / 8, bits, codes[k].data(), acc.size());
  }
  if (inputs.front().values == nullptr) {
    return fold_lines(std::span(unpacked).first(inputs.size()), 0, acc);
  }
  std::array<std::array<float, kUnpacked + kApart>, kPassInputs> x;
  std::array<const float*, kPassInputs> places{};
  std::array<double, kPassInputs> units{};
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    code_table().look_up(codes[k].data(), inputs[k].values, x[k].data(), acc.size());
    places[k] = x[k].data();
    units[k] = inputs[k].unit;
  }
  fold_table().fold_f32(places.data(), units.data(), inputs.size(), acc.data(), acc.size());
}

void fold_pass(unsigned bits,
               std::span<const FoldCodes> inputs,
               std::size_t first,
               std::span<std::int64_t> acc) noexcept {
  if (bits == 8) return fold_lines(inputs, first, acc);
  if (bits <= kLookedUpBits && fold_table().fold_packed != nullptr) {
    return fold_looked_up(bits, inputs, first, acc);
  }
  for (std::size_t at = 0; at < acc.size(); at += kUnpacked) {
    fold_unpacked(bits, inputs, first + at, acc.subspan(at, std::min(kUnpacked, acc.size() - at)));
  }
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

void fold_codes(unsigned bits,
                std::span<const FoldCodes> inputs,
                std::span<std::int64_t> acc) noexcept {
  require(!inputs.empty() && inputs.size() <= kFoldInputsMax, "fold_codes: 1 to 32 inputs");
  require(bits >= 1 && bits <= 8, "fold_codes: 1 to 8 bits");
  const bool looked_up = inputs.front().values != nullptr;
  require(!looked_up || bits <= kLookedUpBits, "fold_codes: values of more than 4 bits");
  for (const FoldCodes& input : inputs) {
    require((input.values != nullptr) == looked_up, "fold_codes: values of some inputs");
    require(!looked_up || input.base == 0.0, "fold_codes: values and a base");
  }
  for_each_pass(inputs, acc, [bits](auto of_pass, std::size_t first, auto sums) {
    fold_pass(bits, of_pass, first, sums);
  });
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
