// The trainer against PyTorch; tests/golden/make_torch_golden.py made the numbers.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/client/builtin_trainer.hpp"
#include "client/train/network.hpp"
#include "common/tensor/safetensors.hpp"
#include "tests/unit/client/train/examples.hpp"

namespace chorus::train {
namespace {

ModelSpec reference_network() {
  return {{2, 8, 9},
          {Conv2d{"", 5, 3, 1, 1},
           Relu{},
           MaxPool2d{2, 2},
           Conv2d{"", 6, 2, 1, 1},
           Relu{},
           MaxPool2d{3, 2},
           Flatten{},
           Dense{"", 9},
           Relu{},
           Dense{"", 5}}};
}

class Torch : public testing::Test {
 protected:
  void SetUp() override {
    auto file =
        tensor::read_safetensors(std::filesystem::path(CHORUS_GOLDEN_DIR) / "torch.safetensors");
    ASSERT_TRUE(file) << file.error().to_string();
    golden_ = std::move(file).value();
    client::Dataset::Parts parts;
    parts.features.assign(golden("features").begin(), golden("features").end());
    parts.feature_shape = {2, 8, 9};
    for (const float label : golden("labels")) {
      parts.labels.push_back(static_cast<std::uint32_t>(label));
    }
    parts.classes = 5;
    auto data = client::Dataset::create(std::move(parts));
    ASSERT_TRUE(data) << data.error().to_string();
    data_ = std::move(data).value();
    auto layout = layout_of(reference_network());
    ASSERT_TRUE(layout) << layout.error().to_string();
    layout_ = std::move(layout).value();
    ASSERT_EQ(golden("parameters").size(), layout_.parameters);
  }

  std::span<const float> golden(std::string_view name) const {
    for (const TensorSpec& tensor : golden_.layout.tensors) {
      if (tensor.name == name) return golden_.data.span().subspan(tensor.offset, tensor.count);
    }
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }

  // ‖mine − golden‖ / ‖golden‖ ≤ 1e-4 for every tensor of the model, not only for the whole.
  void expect_close(std::span<const float> mine, std::span<const float> expected) const {
    ASSERT_EQ(mine.size(), expected.size());
    for (const TensorSpec& tensor : layout_.tensors) {
      double wrong = 0.0;
      double whole = 0.0;
      for (std::size_t i = tensor.offset; i < tensor.offset + tensor.count; ++i) {
        wrong += std::pow(double{mine[i]} - double{expected[i]}, 2);
        whole += std::pow(double{expected[i]}, 2);
      }
      EXPECT_LE(std::sqrt(wrong / whole), 1e-4) << tensor.name;
    }
  }

  tensor::SafetensorsFile golden_;
  client::Dataset data_;
  TensorLayout layout_;
};

TEST_F(Torch, LossAndGradientAgree) {
  auto network = Network::create(reference_network());
  ASSERT_TRUE(network);
  std::copy(
      golden("parameters").begin(), golden("parameters").end(), (*network)->parameters().begin());
  const auto result = (*network)->gradient_of(data_, {test::rows_up_to(20)});
  ASSERT_TRUE(result) << result.error().to_string();
  const double expected = golden("loss")[0];
  EXPECT_NEAR(result->loss / 20, expected, 1e-5 * expected);
  expect_close((*network)->gradient(), golden("gradient"));
}

TEST_F(Torch, ForwardOnlyAgrees) {
  const std::vector<float> parameters(golden("parameters").begin(), golden("parameters").end());
  for (const std::uint32_t batch : {1U, 7U, 20U, 256U}) {
    const auto report = client::evaluate_model(reference_network(), parameters, data_, batch);
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_EQ(report->examples, 20U);
    EXPECT_NEAR(report->metrics[0].value, golden("loss")[0], 1e-5 * golden("loss")[0]);
  }
}

TEST_F(Torch, TrainedParametersAgree) {
  auto trainer = client::make_builtin_trainer({data_, {}, 1});
  std::vector<float> parameters(golden("parameters").begin(), golden("parameters").end());
  const ModelSpec model = reference_network();
  const client::CancelToken never{};
  TrainPlan plan;
  plan.budget = {Budget::Unit::epochs, 4};
  plan.batch_size = 8;
  plan.optimiser = {0.05, 0.9, 5e-4};
  plan.order = Order::natural;
  const auto report = trainer->train({"job", 1, plan, &model, &layout_, &never}, parameters);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->steps, 12U);
  EXPECT_EQ(report->examples, 20U);
  expect_close(parameters, golden("trained"));
  double mean = 0.0;
  const auto losses = golden("losses");
  for (std::size_t i = 0; i < losses.size(); ++i) {
    mean += double{losses[i]} * (i % 3 == 2 ? 4 : 8) / 80;
  }
  EXPECT_NEAR(report->metrics[0].value, mean, 1e-5 * mean);
}

}  // namespace
}  // namespace chorus::train
