#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/cells.hpp"
#include "chorus/kernels/kernels.hpp"
#include "tests/unit/kernels/variants.hpp"

namespace chorus {
namespace {

using test::bits_of;
using test::Placed;
using test::WithVariant;

std::vector<float> numbers(std::size_t n, std::uint32_t state) {
  std::vector<float> made(n);
  for (float& x : made) {
    state = state * 1664525U + 1013904223U;
    x = static_cast<float>(state >> 8U) * 0x1.0p-22F - 2.0F;
  }
  return made;
}

double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

/// The operands of all cells.
struct Cells {
  explicit Cells(std::size_t count)
      : units(count),
        gates(numbers(4 * units, 1), 1),
        state(numbers(3 * units, 2), 2),
        before(numbers(units, 3), 3),
        cell(numbers(units, 4), 4),
        h(numbers(units, 5), 5),
        dc(numbers(units, 6), 6) {}
  std::vector<std::uint64_t> bits() {
    std::vector<std::uint64_t> all;
    for (Placed<float>* one : {&gates, &state, &before, &cell, &h, &dc}) {
      EXPECT_TRUE(one->guards_intact());
      for (const std::uint64_t bits : bits_of(one->values())) all.push_back(bits);
    }
    return all;
  }
  static float* at(Placed<float>& of) { return of.span().data(); }

  std::size_t units;
  Placed<float> gates, state, before, cell, h, dc;
};

void lstm(Cells& c, bool first) {
  kernels::lstm_cell_f32({c.units,
                          Cells::at(c.gates),
                          first ? nullptr : Cells::at(c.before),
                          Cells::at(c.cell),
                          Cells::at(c.h)});
}
void lstm_backward(Cells& c, bool first) {
  kernels::lstm_cell_backward_f32({c.units,
                                   Cells::at(c.gates),
                                   first ? nullptr : Cells::at(c.before),
                                   Cells::at(c.cell),
                                   Cells::at(c.h),
                                   Cells::at(c.dc)});
}
void gru(Cells& c, bool first) {
  kernels::gru_cell_f32({c.units,
                         Cells::at(c.gates),
                         Cells::at(c.state),
                         first ? nullptr : Cells::at(c.before),
                         Cells::at(c.h)});
}
void gru_backward(Cells& c, bool first) {
  kernels::gru_cell_backward_f32({c.units,
                                  Cells::at(c.gates),
                                  Cells::at(c.state),
                                  first ? nullptr : Cells::at(c.before),
                                  Cells::at(c.h),
                                  Cells::at(c.dc)});
}

TEST(CellKernels, EveryVariantGivesTheBitsOfTheReference) {
  for (const auto run : {lstm, lstm_backward, gru, gru_backward}) {
    for (const std::size_t units : test::awkward_lengths()) {
      const auto bits = [&](std::string_view variant) {
        const WithVariant with(variant);
        Cells cells(units);
        run(cells, units % 3 == 0);
        return cells.bits();
      };
      const auto expected = bits("ref");
      for (const std::string_view variant : kernels::available_variants()) {
        ASSERT_EQ(bits(variant), expected) << variant << ", " << units << " units";
      }
    }
  }
}

TEST(CellKernels, LstmIsTheFormula) {
  for (const bool first : {false, true}) {
    const std::size_t n = 37;
    Cells cells(n);
    const auto in = cells.gates.values();
    const auto before = first ? std::vector<float>(n) : cells.before.values();
    lstm(cells, first);
    const auto gates = cells.gates.values();
    for (std::size_t u = 0; u < n; ++u) {
      const double cell = sigmoid(in[n + u]) * double{before[u]} +
                          sigmoid(in[u]) * std::tanh(double{in[2 * n + u]});
      EXPECT_NEAR(gates[2 * n + u], std::tanh(double{in[2 * n + u]}), 1e-6);
      EXPECT_NEAR(cells.cell.values()[u], cell, 2e-6);
      EXPECT_NEAR(cells.h.values()[u], sigmoid(in[3 * n + u]) * std::tanh(cell), 2e-6);
    }
  }
}

TEST(CellKernels, GruIsTheFormula) {
  for (const bool first : {false, true}) {
    const std::size_t n = 37;
    Cells cells(n);
    const auto in = cells.gates.values();
    const auto state = cells.state.values();
    const auto before = first ? std::vector<float>(n) : cells.before.values();
    gru(cells, first);
    for (std::size_t u = 0; u < n; ++u) {
      const double r = sigmoid(double{in[u]} + double{state[u]});
      const double z = sigmoid(double{in[n + u]} + double{state[n + u]});
      const double fresh = std::tanh(double{in[2 * n + u]} + r * double{state[2 * n + u]});
      EXPECT_NEAR(cells.h.values()[u], (1.0 - z) * fresh + z * double{before[u]}, 2e-6);
    }
  }
}

// Derivatives are tested against finite differences where the layers are: gradient_test.cpp.

}  // namespace
}  // namespace chorus
