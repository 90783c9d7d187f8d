// What can be said about each kind of layer, the second half of layer_tables.hpp, and how to walk
// over it.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "common/tensor/layer_tables.hpp"

namespace chorus::tensor {

template <>
struct LayerTraits<Embedding> {
  static constexpr std::string_view kind = "embedding", prefix = "embedding";
  static constexpr auto fields = std::tuple{
      field("vocabulary", &Embedding::vocabulary, size_rule("how many different inputs there are")),
      field("width", &Embedding::width, size_rule("the numbers per input"))};
};
template <>
struct LayerTraits<PositionEmbedding> : PlainTraits<PositionEmbedding> {
  static constexpr std::string_view kind = "position_embedding", prefix = "position_embedding";
};

template <class Recurrent>
struct RecurrentTraits {
  static constexpr auto fields =
      std::tuple{field("units", &Recurrent::units, size_rule("the size of the state")),
                 field("depth", &Recurrent::depth, kDepthRule),
                 field("bidirectional", &Recurrent::bidirectional),
                 field("sequence", &Recurrent::sequence)};
};
template <>
struct LayerTraits<Lstm> : RecurrentTraits<Lstm> {
  static constexpr std::string_view kind = "lstm", prefix = "lstm";
};
template <>
struct LayerTraits<Gru> : RecurrentTraits<Gru> {
  static constexpr std::string_view kind = "gru", prefix = "gru";
};
template <>
struct LayerTraits<SelfAttention> {
  static constexpr std::string_view kind = "self_attention", prefix = "self_attention";
  static constexpr auto fields =
      std::tuple{field("heads", &SelfAttention::heads, size_rule("the number of heads")),
                 field("causal", &SelfAttention::causal),
                 field("lora_rank", &SelfAttention::lora_rank, kRankRule),
                 field("lora_alpha", &SelfAttention::lora_alpha, kAlphaRule)};
};

template <>
struct LayerTraits<Flatten> : PlainTraits<Flatten> {
  static constexpr std::string_view kind = "flatten";
};
template <>
struct LayerTraits<Reshape> {
  static constexpr std::string_view kind = "reshape", prefix = {};
  static constexpr auto fields = std::tuple{
      field("shape", &Reshape::shape, size_rule("the new shape of an example such as [4, 7]"))};
};
template <>
struct LayerTraits<Transpose> : PlainTraits<Transpose> {
  static constexpr std::string_view kind = "transpose";
};
template <>
struct LayerTraits<Mark> {
  static constexpr std::string_view kind = "mark", prefix = {};
  static constexpr auto fields =
      std::tuple{field("name", &Mark::name, mark_rule("what later layers call this value"))};
};
template <>
struct LayerTraits<Branch> {
  static constexpr std::string_view kind = "branch", prefix = {};
  static constexpr auto fields =
      std::tuple{field("from", &Branch::from, mark_rule("the name of an earlier mark"))};
};
template <>
struct LayerTraits<Add> {
  static constexpr std::string_view kind = "add", prefix = {};
  static constexpr auto fields =
      std::tuple{field("with", &Add::with, mark_rule("the name of an earlier mark"))};
};
template <>
struct LayerTraits<Concat> {
  static constexpr std::string_view kind = "concat", prefix = {};
  static constexpr auto fields =
      std::tuple{field("with", &Concat::with, mark_rule("the name of an earlier mark"))};
};

/// Calls visit(field) for every option of a kind, in order.
template <class L, class Visit>
void for_each_field(Visit&& visit) {
  std::apply([&visit](const auto&... fields) { (visit(fields), ...); }, LayerTraits<L>::fields);
}

/// Whether layers of this kind have tensors, and so a member `name`.
template <class L>
inline constexpr bool has_tensors = !LayerTraits<L>::prefix.empty();

/// Calls visit(std::in_place_type<L>) for every kind, in the order of the variant.
template <class Visit>
void for_each_kind(Visit&& visit) {
  [&visit]<std::size_t... I>(std::index_sequence<I...>) {
    (visit(std::in_place_type<std::variant_alternative_t<I, LayerKinds>>), ...);
  }
  (std::make_index_sequence<std::variant_size_v<LayerKinds>>());
}

/// Whether a number is within a rule.
inline bool within(const FieldRule& rule, double value) noexcept {
  return (rule.min_excluded ? value > rule.min : value >= rule.min) &&
         (rule.max_excluded ? value < rule.max : value <= rule.max);
}

}  // namespace chorus::tensor
