// Chooses a variant on first use and forwards every kernel to it.
#include <array>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>

#include "chorus/kernels/cells.hpp"
#include "chorus/kernels/channels.hpp"
#include "chorus/kernels/codes.hpp"
#include "chorus/kernels/kernels.hpp"
#include "chorus/kernels/products.hpp"
#include "chorus/kernels/training.hpp"
#include "kernels/table.hpp"

namespace chorus::kernels {
namespace {

// What this CPU and its operating system can run, from CPUID feature bits (never the model).
#if defined(__x86_64__)
bool has_avx2() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}
bool has_avx512() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512bw") != 0;
}
#endif
bool always() noexcept {
  return true;
}

struct Variant {
  const Table* table;
  bool (*runs_here)() noexcept;
};

// Best first.
constexpr std::array kVariants {
#if defined(__x86_64__)
  Variant{&kAvx512Table, has_avx512}, Variant{&kAvx2Table, has_avx2},
#elif defined(__aarch64__)
  Variant{&kNeonTable, always},
#endif
      Variant{&kRefTable, always},
};

struct Available {
  std::array<std::string_view, kVariants.size()> names;
  std::array<const Table*, kVariants.size()> tables{};
  std::size_t count = 0;
};

const Available& available() noexcept {
  static const Available found = [] {
    Available here;
    for (const Variant& variant : kVariants) {
      if (!variant.runs_here()) continue;
      here.names[here.count] = variant.table->name;
      here.tables[here.count] = variant.table;
      ++here.count;
    }
    return here;
  }();
  return found;
}

const Table* find(std::string_view name) noexcept {
  const Available& here = available();
  for (std::size_t i = 0; i < here.count; ++i) {
    if (here.names[i] == name) return here.tables[i];
  }
  return nullptr;
}

// Constant-initialised, so that kernels may run before or during static initialisation.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): the one choice of the process
constinit std::atomic<const Table*> active{nullptr};

[[gnu::noinline, gnu::cold]] const Table& choose_first() noexcept {
  const Table* chosen = available().tables[0];
  const char* wanted = std::getenv("CHORUS_ISA");
  const bool named = wanted != nullptr && *wanted != '\0';
  const Table* by_name = named ? find(wanted) : nullptr;
  if (by_name != nullptr) chosen = by_name;
  // Threads may arrive here together; all choose the same, one of them reports.
  const Table* expected = nullptr;
  if (!active.compare_exchange_strong(expected, chosen, std::memory_order_acq_rel)) {
    return *expected;
  }
  if (named && by_name == nullptr) {
    std::fprintf(stderr,
                 "chorus: CHORUS_ISA=%s is not available in this build or on this CPU; using %s\n",
                 wanted,
                 chosen->name);
  }
  return *chosen;
}

const Table& table() noexcept {
  const Table* chosen = active.load(std::memory_order_acquire);
  return chosen != nullptr ? *chosen : choose_first();
}

void require(bool ok, const char* what) noexcept {
  if (ok) return;
  std::fprintf(stderr, "chorus: assertion failed: %s\n", what);
  std::abort();
}

}  // namespace

void fold_f32(std::span<const FoldInput> inputs, std::span<std::int64_t> acc) noexcept {
  require(!inputs.empty() && inputs.size() <= kFoldInputsMax, "fold_f32: 1 to 8 inputs");
  std::array<const float*, kFoldInputsMax> x{};
  std::array<double, kFoldInputsMax> multipliers{};
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    x[k] = inputs[k].x;
    multipliers[k] = inputs[k].multiplier;
  }
  table().fold_f32(x.data(), multipliers.data(), inputs.size(), acc.data(), acc.size());
}

void fold_codes(std::span<const FoldCodes> inputs, std::span<std::int64_t> acc) noexcept {
  require(!inputs.empty() && inputs.size() <= kFoldInputsMax, "fold_codes: 1 to 8 inputs");
  std::array<const std::uint8_t*, kFoldInputsMax> codes{};
  std::array<double, kFoldInputsMax> bases{};
  std::array<double, kFoldInputsMax> units{};
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    codes[k] = inputs[k].codes;
    bases[k] = inputs[k].base;
    units[k] = inputs[k].unit;
  }
  table().fold_codes(
      codes.data(), bases.data(), units.data(), inputs.size(), acc.data(), acc.size());
}

void merge_i64(std::span<const std::int64_t> other, std::span<std::int64_t> acc) noexcept {
  require(other.size() == acc.size(), "merge_i64: sizes differ");
  table().merge_i64(other.data(), acc.data(), acc.size());
}

