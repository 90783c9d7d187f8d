// The reference models against PyTorch; tests/golden/make_torch_models.py made the numbers and says
// what they are.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "client/train/network.hpp"
#include "client/train/optimiser.hpp"
#include "common/tensor/safetensors.hpp"
#include "tests/unit/client/train/examples.hpp"
#include "tests/unit/client/train/reference_models.hpp"

namespace chorus::train {
namespace {

using test::ReferenceModel;

constexpr std::size_t kBatch = 8;
constexpr std::size_t kSteps = 20;
constexpr std::size_t kProjections = 8;

// splitmix64 of seed and place.
std::uint64_t hashed(std::uint64_t seed, std::uint64_t place) {
  std::uint64_t z = seed * 0x632BE59BD9B4E019U + (place + 1) * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

float uniform(std::uint64_t seed, std::uint64_t place) {
  return static_cast<float>(hashed(seed, place) >> 40U) * 0x1.0p-23F - 1.0F;
}

void fill(const TensorLayout& layout, std::span<float> parameters) {
  for (std::size_t t = 0; t < layout.tensors.size(); ++t) {
    const TensorSpec& tensor = layout.tensors[t];
    const bool matrix = tensor.shape.size() > 1;
    const auto fan_in = static_cast<double>(tensor.count / tensor.shape[0]);
    const float scale = matrix ? static_cast<float>(std::sqrt(3.0 / fan_in)) : 0.1F;
    const float shift = !matrix && tensor.name.ends_with("weight") ? 1.0F : 0.0F;
    for (std::uint64_t i = 0; i < tensor.count; ++i) {
      float& value = parameters[tensor.offset + i];
      value = uniform(1000 + t, i) * scale + shift;
      if (tensor.buffer) value = tensor.name.ends_with("running_var") ? 1.0F : 0.0F;
    }
  }
}

client::Dataset examples_of(const ReferenceModel& reference, std::uint64_t classes) {
  client::Dataset::Parts parts;
  parts.feature_shape = reference.model.input_shape;
  std::uint64_t numbers = 1;
  for (const std::uint64_t side : parts.feature_shape) numbers *= side;
  for (std::uint64_t i = 0; i < kBatch * kSteps * numbers; ++i) {
    const std::uint64_t vocabulary = reference.vocabulary;
    parts.features.push_back(vocabulary > 0 ? static_cast<float>(hashed(1, i) % vocabulary)
                                            : uniform(1, i));
  }
  for (std::uint64_t i = 0; i < kBatch * kSteps; ++i) {
    parts.labels.push_back(static_cast<std::uint32_t>(hashed(2, i) % classes));
  }
  parts.classes = static_cast<std::uint32_t>(classes);
  auto data = client::Dataset::create(std::move(parts));
  EXPECT_TRUE(data) << data.error().to_string();
  return std::move(data).value();
}

double projection(std::uint64_t seed, std::span<const float> numbers) {
  double sum = 0.0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const double value = numbers[i];
    sum += (hashed(seed, i) >> 63U) != 0 ? -value : value;
  }
  return sum;
}

class Parity : public testing::TestWithParam<ReferenceModel> {
 protected:
  void SetUp() override {
    const char* const live = std::getenv("CHORUS_TORCH_MODELS");  // compare_torch_live.py
    auto file = tensor::read_safetensors(
        live != nullptr ? std::filesystem::path(live)
                        : std::filesystem::path(CHORUS_GOLDEN_DIR) / "models.safetensors");
    ASSERT_TRUE(file) << file.error().to_string();
    golden_ = std::move(file).value();
  }

  std::span<const float> golden(const std::string& key) const {
    for (const TensorSpec& tensor : golden_.layout.tensors) {
      if (tensor.name == GetParam().name + "." + key) {
        return golden_.data.span().subspan(tensor.offset, tensor.count);
      }
    }
    ADD_FAILURE() << "no numbers " << key << " of " << GetParam().name;
    return {};
  }

