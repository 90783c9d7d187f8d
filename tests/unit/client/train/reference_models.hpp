// The models on which the trainer is compared with PyTorch, in numbers and in speed. The same as in
// tests/golden/make_torch_models.py and tests/bench/peer_pytorch.py; keep them in step.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "chorus/model.hpp"

namespace chorus::test {

struct ReferenceModel {
  std::string name;
  ModelSpec model;
  std::uint64_t vocabulary{0};  ///< inputs are whole numbers below it; 0: real numbers
};

inline void PrintTo(const ReferenceModel& shown, std::ostream* out) {
  *out << shown.name;
}

inline void add_residual(std::vector<Layer>& layers,
                         std::uint64_t inputs,
                         std::uint64_t channels,
                         std::uint64_t stride,
                         const Layer& norm) {
  const std::string id = std::to_string(layers.size());
  layers.emplace_back(Mark{"in" + id});
  layers.emplace_back(Conv2d{"", channels, 3, stride, 1, 1, 1, false});
  layers.push_back(norm);
  layers.emplace_back(Relu{});
  layers.emplace_back(Conv2d{"", channels, 3, 1, 1, 1, 1, false});
  layers.push_back(norm);
  if (stride == 1 && inputs == channels) {
    layers.emplace_back(Add{"in" + id});
  } else {
    layers.emplace_back(Mark{"main" + id});
    layers.emplace_back(Branch{"in" + id});
    layers.emplace_back(Conv2d{"", channels, 1, stride, 0, 1, 1, false});
    layers.emplace_back(Add{"main" + id});
  }
  layers.emplace_back(Relu{});
}

inline ModelSpec resnet(std::uint64_t blocks, const Layer& norm) {
  std::vector<Layer> layers{Conv2d{"", 16, 3, 1, 1, 1, 1, false}, norm, Relu{}};
  std::uint64_t inputs = 16;
  for (const std::uint64_t channels : {16U, 32U, 64U}) {
    for (std::uint64_t block = 0; block < blocks; ++block) {
      add_residual(layers, inputs, channels, block == 0 && channels > 16 ? 2 : 1, norm);
      inputs = channels;
    }
  }
  layers.emplace_back(GlobalAvgPool{});
  layers.emplace_back(Dense{"", 10});
  return {{3, 32, 32}, std::move(layers)};
}

inline void add_encoder(std::vector<Layer>& layers, std::uint64_t width, std::uint64_t hidden) {
  const std::string id = std::to_string(layers.size());
  const std::vector<Layer> encoder = {Mark{"x" + id},
                                      SelfAttention{"", 4},
                                      Add{"x" + id},
                                      LayerNorm{},
                                      Mark{"y" + id},
                                      Dense{"", hidden},
                                      Gelu{},
                                      Dense{"", width},
                                      Add{"y" + id},
                                      LayerNorm{}};
  layers.insert(layers.end(), encoder.begin(), encoder.end());
}

inline ModelSpec transformer() {
  std::vector<Layer> layers{Embedding{"", 64, 48}, PositionEmbedding{}};
  add_encoder(layers, 48, 96);
  add_encoder(layers, 48, 96);
  layers.emplace_back(Transpose{});
  layers.emplace_back(GlobalAvgPool{});
  layers.emplace_back(Dense{"", 5});
  return {{32}, std::move(layers)};
}

/// With adapters beside the weights of both encoders.
inline ModelSpec adapted_transformer() {
  ModelSpec model = transformer();
  for (std::size_t i = 0; i + 1 < model.layers.size(); ++i) {
    if (auto* dense = std::get_if<Dense>(&model.layers[i])) {
      dense->lora_rank = 4;
      dense->lora_alpha = 8;
    } else if (auto* attention = std::get_if<SelfAttention>(&model.layers[i])) {
      attention->lora_rank = 4;
      attention->lora_alpha = 8;
    }
  }
  return model;
}

inline std::vector<ReferenceModel> reference_models() {
  const Layer group = GroupNorm{"", 8};
  const Layer batch = BatchNorm{};
  return {
      {"logistic", {{784}, {Dense{"", 10}}}},
      {"mlp", {{784}, {Dense{"", 200}, Relu{}, Dense{"", 10}}}},
      {"fedavg_cnn",
       {{1, 28, 28},
        {Conv2d{"", 32, 5, 1, 2},
         Relu{},
         MaxPool2d{2, 2},
         Conv2d{"", 64, 5, 1, 2},
         Relu{},
         MaxPool2d{2, 2},
         Flatten{},
         Dense{"", 512},
         Relu{},
         Dense{"", 10}}}},
      {"cifar_cnn",
       {{3, 32, 32},
        {Conv2d{"", 32, 3, 1, 1},
         Relu{},
         Conv2d{"", 32, 3, 1, 1},
         Relu{},
         MaxPool2d{2, 2},
         Conv2d{"", 64, 3, 1, 1},
         Relu{},
         Conv2d{"", 64, 3, 1, 1},
         Relu{},
         MaxPool2d{2, 2},
         Flatten{},
         Dense{"", 512},
         Relu{},
         Dense{"", 10}}}},
      {"lenet5",
       {{1, 28, 28},
        {Conv2d{"", 6, 5, 1, 2},
         Tanh{},
         AvgPool2d{2, 2},
         Conv2d{"", 16, 5},
         Tanh{},
         AvgPool2d{2, 2},
         Flatten{},
         Dense{"", 120},
         Tanh{},
         Dense{"", 84},
         Tanh{},
         Dense{"", 10}}}},
      {"resnet8_gn", resnet(1, group)},
      {"resnet8_bn", resnet(1, batch)},
      {"resnet20_gn", resnet(3, group)},
      {"resnet20_bn", resnet(3, batch)},
      {"inertial_cnn",
       {{9, 128},
        {Conv1d{"", 32, 9, 1, 4},
         Relu{},
         MaxPool1d{4, 4},
         Conv1d{"", 64, 9, 1, 4},
         Relu{},
         MaxPool1d{4, 4},
         Flatten{},
         Dense{"", 64},
         Relu{},
         Dense{"", 6}}}},
      {"char_lstm", {{80}, {Embedding{"", 90, 8}, Lstm{"", 256, 2}, Dense{"", 90}}}, 90},
      {"char_gru", {{40}, {Embedding{"", 90, 8}, Gru{"", 64, 2}, Dense{"", 90}}}, 90},
      {"transformer", transformer(), 64},
      {"transformer_lora", adapted_transformer(), 64},
  };
}

}  // namespace chorus::test