void lane_mean_f32(std::span<const std::int64_t> sum,
                   double divisor,
                   std::span<float> mean) noexcept {
  require(sum.size() == mean.size(), "lane_mean_f32: sizes differ");
  table().lane_mean_f32(sum.data(), divisor, mean.data(), mean.size());
}

void add_scaled_f32(std::span<const float> base,
                    double alpha,
                    std::span<const float> x,
                    std::span<float> out) noexcept {
  require(base.size() == out.size() && x.size() == out.size(), "add_scaled_f32: sizes differ");
  table().add_scaled_f32(base.data(), alpha, x.data(), out.data(), out.size());
}

void subtract_f32(std::span<const float> y,
                  std::span<const float> x,
                  std::span<float> out) noexcept {
  require(y.size() == out.size() && x.size() == out.size(), "subtract_f32: sizes differ");
  table().subtract_f32(y.data(), x.data(), out.data(), out.size());
}

VectorStats stats_f32(std::span<const float> x) noexcept {
  constexpr std::uint32_t kInfinityBits = 0x7F800000U;
  const RawStats raw = table().stats_f32(x.data(), x.size());
  if (raw.max_bits >= kInfinityBits) return {.finite = false};
  return {.finite = true,
          .max_abs = std::bit_cast<float>(raw.max_bits),
          .sum_squares = raw.sum_squares};
}

void product_nt_f32(const Product& p) noexcept {
  require(p.lda >= p.k && p.ldb >= p.k && p.ldc >= p.n, "product_nt_f32: rows overlap");
  const ProductTable& products = *table().products;
  // Turning a side costs about as much as its products with some rows or columns; the end of
  // sixteen sums as much as the products of a hundred terms.
  const std::size_t columns = p.k < kOneSumLength ? kOneSumColumnsShort : kOneSumColumns;
  const bool one_sum = p.m >= kOneSumRows && p.n >= columns;
  (one_sum ? products.turned : products.dots)(
      {p.m, p.n, p.k, p.a, p.lda, 1, p.b, p.ldb, p.c, p.ldc, p.alpha, p.beta});
}

void product_nn_f32(const Product& p) noexcept {
  require(p.lda >= p.k && p.ldb >= p.n && p.ldc >= p.n, "product_nn_f32: rows overlap");
  table().products->strided(
      {p.m, p.n, p.k, p.a, p.lda, 1, p.b, p.ldb, p.c, p.ldc, p.alpha, p.beta});
}

void product_tn_f32(const Product& p) noexcept {
  require(p.lda >= p.m && p.ldb >= p.n && p.ldc >= p.n, "product_tn_f32: rows overlap");
  table().products->strided(
      {p.m, p.n, p.k, p.a, 1, p.lda, p.b, p.ldb, p.c, p.ldc, p.alpha, p.beta});
}

void pack_nn_f32(const RightSide& b, std::span<float> packed) noexcept {
  require(b.ldb >= b.n, "pack_nn_f32: rows overlap");
  require(packed.size() == packed_floats(b.n, b.k), "pack_nn_f32: sizes");
  table().products->pack({b.n, b.k, b.b, b.ldb, 1, packed.data()});
}

void pack_nt_f32(const RightSide& b, std::span<float> packed) noexcept {
  require(b.ldb >= b.k, "pack_nt_f32: rows overlap");
  require(packed.size() == packed_floats(b.n, b.k), "pack_nt_f32: sizes");
  table().products->pack({b.n, b.k, b.b, 1, b.ldb, packed.data()});
}

void product_packed_f32(const Product& p, PanelOrder order) noexcept {
  require(p.lda >= p.k && p.ldc >= p.n, "product_packed_f32: rows overlap");
  table().products->packed({p.m, p.n, p.k, p.a, p.lda, 1, p.b, 0, p.c, p.ldc, p.alpha, p.beta},
                           order == PanelOrder::from_last);
}

namespace {

// `first`, `second`: the moments that the rule has.
RawStep raw(const StepVectors& step, bool first, bool second) noexcept {
  const std::size_t n = step.weights.size();
  require(step.gradient.size() == n, "a step: gradient and weights differ in size");
  require(!first || step.first.size() == n, "a step: first moment and weights differ in size");
  require(!second || step.second.size() == n, "a step: second moment and weights differ in size");
  return {n, step.weights.data(), step.gradient.data(), step.first.data(), step.second.data()};
}

}  // namespace

void relu_f32(std::span<const float> x, float slope, std::span<float> y) noexcept {
  require(x.size() == y.size(), "relu_f32: sizes differ");
  table().training->relu(x.data(), slope, y.data(), y.size());
}

