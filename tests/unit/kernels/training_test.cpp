#include "chorus/kernels/training.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/kernels.hpp"
#include "tests/unit/kernels/variants.hpp"

namespace chorus {
namespace {

using kernels::AdamRule;
using kernels::MomentumRule;
using kernels::StepVectors;
using test::awkward_floats;
using test::bits_of;
using test::Placed;
using test::WithVariant;

/// What a loop may read and write, at one alignment.
struct Vectors {
  Vectors(std::size_t n, std::size_t offset)
      : a(awkward_floats(n, 1), offset),
        b(awkward_floats(n, 2), offset + 1),
        m(awkward_floats(n, 3), offset + 2),
        v(squares(awkward_floats(n, 4)), offset + 3) {}
  StepVectors step() { return {a.span(), b.span(), m.span(), v.span()}; }
  std::vector<std::uint64_t> bits() {
    std::vector<std::uint64_t> all;
    for (Placed<float>* one : {&a, &b, &m, &v}) {
      EXPECT_TRUE(one->guards_intact());
      for (const std::uint64_t bits : bits_of(one->values())) all.push_back(bits);
    }
    return all;
  }

  Placed<float> a, b, m, v;

 private:
  static std::vector<float> squares(std::vector<float> x) {
    for (float& value : x) value *= value;
    return x;
  }
};

constexpr MomentumRule kMomentum{0.1F, 0.01F, 0.9F, 1.0F, 0.9F};
constexpr AdamRule kAdam{0.1F, 0.9F, 0.99F, 1e-6F, 2.0F, 3.0F, 0.02F, 0.97F};

struct Loop {
  const char* name;
  std::function<void(Vectors&)> run;
};

const std::vector<Loop>& loops() {
  static const std::vector<Loop> all{
      {"relu", [](Vectors& x) { kernels::relu_f32(x.a.span(), 0.25F, x.b.span()); }},
      {"relu in place", [](Vectors& x) { kernels::relu_f32(x.a.span(), 0.0F, x.a.span()); }},
      {"softmax", [](Vectors& x) { kernels::softmax_f32(x.a.span(), x.b.span()); }},
      {"softmax in place", [](Vectors& x) { kernels::softmax_f32(x.v.span(), x.v.span()); }},
      {"softmax_backward",
       [](Vectors& x) { kernels::softmax_backward_f32(x.a.span(), x.b.span(), x.b.span()); }},
      {"relu_backward",
       [](Vectors& x) { kernels::relu_backward_f32(x.a.span(), x.b.span(), 0.5F, x.b.span()); }},
      {"add", [](Vectors& x) { kernels::add_f32(x.a.span(), x.b.span(), x.a.span()); }},
      {"scale", [](Vectors& x) { kernels::scale_f32(0.3F, x.a.span()); }},
      {"sgd", [](Vectors& x) { kernels::sgd_step_f32(0.1F, 0.01F, x.step()); }},
      {"momentum", [](Vectors& x) { kernels::momentum_step_f32(kMomentum, x.step()); }},
      {"adam", [](Vectors& x) { kernels::adam_step_f32(kAdam, x.step()); }},
      {"lamb", [](Vectors& x) { kernels::lamb_direction_f32(kAdam, 0.03F, x.step(), x.b.span()); }},
  };
  return all;
}

TEST(TrainingKernels, EveryVariantGivesTheBitsOfTheReference) {
  for (const Loop& loop : loops()) {
    for (const std::size_t n : test::awkward_lengths()) {
      const std::size_t offset = n % 16;
      const auto bits = [&](std::string_view variant) {
        const WithVariant with(variant);
        Vectors vectors(n, offset);
        loop.run(vectors);
        return vectors.bits();
      };
      const auto expected = bits("ref");
      for (const std::string_view variant : kernels::available_variants()) {
        ASSERT_EQ(bits(variant), expected) << loop.name << " of " << n << ", " << variant;
      }
    }
  }
}

// One element at a time, in double: what the contracts say, without their roundings.
class TrainingKernel : public ::testing::Test {
 protected:
  const std::vector<float> w_{1.0F, -2.0F, 0.5F, 3.0F, -0.25F};
  const std::vector<float> g_{0.5F, 0.25F, -1.0F, 0.0F, 2.0F};
  const std::vector<float> m_{0.1F, -0.2F, 0.3F, 0.0F, -0.5F};
  const std::vector<float> v_{0.01F, 0.04F, 0.0F, 1.0F, 0.25F};

  void SetUp() override { reset(); }
  void reset() {
    w = w_;
    g = g_;
    m = m_;
    v = v_;
  }
  StepVectors step() { return {w, g, m, v}; }
  static double adam_direction(const AdamRule& r, double s, double m, double v) {
    const double first = r.beta1 * m + (1.0 - r.beta1) * s;
    const double second = r.beta2 * v + (1.0 - r.beta2) * s * s;
    return first * r.first_scale / (std::sqrt(second) * r.second_scale + r.epsilon);
  }
  static constexpr double kNear = 1e-6;

