// What can be said about each kind of layer: one table per kind, from which JSON, messages and job
// files are read and written. A new layer's options are listed here and nowhere else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "chorus/layers.hpp"

namespace chorus::tensor {

/// Bounds and need of an option. Numbers are within [min, max]; a job file must give what has
/// `asks`; the architecture's text always shows what is `shown`, the rest where it differs from the
/// default of the layer's struct.
struct FieldRule {
  double min = 0.0;
  double max = 0.0;
  bool min_excluded = false;
  bool max_excluded = false;
  const char* asks = nullptr;  ///< "the number of outputs"
  bool shown = false;
};

template <class L, class T>
struct LayerField {
  const char* key;
  T L::*member;
  FieldRule rule;
};

template <class L, class T>
constexpr LayerField<L, T> field(const char* key, T L::*member, FieldRule rule = {}) {
  return {key, member, rule};
}

inline constexpr double kUnitsMax = 0x1.0p32;
inline constexpr double kWindowMax = 1024;
inline constexpr FieldRule kWindowRule{.min = 1, .max = kWindowMax};
inline constexpr FieldRule kShownWindow{.min = 1, .max = kWindowMax, .shown = true};
inline constexpr FieldRule kPaddingRule{.min = 0, .max = kWindowMax};
inline constexpr FieldRule kGroupsRule{.min = 1, .max = kUnitsMax};
inline constexpr FieldRule kDepthRule{.min = 1, .max = 64};
inline constexpr FieldRule kRankRule{.min = 0, .max = 4096};
inline constexpr FieldRule kAlphaRule{.min = 0, .max = 65536};
inline constexpr FieldRule kEpsilonRule{.min = 0, .max = 1, .min_excluded = true};
constexpr FieldRule size_rule(const char* asks) {
  return {.min = 1, .max = kUnitsMax, .asks = asks, .shown = true};
}
constexpr FieldRule mark_rule(const char* asks) {
  return {.asks = asks, .shown = true};
}

/// kind: as in job files, JSON and error messages; prefix: of names that nobody gave, empty for
/// layers without tensors; fields: every option but the name.
template <class L>
struct LayerTraits;

template <class L>
struct PlainTraits {
  static constexpr std::string_view prefix = {};
  static constexpr std::tuple<> fields{};
};

template <>
struct LayerTraits<Dense> {
  static constexpr std::string_view kind = "dense", prefix = "dense";
  static constexpr auto fields =
      std::tuple{field("units", &Dense::units, size_rule("the number of outputs")),
                 field("bias", &Dense::bias),
                 field("lora_rank", &Dense::lora_rank, kRankRule),
                 field("lora_alpha", &Dense::lora_alpha, kAlphaRule)};
};

template <class Conv>
struct ConvolutionTraits {
  static constexpr auto fields =
      std::tuple{field("channels", &Conv::channels, size_rule("the number of output channels")),
                 field("kernel", &Conv::kernel, kShownWindow),
                 field("stride", &Conv::stride, kShownWindow),
                 field("padding", &Conv::padding, {.min = 0, .max = kWindowMax, .shown = true}),
                 field("dilation", &Conv::dilation, kWindowRule),
                 field("groups", &Conv::groups, kGroupsRule),
                 field("bias", &Conv::bias),
                 field("lora_rank", &Conv::lora_rank, kRankRule),
                 field("lora_alpha", &Conv::lora_alpha, kAlphaRule)};
};
template <>
struct LayerTraits<Conv2d> : ConvolutionTraits<Conv2d> {
  static constexpr std::string_view kind = "conv2d", prefix = "conv";
};
template <>
struct LayerTraits<Conv1d> : ConvolutionTraits<Conv1d> {
  static constexpr std::string_view kind = "conv1d", prefix = "conv1d_";
};

template <class Pool>
struct PoolTraits {
  static constexpr std::string_view prefix = {};
  static constexpr auto fields = std::tuple{field("kernel", &Pool::kernel, kShownWindow),
                                            field("stride", &Pool::stride, kShownWindow),
                                            field("padding", &Pool::padding, kPaddingRule)};
};
template <>
struct LayerTraits<MaxPool2d> : PoolTraits<MaxPool2d> {
  static constexpr std::string_view kind = "max_pool2d";
};
template <>
struct LayerTraits<MaxPool1d> : PoolTraits<MaxPool1d> {
  static constexpr std::string_view kind = "max_pool1d";
};
template <>
struct LayerTraits<AvgPool2d> : PoolTraits<AvgPool2d> {
  static constexpr std::string_view kind = "avg_pool2d";
};
template <>
struct LayerTraits<AvgPool1d> : PoolTraits<AvgPool1d> {
  static constexpr std::string_view kind = "avg_pool1d";
};
template <>
struct LayerTraits<GlobalAvgPool> : PlainTraits<GlobalAvgPool> {
  static constexpr std::string_view kind = "global_avg_pool";
};

template <>
struct LayerTraits<GlobalMaxPool> : PlainTraits<GlobalMaxPool> {
  static constexpr std::string_view kind = "global_max_pool";
};

template <>
struct LayerTraits<Relu> : PlainTraits<Relu> {
  static constexpr std::string_view kind = "relu";
};
template <>
struct LayerTraits<LeakyRelu> {
  static constexpr std::string_view kind = "leaky_relu", prefix = {};
  static constexpr auto fields =
      std::tuple{field("slope", &LeakyRelu::slope, {.min = 0, .max = 1})};
};
template <>
struct LayerTraits<Gelu> : PlainTraits<Gelu> {
  static constexpr std::string_view kind = "gelu";
};
template <>
struct LayerTraits<Silu> : PlainTraits<Silu> {
  static constexpr std::string_view kind = "silu";
};
template <>
struct LayerTraits<Tanh> : PlainTraits<Tanh> {
  static constexpr std::string_view kind = "tanh";
};
template <>
struct LayerTraits<Sigmoid> : PlainTraits<Sigmoid> {
  static constexpr std::string_view kind = "sigmoid";
};
template <>
struct LayerTraits<Softmax> : PlainTraits<Softmax> {
  static constexpr std::string_view kind = "softmax";
};

template <>
struct LayerTraits<BatchNorm> {
  static constexpr std::string_view kind = "batch_norm", prefix = "batch_norm";
  static constexpr auto fields = std::tuple{field("epsilon", &BatchNorm::epsilon, kEpsilonRule),
                                            field("momentum", &BatchNorm::momentum, kEpsilonRule)};
};
template <>
struct LayerTraits<LayerNorm> {
  static constexpr std::string_view kind = "layer_norm", prefix = "layer_norm";
  static constexpr auto fields = std::tuple{field("epsilon", &LayerNorm::epsilon, kEpsilonRule)};
};
template <>
struct LayerTraits<GroupNorm> {
  static constexpr std::string_view kind = "group_norm", prefix = "group_norm";
  static constexpr auto fields =
      std::tuple{field("groups", &GroupNorm::groups, size_rule("the number of groups")),
                 field("epsilon", &GroupNorm::epsilon, kEpsilonRule)};
};
template <>
struct LayerTraits<ScaleShift> : PlainTraits<ScaleShift> {
  static constexpr std::string_view kind = "scale_shift", prefix = "scale_shift";
};
template <>
struct LayerTraits<Dropout> {
  static constexpr std::string_view kind = "dropout", prefix = {};
  static constexpr auto fields =
      std::tuple{field("rate", &Dropout::rate, {.min = 0, .max = 1, .max_excluded = true})};
};

}  // namespace chorus::tensor
