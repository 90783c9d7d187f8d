// ModelBuilder: a ModelSpec written down as one reads a network, from the input on.
//
//   auto model = ModelBuilder({1, 28, 28})
//                    .conv2d(32, {.kernel = 5, .padding = 2}).relu().max_pool2d()
//                    .residual([](ModelBuilder& x) { x.conv2d(32, {.padding = 1}).relu(); })
//                    .flatten().dense(10).named("head")
//                    .build();                                  // Result<ModelSpec>, checked
//
// What has no function of its own here is then(Layer): .then(Lstm{"", 64}).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/result.hpp"

namespace chorus {

class ModelBuilder {
 public:
  /// Of a convolution, the same along every side.
  struct Window {
    std::uint64_t kernel = 3;
    std::uint64_t stride = 1;
    std::uint64_t padding = 0;
    std::uint64_t dilation = 1;
    std::uint64_t groups = 1;
    bool bias = true;
  };

  explicit ModelBuilder(std::vector<std::uint64_t> input_shape) {
    model_.input_shape = std::move(input_shape);
  }

  ModelBuilder& then(Layer layer) {
    model_.layers.push_back(std::move(layer));
    return *this;
  }
  /// Names the layer before; nothing happens to one without tensors.
  ModelBuilder& named(const std::string& name) {
    if (model_.layers.empty()) return *this;
    std::visit(
        [&name](auto& layer) {
          if constexpr (requires { layer.name = name; }) layer.name = name;
        },
        model_.layers.back());
    return *this;
  }

  ModelBuilder& dense(std::uint64_t units, bool bias = true) {
    return then(Dense{"", units, bias});
  }
  ModelBuilder& conv2d(std::uint64_t channels, const Window& w) {
    return then(Conv2d{"", channels, w.kernel, w.stride, w.padding, w.dilation, w.groups, w.bias});
  }
  ModelBuilder& conv1d(std::uint64_t channels, const Window& w) {
    return then(Conv1d{"", channels, w.kernel, w.stride, w.padding, w.dilation, w.groups, w.bias});
  }
  /// Windows side by side.
  ModelBuilder& max_pool2d(std::uint64_t kernel = 2) { return then(MaxPool2d{kernel, kernel, 0}); }
  ModelBuilder& max_pool1d(std::uint64_t kernel = 2) { return then(MaxPool1d{kernel, kernel, 0}); }
  ModelBuilder& avg_pool2d(std::uint64_t kernel = 2) { return then(AvgPool2d{kernel, kernel, 0}); }
  ModelBuilder& avg_pool1d(std::uint64_t kernel = 2) { return then(AvgPool1d{kernel, kernel, 0}); }
  ModelBuilder& global_avg_pool() { return then(GlobalAvgPool{}); }
  ModelBuilder& flatten() { return then(Flatten{}); }
  ModelBuilder& relu() { return then(Relu{}); }
  ModelBuilder& gelu() { return then(Gelu{}); }
  ModelBuilder& tanh() { return then(Tanh{}); }
  ModelBuilder& batch_norm() { return then(BatchNorm{}); }
  ModelBuilder& layer_norm() { return then(LayerNorm{}); }
  ModelBuilder& group_norm(std::uint64_t groups) { return then(GroupNorm{"", groups, 1e-5}); }
  ModelBuilder& dropout(double rate) { return then(Dropout{rate}); }

  /// x + body(x). @param body  of (ModelBuilder&): appends layers that keep the shape
  template <class Body>
  ModelBuilder& residual(Body&& body) {
    const std::string mark = fresh_mark();
    then(Mark{mark});
    body(*this);
    return then(Add{mark});
  }
  /// shortcut(x) + body(x), where the body changes the shape.
  template <class Body, class Shortcut>
  ModelBuilder& residual(Body&& body, Shortcut&& shortcut) {
    const std::string input = fresh_mark();
    then(Mark{input});
    body(*this);
    const std::string output = fresh_mark();
    then(Mark{output}).then(Branch{input});
    shortcut(*this);
    return then(Add{output});
  }

  ModelBuilder& loss(Loss loss, LossOptions options = {}) {
    model_.loss = loss;
    model_.loss_options = std::move(options);
    return *this;
  }

  /// The model. @errors as layout_of: layers that do not fit together
  Result<ModelSpec> build() const {
    if (auto layout = layout_of(model_); !layout) return std::move(layout).error();
    return model_;
  }

 private:
  std::string fresh_mark() { return "x" + std::to_string(++marks_); }

  ModelSpec model_;
  std::uint64_t marks_ = 0;
};

}  // namespace chorus