void relu_backward_f32(std::span<const float> y,
                       std::span<const float> dy,
                       float slope,
                       std::span<float> dx) noexcept {
  require(y.size() == dx.size() && dy.size() == dx.size(), "relu_backward_f32: sizes differ");
  table().training->relu_backward(y.data(), dy.data(), slope, dx.data(), dx.size());
}

void add_f32(std::span<const float> a, std::span<const float> b, std::span<float> sum) noexcept {
  require(a.size() == sum.size() && b.size() == sum.size(), "add_f32: sizes differ");
  table().training->add(a.data(), b.data(), sum.data(), sum.size());
}

void scale_f32(float factor, std::span<float> x) noexcept {
  table().training->scale(factor, x.data(), x.size());
}

void sgd_step_f32(float rate, float decay, const StepVectors& step) noexcept {
  table().training->sgd_step(rate, decay, raw(step, false, false));
}

void momentum_step_f32(const MomentumRule& rule, const StepVectors& step) noexcept {
  table().training->momentum_step(rule, raw(step, true, false));
}

void adam_step_f32(const AdamRule& rule, const StepVectors& step) noexcept {
  table().training->adam_step(rule, raw(step, true, true));
}

void lamb_direction_f32(const AdamRule& rule,
                        float decay,
                        const StepVectors& step,
                        std::span<float> direction) noexcept {
  require(direction.size() == step.weights.size(), "lamb_direction_f32: sizes differ");
  table().training->lamb_direction(rule, decay, raw(step, true, true), direction.data());
}

void lstm_cell_f32(const LstmCell& step) noexcept {
  table().training->lstm_cell(step);
}

void lstm_cell_backward_f32(const LstmCellBackward& step) noexcept {
  table().training->lstm_cell_backward(step);
}

void gru_cell_f32(const GruCell& step) noexcept {
  table().training->gru_cell(step);
}

void gru_cell_backward_f32(const GruCellBackward& step) noexcept {
  table().training->gru_cell_backward(step);
}

void softmax_f32(std::span<const float> x, std::span<float> y) noexcept {
  require(x.size() == y.size(), "softmax_f32: sizes differ");
  table().training->softmax(x.data(), y.data(), y.size());
}

void softmax_backward_f32(std::span<const float> y,
                          std::span<const float> dy,
                          std::span<float> dx) noexcept {
  require(y.size() == dx.size() && dy.size() == dx.size(), "softmax_backward_f32: sizes differ");
  table().training->softmax_backward(y.data(), dy.data(), dx.data(), dx.size());
}

namespace {

RawChannels raw(const ChannelLayout& at) noexcept {
  return {at.examples, at.blocks, at.positions, at.lanes};
}

RawChannelMap raw(const ChannelLayout& at, const ChannelMap& map) noexcept {
  const std::size_t channels = at.channels();
  require(
      map.mean.size() == channels && map.scale.size() == channels && map.shift.size() == channels,
      "a map of channels: one number per channel");
  return {map.mean.data(), map.scale.data(), map.shift.data()};
}

}  // namespace

void channel_sums_f32(const ChannelLayout& at,
                      std::span<const float> x,
                      std::span<double> sum) noexcept {
  require(x.size() == at.values() && sum.size() == at.channels(), "channel_sums_f32: sizes");
  table().channels->sums(raw(at), x.data(), sum.data());
}

void channel_squares_f32(const ChannelLayout& at,
                         std::span<const float> x,
                         std::span<const float> mean,
                         std::span<double> sum) noexcept {
  require(x.size() == at.values() && mean.size() == at.channels() && sum.size() == mean.size(),
          "channel_squares_f32: sizes");
  table().channels->squares(raw(at), x.data(), mean.data(), sum.data());
}

void channel_products_f32(const ChannelLayout& at,
                          std::span<const float> x,
                          std::span<const float> mean,
                          std::span<const float> dy,
                          std::span<double> sum) noexcept {
  require(x.size() == at.values() && dy.size() == x.size() && mean.size() == at.channels() &&
              sum.size() == mean.size(),
          "channel_products_f32: sizes");
  table().channels->products(raw(at), x.data(), mean.data(), dy.data(), sum.data());
}

void channel_map_f32(const ChannelLayout& at,
                     const ChannelMap& map,
                     std::span<const float> x,
                     std::span<float> y) noexcept {
  require(x.size() == at.values() && y.size() == x.size(), "channel_map_f32: sizes");
  table().channels->map(raw(at), raw(at, map), x.data(), y.data());
}

