#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/kernels.hpp"
#include "chorus/kernels/products.hpp"
#include "tests/unit/kernels/variants.hpp"

namespace chorus {
namespace {

using kernels::Product;

struct Kind {
  const char* name;
  void (*run)(const Product&) noexcept;
  bool a_transposed;
  bool b_transposed;
};

// Packs B first; n and k may be zero, memory may not be missing.
template <class Pack>
void run_packed(Product p, Pack pack, kernels::PanelOrder order) {
  std::vector<float> packed(kernels::packed_floats(p.n, p.k) + 1, std::nanf(""));
  pack({p.n, p.k, p.b, p.ldb}, std::span(packed).first(packed.size() - 1));
  EXPECT_TRUE(std::isnan(packed.back())) << "beyond the panels";
  p.b = packed.data();
  kernels::product_packed_f32(p, order);
}
void packed_nt(const Product& p) noexcept {
  run_packed(p, kernels::pack_nt_f32, kernels::PanelOrder::from_first);
}
void packed_nn(const Product& p) noexcept {
  run_packed(p, kernels::pack_nn_f32, kernels::PanelOrder::from_last);
}

constexpr Kind kKinds[] = {{"nt", kernels::product_nt_f32, false, true},
                           {"nn", kernels::product_nn_f32, false, false},
                           {"tn", kernels::product_tn_f32, true, false},
                           {"packed nt", packed_nt, false, true},
                           {"packed nn", packed_nn, false, false}};

// Rows are longer than they must be, so that a store beyond a row is seen.
constexpr std::size_t kSlack = 3;

struct Problem {
  std::size_t m, n, k;
  float alpha = 1.0F;
  float beta = 0.0F;
};

struct Data {
  std::vector<float> a, b, c;
  std::size_t lda, ldb, ldc;

  Data(const Kind& kind, const Problem& p)
      : lda((kind.a_transposed ? p.m : p.k) + kSlack),
        ldb((kind.b_transposed ? p.k : p.n) + kSlack),
        ldc(p.n + kSlack) {
    std::uint32_t state = 7;
    const auto fill = [&state](std::vector<float>& into, std::size_t count) {
      into.resize(count);
      for (float& x : into) {
        state = state * 1664525U + 1013904223U;
        x = static_cast<float>(state >> 8U) * 0x1.0p-23F - 1.0F;
      }
    };
    fill(a, lda * (kind.a_transposed ? p.k : p.m) + 1);
    fill(b, ldb * (kind.b_transposed ? p.n : p.k) + 1);
    fill(c, ldc * p.m + 1);
  }

