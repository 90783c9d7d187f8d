// Every kernel of kernels/gpu: in plain C++ against the CPU's kernels or sums of its own in double,
// on every device that a driver offers against plain C++.
#include "chorus/kernels/kernels.hpp"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "chorus/kernels/gpu_programs.hpp"
#include "chorus/kernels/training.hpp"
#include "common/base/rng.hpp"
#include "tests/support/gpu_calls.hpp"

namespace chorus::gpu {
namespace {

// The call of that kernel, before and after plain C++ did it.
struct Done {
  Call before;
  Call after;
};

Done on_plain(const std::string& kernel) {
  for (Call& call : all_calls()) {
    if (call.kernel != kernel) continue;
    Done done{call, call};
    const auto device = open("plain", with_kernels());
    EXPECT_TRUE(execute(**device, done.after));
    return done;
  }
  ADD_FAILURE() << kernel;
  return {};
}

template <class T>
std::vector<T> in(const Done& done, std::size_t k) {
  return done.before.operands[k].as<T>();
}
template <class T>
std::vector<T> out(const Done& done, std::size_t k) {
  return done.after.operands[k].as<T>();
}

TEST(GpuKernels, EveryKernelIsCalled) {
  std::set<std::string> called;
  for (const Call& call : all_calls()) called.insert(call.kernel);
  std::set<std::string> known;
  for (const std::string_view name : kernels::gpu::kernel_names()) known.emplace(name);
  EXPECT_EQ(called, known);
}

#ifdef CHORUS_TEST_DRIVERS
TEST(GpuKernels, EveryDeviceAgreesWithPlain) {
  const auto plain = open("plain", with_kernels());
  for (const DeviceInfo& info : enumerate(with_kernels().programs).devices) {
    SCOPED_TRACE(info.id() + ", " + info.name);
    const auto device = open(info.id(), with_kernels());
    ASSERT_TRUE(device) << device.error().to_string();
    for (const Call& call : all_calls()) {
      Call expected = call;
      ASSERT_TRUE(execute(**plain, expected));
      Call got = call;
      const auto done = execute(**device, got);
      ASSERT_TRUE(done) << done.error().to_string();
      EXPECT_EQ(difference(got, expected), "");
    }
  }
}
#endif

TEST(GpuKernels, DifferencesAreSeen) {
  for (const Call& call : all_calls()) {
    if (call.kernel != "copy_f32" && call.kernel != "layer_norm_f32") continue;
    Call other = call;
    other.operands[0].array[3] ^= std::byte{0x40};  // an exponent
    EXPECT_NE(difference(other, call), "") << call.kernel;
  }
}

TEST(GpuKernels, FoldHasTheBitsOfTheCpu) {
  const Done done = on_plain("fold_f32");
  const auto x = in<float>(done, 0);
  const auto multipliers = in<double>(done, 1);
  auto sums = in<std::int64_t>(done, 3);
  for (std::size_t k = 0; k < multipliers.size(); ++k) {
    const kernels::FoldInput input{x.data() + k * sums.size(), multipliers[k]};
    kernels::fold_f32({&input, 1}, sums);
  }
  EXPECT_EQ(out<std::int64_t>(done, 3), sums);
}

TEST(GpuKernels, MeansHaveTheBitsOfTheCpu) {
  const Done done = on_plain("lane_mean_f32");
  const auto sums = in<std::int64_t>(done, 0);
  std::vector<float> mean(sums.size());
  kernels::lane_mean_f32(sums, 12345.0 * 0x1.0p20, mean);
  EXPECT_EQ(out<float>(done, 2), mean);
}

TEST(GpuKernels, ActivationsHaveTheBitsOfTheCpu) {
  const Done forward = on_plain("bias_relu_f32");
  auto x = in<float>(forward, 0);
  const auto bias = in<float>(forward, 1);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += bias[i % bias.size()];
  kernels::relu_f32(x, 0.1F, x);
  EXPECT_EQ(out<float>(forward, 4), x);

  const Done backward = on_plain("relu_backward_f32");
  auto dx = in<float>(backward, 1);
  kernels::relu_backward_f32(in<float>(backward, 0), dx, 0.1F, dx);
  EXPECT_EQ(out<float>(backward, 3), dx);
}

TEST(GpuKernels, DropoutHasTheBitsOfTheCpu) {
  const Done done = on_plain("dropout_f32");
  const auto x = in<float>(done, 0);
  std::vector<float> kept(x.size());
  std::vector<float> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    // The counter is (place / 4, layer, step), the key as in the call.
    const auto words =
        philox4x32({static_cast<std::uint32_t>(i / 4), 5, 7, 1}, {0x89ABCDEFU, 0x01234567U});
    kept[i] = words[i % 4] >= 0x40000000U ? 4.0F / 3.0F : 0.0F;
    y[i] = x[i] * kept[i];
  }
  EXPECT_EQ(out<float>(done, 6), kept);
  EXPECT_EQ(out<float>(done, 7), y);
}

TEST(GpuKernels, StepsHaveTheBitsOfTheCpu) {
  const Done sgd = on_plain("sgd_step_f32");
  auto w = in<float>(sgd, 0);
  const auto g = in<float>(sgd, 1);
  kernels::sgd_step_f32(0.05F, 0.01F, {w, g, {}, {}});
  EXPECT_EQ(out<float>(sgd, 0), w);

  const Done momentum = on_plain("momentum_step_f32");
  w = in<float>(momentum, 0);
  auto first = in<float>(momentum, 2);
  kernels::momentum_step_f32({0.05F, 0.01F, 0.9F, 1.0F, 0.9F}, {w, g, first, {}});
  EXPECT_EQ(out<float>(momentum, 0), w);
  EXPECT_EQ(out<float>(momentum, 2), first);

  const Done adam = on_plain("adam_step_f32");
  w = in<float>(adam, 0);
  first = in<float>(adam, 2);
  auto second = in<float>(adam, 3);
  kernels::adam_step_f32({0.001F, 0.9F, 0.999F, 1e-8F, 1.5F, 3.0F, 0.02F, 0.99F},
                         {w, g, first, second});
  EXPECT_EQ(out<float>(adam, 0), w);
  EXPECT_EQ(out<float>(adam, 2), first);
  EXPECT_EQ(out<float>(adam, 3), second);
}

TEST(GpuKernels, ProductsOfATransposedMatrix) {
  const Done done = on_plain("product_f32");
  const auto a = in<float>(done, 0);
  const auto b = in<float>(done, 3);
  const auto c = out<float>(done, 6);
  for (std::size_t i = 0; i < 37; ++i) {
    for (std::size_t j = 0; j < 29; ++j) {
      double sum = 0.0;
      for (std::size_t k = 0; k < 13; ++k) sum += double{a[k * 37 + i]} * double{b[k * 29 + j]};
      EXPECT_NEAR(c[i * 29 + j], sum, 1e-5);
    }
  }
}

TEST(GpuKernels, SumsOfColumnsAndRowsOfATable) {
  const Done columns = on_plain("column_sums_f32");
  const auto dy = in<float>(columns, 0);
  const Done table = on_plain("embedding_f32");
  const auto rows = in<float>(table, 0);
  const auto ids = in<std::uint32_t>(table, 1);
  for (std::size_t j = 0; j < 29; ++j) {
    double sum = 0.0;
    for (std::size_t r = 0; r < 37; ++r) sum += double{dy[r * 29 + j]};
    EXPECT_NEAR(out<float>(columns, 2)[j], sum, 1e-5);
    for (std::size_t r = 0; r < 37; ++r) {
      EXPECT_EQ(out<float>(table, 3)[r * 29 + j], rows[ids[r] * 29 + j]);
    }
  }
}

TEST(GpuKernels, CopiesAndProductsOfElements) {
  const Done copy = on_plain("copy_f32");
  EXPECT_EQ(out<float>(copy, 1), in<float>(copy, 0));
  const Done done = on_plain("multiply_f32");
  for (std::size_t i = 0; i < 37 * 29; ++i) {
    EXPECT_EQ(out<float>(done, 2)[i], in<float>(done, 0)[i] * in<float>(done, 1)[i]);
  }
}

TEST(GpuKernels, SoftmaxCrossEntropyAndItsGradient) {
  const Done done = on_plain("softmax_cross_entropy_f32");
  const auto z = in<float>(done, 0);
  const auto labels = in<std::uint32_t>(done, 1);
  for (std::size_t r = 0; r < 37; ++r) {
    double sum = 0.0;
    for (std::size_t c = 0; c < 29; ++c) sum += std::exp(double{z[r * 29 + c]});
    EXPECT_NEAR(out<float>(done, 4)[r], std::log(sum) - double{z[r * 29 + labels[r]]}, 1e-5);
    for (std::size_t c = 0; c < 29; ++c) {
      const double p = std::exp(double{z[r * 29 + c]}) / sum - (c == labels[r] ? 1.0 : 0.0);
      EXPECT_NEAR(out<float>(done, 5)[r * 29 + c], p / 37.0, 1e-7);
    }
  }
}

TEST(GpuKernels, LayerNormOfEachRow) {
  const Done done = on_plain("layer_norm_f32");
  const auto x = in<float>(done, 0);
  for (std::size_t r = 0; r < 37; ++r) {
    double mean = 0.0;
    double squares = 0.0;
    for (std::size_t j = 0; j < 29; ++j) mean += double{x[r * 29 + j]} / 29.0;
    for (std::size_t j = 0; j < 29; ++j)
      squares += std::pow(double{x[r * 29 + j]} - mean, 2) / 29.0;
    for (std::size_t j = 0; j < 29; ++j) {
      const double expected = (double{x[r * 29 + j]} - mean) / std::sqrt(squares + 1e-5) *
                                  double{in<float>(done, 1)[j]} +
                              double{in<float>(done, 2)[j]};
      EXPECT_NEAR(out<float>(done, 5)[r * 29 + j], expected, 2e-5);
    }
  }
}

}  // namespace
}  // namespace chorus::gpu