void channel_slopes_f32(const ChannelLayout& at,
                        const ChannelMap& map,
                        const ChannelSlopes& with) noexcept {
  require(with.x.size() == at.values() && with.dy.size() == with.x.size() &&
              with.dx.size() == with.x.size() && with.slope.size() == at.channels(),
          "channel_slopes_f32: sizes");
  table().channels->slopes(
      raw(at), raw(at, map), {with.slope.data(), with.x.data(), with.dy.data(), with.dx.data()});
}

std::string_view active_variant() noexcept {
  return table().name;
}

bool select_variant(std::string_view name) noexcept {
  const Table* wanted = find(name);
  if (wanted == nullptr) return false;
  active.store(wanted, std::memory_order_release);
  return true;
}

std::span<const std::string_view> available_variants() noexcept {
  const Available& here = available();
  return std::span(here.names).first(here.count);
}

void quantise_f32(std::span<const float> x,
                  const Grid& grid,
                  const Draws& draws,
                  std::span<std::uint8_t> codes) noexcept {
  require(x.size() == codes.size(), "quantise_f32: sizes differ");
  require(draws.first % kDrawGroup == 0, "quantise_f32: draws begin inside of a group");
  require(grid.levels <= 255, "quantise_f32: codes of more than 8 bits");
  table().codes->quantise(x.data(),
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
  table().codes->bin(x.data(), factor, bounds.data(), bounds.size(), codes.data(), x.size());
}

void look_up_f32(std::span<const std::uint8_t> codes,
                 std::span<const float> values_of,
                 std::span<float> values) noexcept {
  require(codes.size() == values.size(), "look_up_f32: sizes differ");
  table().codes->look_up(codes.data(), values_of.data(), values.data(), values.size());
}

void pack_codes(std::span<const std::uint8_t> codes,
                unsigned bits,
                std::span<std::uint8_t> bytes) noexcept {
  require(bits >= 1 && bits <= 8, "pack_codes: 1 to 8 bits");
  require(bytes.size() == packed_bytes(codes.size(), bits), "pack_codes: sizes do not fit");
  table().codes->pack(codes.data(), bits, bytes.data(), codes.size());
}

void unpack_codes(std::span<const std::uint8_t> bytes,
                  unsigned bits,
                  std::span<std::uint8_t> codes) noexcept {
  require(bits >= 1 && bits <= 8, "unpack_codes: 1 to 8 bits");
  require(bytes.size() == packed_bytes(codes.size(), bits), "unpack_codes: sizes do not fit");
  table().codes->unpack(bytes.data(), bits, codes.data(), codes.size());
}

ValueRange range_f32(std::span<const float> x) noexcept {
  if (x.empty()) return {};
  const RawRange found = table().codes->range(x.data(), x.size());
  return {found.low, found.high};
}

double sum_magnitudes_f32(std::span<const float> x) noexcept {
  return table().codes->sum_magnitudes(x.data(), x.size());
}

void to_half(std::span<const float> x, std::span<std::uint16_t> half) noexcept {
  require(x.size() == half.size(), "to_half: sizes differ");
  table().codes->to_half(x.data(), half.data(), x.size());
}

void from_half(std::span<const std::uint16_t> half, std::span<float> x) noexcept {
  require(x.size() == half.size(), "from_half: sizes differ");
  table().codes->from_half(half.data(), x.data(), x.size());
}

void to_bfloat(std::span<const float> x, std::span<std::uint16_t> bfloat) noexcept {
  require(x.size() == bfloat.size(), "to_bfloat: sizes differ");
  table().codes->to_bfloat(x.data(), bfloat.data(), x.size());
}

void from_bfloat(std::span<const std::uint16_t> bfloat, std::span<float> x) noexcept {
  require(x.size() == bfloat.size(), "from_bfloat: sizes differ");
  table().codes->from_bfloat(bfloat.data(), x.data(), x.size());
}

void hadamard_f32(std::span<float> x) noexcept {
  require(std::has_single_bit(x.size()), "hadamard_f32: the size is no power of two");
  table().codes->hadamard(x.data(), x.size());
}

void flip_signs_f32(std::uint64_t key, std::span<float> x) noexcept {
  table().codes->flip_signs(key, x.data(), x.size());
}

std::size_t indices_above(std::span<const float> x,
                          float least,
                          std::span<std::uint32_t> indices) noexcept {
  return table().codes->indices_above(x.data(), least, indices.data(), indices.size(), x.size());
}

}  // namespace chorus::kernels