  // ‖mine − PyTorch's‖ / ‖PyTorch's‖ of every tensor, estimated from the projections.
  void expect_close(const TensorLayout& layout,
                    std::span<const float> mine,
                    std::span<const float> expected,
                    double tolerance) const {
    ASSERT_EQ(expected.size(), layout.tensors.size() * (kProjections + 1));
    for (std::size_t t = 0; t < layout.tensors.size(); ++t) {
      const TensorSpec& tensor = layout.tensors[t];
      const auto row = expected.subspan(t * (kProjections + 1), kProjections + 1);
      const auto own = mine.subspan(tensor.offset, tensor.count);
      double squares = 0.0;
      for (std::size_t r = 0; r < kProjections; ++r) {
        const double difference =
            projection(50000 + kProjections * t + r, own) - double{row[r + 1]};
        squares += difference * difference / kProjections;
      }
      EXPECT_LE(std::sqrt(squares), tolerance * double{row[0]}) << tensor.name;
    }
  }

  // Relative: of loss and gradients of the first step, of losses and weights later.
  struct Tolerances {
    double loss = 0.0;
    double gradients = 0.0;
    double losses = 0.0;
    double weights = 0.0;
  };
  void expect_agreement(Tape::Factors factors, const Tolerances& within) const;

  tensor::SafetensorsFile golden_;
};

void Parity::expect_agreement(Tape::Factors factors, const Tolerances& within) const {
  const ReferenceModel& reference = GetParam();
  auto created = Network::create(reference.model);
  ASSERT_TRUE(created) << created.error().to_string();
  Network& network = **created;
  network.set_factors(factors);
  const client::Dataset data = examples_of(reference, network.outputs());
  ASSERT_TRUE(network.accepts(data));
  fill(network.layout(), network.parameters());
  const bool gentle = reference.name.ends_with("_bn") || reference.name == "cifar_cnn";
  // See the script: batch norm amplifies what rounding does to ReLUs.
  const Optimiser options{gentle ? 0.002 : 0.02, 0.9};
  auto optimiser = OptimiserState::create(options, network.layout());
  ASSERT_TRUE(optimiser);
  const auto losses = golden("losses");
  for (std::size_t step = 0; step < kSteps; ++step) {
    std::vector<std::uint32_t> rows;
    for (std::size_t i = 0; i < kBatch; ++i) {
      rows.push_back(static_cast<std::uint32_t>(step * kBatch + i));
    }
    const auto result = network.gradient_of(data, {rows});
    ASSERT_TRUE(result) << result.error().to_string();
    EXPECT_NEAR(result->loss / kBatch, losses[step], within.losses * losses[step])
        << "step " << step;
    if (step == 0) {
      EXPECT_NEAR(result->loss / kBatch, losses[0], within.loss * losses[0]);
      expect_close(network.layout(), network.gradient(), golden("gradient"), within.gradients);
    }
    optimiser->apply({options.learning_rate, network.parameters(), network.gradient()});
  }
  expect_close(network.layout(), network.parameters(), golden("trained"), within.weights);
}

TEST_P(Parity, GradientsAndTrainingAgree) {
  expect_agreement(Tape::Factors::f32, {1e-5, 1e-5, 1e-3, 1e-3});
}

// Where the CPU multiplies no bf16, oneDNN computes the same numbers by other means.
TEST_P(Parity, RoundedFactorsStayNear) {
  if (!computes_bf16()) GTEST_SKIP() << "oneDNN has no bf16 for this CPU";
  // Rounding turns some ReLUs and maxima round, whose gradients then are other ones: PyTorch's own
  // autocast (make_torch_models.py --autocast) differs from its float64 by 0.085 (fedavg_cnn) to
  // 0.43 (resnet20_bn) in the worst tensor, we by 0.55 where AMX multiplies. Where every function
  // is smooth, gradients stay as near as the factors.
  const auto& layers = GetParam().model.layers;
  const bool kinks = std::any_of(layers.begin(), layers.end(), [](const Layer& layer) {
    return std::holds_alternative<Relu>(layer);
  });
  if (kinks) {
    expect_agreement(Tape::Factors::bf16, {3e-2, 0.65, 5e-2, 0.25});
  } else {
    expect_agreement(Tape::Factors::bf16, {3e-2, 3e-2, 3e-2, 3e-2});
  }
}

INSTANTIATE_TEST_SUITE_P(Models,
                         Parity,
                         testing::ValuesIn(test::reference_models()),
                         [](const testing::TestParamInfo<ReferenceModel>& instance) {
                           return instance.param.name;
                         });

}  // namespace

}  // namespace chorus::train