  // One element off the start: nothing is aligned.
  std::vector<float> run(const Kind& kind, const Problem& p) const {
    std::vector<float> out = c;
    kind.run({p.m,
              p.n,
              p.k,
              a.data() + 1,
              lda,
              b.data() + 1,
              ldb,
              out.data() + 1,
              ldc,
              p.alpha,
              p.beta});
    return out;
  }
};

const std::vector<Problem>& problems() {
  static const std::vector<Problem> all = [] {
    std::vector<Problem> list;
    for (const std::size_t m : {1U, 2U, 3U, 5U, 6U, 7U, 10U, 13U}) {
      for (const std::size_t n : {1U, 3U, 4U, 7U, 16U, 17U, 64U, 67U}) {
        for (const std::size_t k : {0U, 1U, 5U, 15U, 16U, 31U, 33U}) {
          list.push_back({m, n, k});
          list.push_back({m, n, k, -0.25F, 0.5F});
        }
      }
    }
    list.push_back({32, 130, 300});
    list.push_back({9, 200, 784, 0.1F, 1.0F});
    // Around the edges of pieces, panels, tiles and blocks.
    for (const std::size_t k : {63U, 64U, 255U, 256U, 257U, 600U}) {
      for (const std::size_t m : {7U, 11U, 12U, 16U, 17U, 32U, 33U, 70U})
        list.push_back({m, 70, k});
    }
    // Short sums of many rows, few and many columns: the side that is turned changes.
    for (const std::size_t k : {1U, 12U, 31U, 127U, 128U}) {
      for (const std::size_t n : {5U, 15U, 16U, 48U, 63U, 144U}) {
        list.push_back({12, n, k, 0.5F});
        list.push_back({33, n, k, 1.0F, 1.0F});
      }
      list.push_back({140, 50, k, 1.0F, 0.5F});
    }
    list.push_back({140, 40, 300, 1.0F, 0.5F});  // a long right side, turned
    list.push_back({18, 63, 300});
    list.push_back({18, 64, 300});
    list.push_back({18, 1100, 257, -0.5F, 0.25F});
    list.push_back({600, 80, 300, 2.0F, 1.0F});
    return list;
  }();
  return all;
}

TEST(Products, AllVariantsGiveTheBitsOfTheReference) {
  for (const Kind& kind : kKinds) {
    for (const Problem& p : problems()) {
      const Data data(kind, p);
      std::vector<float> expected;
      {
        const test::WithVariant use("ref");
        expected = data.run(kind, p);
      }
      for (const auto variant : kernels::available_variants()) {
        const test::WithVariant use(variant);
        const std::vector<float> got = data.run(kind, p);
        for (std::size_t i = 0; i < got.size(); ++i) {
          ASSERT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(expected[i]))
              << kind.name << ' ' << variant << ' ' << p.m << 'x' << p.n << 'x' << p.k << " at "
              << i;
        }
      }
    }
  }
}

TEST(Products, AreProducts) {
  for (const Kind& kind : kKinds) {
    for (const Problem& p : problems()) {
      const Data data(kind, p);
      const std::vector<float> got = data.run(kind, p);
      for (std::size_t i = 0; i < p.m; ++i) {
        for (std::size_t j = 0; j < p.n; ++j) {
          double sum = 0.0;
          for (std::size_t q = 0; q < p.k; ++q) {
            const std::size_t at_a = kind.a_transposed ? q * data.lda + i : i * data.lda + q;
            const std::size_t at_b = kind.b_transposed ? j * data.ldb + q : q * data.ldb + j;
            sum += double{data.a[at_a + 1]} * double{data.b[at_b + 1]};
          }
          const std::size_t at = i * data.ldc + j + 1;
          const double before = p.beta == 0.0F ? 0.0 : double{p.beta} * double{data.c[at]};
          const double scale = std::max(1.0, std::abs(double{p.alpha}));
          const double bound = 1e-7 * scale * (2.0 + static_cast<double>(p.k));
          ASSERT_NEAR(double{got[at]}, double{p.alpha} * sum + before, bound)
              << kind.name << ' ' << p.m << 'x' << p.n << 'x' << p.k;
        }
      }
    }
  }
}

// A product of the same numbers, packed or not, has the same bits: nn's definition.
TEST(Products, PackingChangesNoBit) {
  for (const auto variant : kernels::available_variants()) {
    const test::WithVariant use(variant);
    const Problem p{33, 300, 520, 0.5F, 1.0F};
    const Data data(kKinds[1], p);
    EXPECT_EQ(data.run(kKinds[1], p), data.run(kKinds[4], p)) << variant;
  }
}

TEST(Products, DoNotReadCWithoutBeta) {
  for (const auto variant : kernels::available_variants()) {
    const test::WithVariant use(variant);
    for (const Kind& kind : kKinds) {
      const Problem p{3, 5, 4};
      Data data(kind, p);
      for (float& x : data.c) x = std::nanf("");
      const std::vector<float> got = data.run(kind, p);
      for (std::size_t i = 0; i < p.m; ++i) {
        EXPECT_TRUE(std::isfinite(got[i * data.ldc + 1])) << kind.name << ' ' << variant;
        EXPECT_TRUE(std::isnan(got[i * data.ldc + 1 + p.n])) << "beyond the row";
      }
    }
  }
}

}  // namespace
}  // namespace chorus