  std::vector<float> w, g, m, v;
};

TEST_F(TrainingKernel, SoftmaxIsNearTheCLibrarys) {
  for (const std::size_t n : {1U, 7U, 16U, 37U}) {
    std::vector<float> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = 3.0F * std::sin(static_cast<float>(5 * i));
    x[n / 2] = -100.0F;
    const float top = *std::max_element(x.begin(), x.end());
    double sum = 0.0;
    for (const float one : x) sum += std::exp(double{one} - double{top});
    std::vector<float> y(n);
    kernels::softmax_f32(x, y);
    double mean = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(double{y[i]}, std::exp(double{x[i]} - double{top}) / sum, 4e-7) << n << ' ' << i;
      mean += double{y[i]} * double{x[i]};
    }
    std::vector<float> dx(n);
    kernels::softmax_backward_f32(y, x, dx);
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(double{dx[i]}, double{y[i]} * (double{x[i]} - mean), 1e-6) << n << ' ' << i;
    }
  }
}

TEST_F(TrainingKernel, ReluAndItsDerivativeTurnAtZero) {
  const std::vector<float> x{-2.0F, -0.0F, 0.0F, 0.5F, 4.0F};
  std::vector<float> y(5);
  kernels::relu_f32(x, 0.5F, y);
  EXPECT_EQ(y, (std::vector<float>{-1.0F, 0.0F, 0.0F, 0.5F, 4.0F}));
  std::vector<float> dx(5);
  kernels::relu_backward_f32(y, std::vector<float>(5, 8.0F), 0.25F, dx);
  EXPECT_EQ(dx, (std::vector<float>{2.0F, 2.0F, 2.0F, 8.0F, 8.0F}));
}

TEST_F(TrainingKernel, SgdStepsAgainstTheGradientAndDecays) {
  kernels::sgd_step_f32(0.1F, 0.5F, step());
  for (std::size_t i = 0; i < w.size(); ++i) {
    EXPECT_NEAR(w[i], w_[i] - 0.1 * (g_[i] + 0.5 * w_[i]), kNear) << i;
  }
  EXPECT_EQ(m, m_);
  EXPECT_EQ(v, v_);
}

TEST_F(TrainingKernel, MomentumRemembers) {
  for (const auto& [now, ahead] : {std::pair{0.0F, 1.0F}, {1.0F, 0.9F}}) {
    reset();
    kernels::momentum_step_f32({0.1F, 0.5F, 0.9F, now, ahead}, step());
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double slope = g_[i] + 0.5 * w_[i];
      const double velocity = 0.9 * m_[i] + slope;
      EXPECT_NEAR(m[i], velocity, kNear) << i;
      EXPECT_NEAR(w[i], w_[i] - 0.1 * (now * slope + ahead * velocity), kNear) << i;
    }
  }
}

TEST_F(TrainingKernel, AdamDividesByTheRootOfTheSecondMoment) {
  kernels::adam_step_f32(kAdam, step());
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double slope = g_[i] + kAdam.coupled * w_[i];
    const double r = adam_direction(kAdam, slope, m_[i], v_[i]);
    EXPECT_NEAR(w[i], kAdam.shrink * w_[i] - kAdam.rate * r, 1e-5) << i;
    EXPECT_NEAR(m[i], kAdam.beta1 * m_[i] + (1.0 - kAdam.beta1) * slope, kNear) << i;
    EXPECT_NEAR(v[i], kAdam.beta2 * v_[i] + (1.0 - kAdam.beta2) * slope * slope, kNear) << i;
  }
}

TEST_F(TrainingKernel, LambLeavesTheWeightsToItsCaller) {
  std::vector<float> direction(w.size());
  kernels::lamb_direction_f32(kAdam, 0.03F, step(), direction);
  EXPECT_EQ(w, w_);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double r = adam_direction(kAdam, g_[i], m_[i], v_[i]) + 0.03 * w_[i];
    EXPECT_NEAR(direction[i], r, 1e-5) << i;
  }
}

TEST(TrainingKernelsDeathTest, SizesThatDifferAreDefects) {
  std::vector<float> three(3);
  std::vector<float> two(2);
  EXPECT_DEATH(kernels::relu_f32(three, 0.0F, two), "relu_f32");
  EXPECT_DEATH(kernels::add_f32(three, two, three), "add_f32");
  EXPECT_DEATH(kernels::sgd_step_f32(0.1F, 0.0F, {three, two, {}, {}}), "gradient");
  EXPECT_DEATH(kernels::momentum_step_f32({}, {three, three, two, {}}), "first moment");
  EXPECT_DEATH(kernels::adam_step_f32({}, {three, three, three, two}), "second moment");
}

}  // namespace
}  // namespace chorus
