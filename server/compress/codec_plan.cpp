#include "server/compress/codec_plan.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/codec/method.hpp"
#include "common/codec/names.hpp"
#include "common/codec/update_form.hpp"
#include "common/tensor/json_text.hpp"
#include "common/tensor/tensor_selection.hpp"
#include "server/compress/layer_plan.hpp"

namespace chorus::server {
namespace {

constexpr std::uint64_t kKey = 0x7f4a7c15;  ///< of the measurement's draws: any will do
constexpr int kDensitySteps = 4;

double squared_norm(std::span<const float> x) {
  double sum = 0.0;
  for (const float value : x) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

/// What each codec costs a tensor, cut as updates are; its share of the squared norm is added.
Result<std::vector<CodecChoice>> choices_of(const TensorSpec& tensor,
                                            std::span<const Codec> codecs,
                                            const ReadChange& change,
                                            double& norm) {
  std::vector<Codec> own;
  std::uint64_t most = 0;
  for (const Codec& codec : codecs) {
    own.push_back(codec::for_tensor(codec, tensor));
    most = std::max(most, codec::piece_elements(own.back(), tensor.count));
  }
  std::vector<CodecChoice> all;
  std::vector<float> values;
  for (std::uint64_t done = 0; done < tensor.count; done += values.size()) {
    values.resize(static_cast<std::size_t>(std::min(most, tensor.count - done)));
    CHORUS_OK(change(tensor.offset + done, values));
    norm += squared_norm(values);
    CHORUS_TRY(const auto piece, measured_choices(own, values, kKey));
    if (all.empty()) {
      all = piece;
      continue;
    }
    for (std::size_t c = 0; c < all.size(); ++c) {
      all[c].bytes += piece[c].bytes;
      all[c].error += piece[c].error;
    }
  }
  return all;
}

nlohmann::json json_of(const PlannedTensor& tensor) {
  const Codec& codec = tensor.codec;
  return {{"name", tensor.name},
          {"parameters", tensor.parameters},
          {"codec", codec::named(codec.kind).name},
          {"bits", codec.bits},
          {"bucket", codec.bucket},
          {"norm", static_cast<unsigned>(codec.norm)},
          {"density", codec.density},
          {"rank", codec.rank},
          {"least_error", codec.least_error},
          {"entropy", codec.entropy},
          {"bytes", tensor.bytes},
          {"error", tensor.error}};
}

/// Of a tensor, in whichever round.
std::uint64_t most_bytes(Codec codec, std::uint64_t count) {
  const std::uint64_t bytes = codec::bytes_max(codec, count);
  codec.shares_rows = !codec.shares_rows;
  return std::max(bytes, codec::bytes_max(codec, count));
}

/// The codec of a tensor; none: it is not sent.
std::optional<Codec> codec_of(const codec::UpdateForm& form, const TensorSpec& tensor) {
  for (const codec::Piece& piece : form.pieces()) {
    const bool inside = piece.first <= tensor.offset && tensor.offset < piece.first + piece.count;
    if (inside) return piece.codec;
  }
  return std::nullopt;
}

// Throws what nlohmann::json throws.
Result<PlannedTensor> tensor_of(const nlohmann::json& json) {
  PlannedTensor tensor;
  json.at("name").get_to(tensor.name);
  json.at("parameters").get_to(tensor.parameters);
  json.at("bytes").get_to(tensor.bytes);
  json.at("error").get_to(tensor.error);
  const auto name = json.at("codec").get<std::string>();
  const auto& all = codec::all_codecs();
  const auto known = std::find_if(
      all.begin(), all.end(), [&name](const codec::Named& one) { return one.name == name; });
  if (known == all.end()) return fail(errc::corrupt_data, "an unknown codec '" + name + "'");
  tensor.codec.kind = known->kind;
  json.at("bits").get_to(tensor.codec.bits);
  json.at("bucket").get_to(tensor.codec.bucket);
  const auto norm = json.at("norm").get<unsigned>();
  if (norm != 1 && norm != 2) return fail(errc::corrupt_data, "an unknown norm");
  tensor.codec.norm = static_cast<CodecNorm>(norm);
  json.at("density").get_to(tensor.codec.density);
  tensor.codec.rank = json.value("rank", tensor.codec.rank);  // older plans have none
  json.at("least_error").get_to(tensor.codec.least_error);
  json.at("entropy").get_to(tensor.codec.entropy);
  return tensor;
}

}  // namespace

std::vector<Codec> choices_beside(const Codec& reference) {
  const codec::Parameters takes = codec::named(reference.kind).takes;
  std::vector<Codec> choices;
  Codec choice = reference;
  if (takes.bits) {
    for (choice.bits = 1; choice.bits <= 8; ++choice.bits) {
      if (codec::check_codec(choice)) choices.push_back(choice);
    }
  } else if (takes.density) {
    for (int k = -kDensitySteps; k <= kDensitySteps; ++k) {
      choice.density = k == 0 ? reference.density : reference.density * std::exp2(0.5 * k);
      if (choice.density <= 1.0) choices.push_back(choice);
    }
  } else if (takes.rank && !codec::has_basis(reference)) {
    const std::uint32_t most = std::min(2 * reference.rank, limits::kCodecRankMax);
    for (choice.rank = (reference.rank + 1) / 2; choice.rank <= most; ++choice.rank) {
      choices.push_back(choice);
    }
  }
  return choices;
}

Result<std::vector<TensorSpec>> planned_tensors(const TrainPlan& plan, const TensorLayout& layout) {
  CHORUS_TRY(const auto form, codec::UpdateForm::of(plan, layout));
  std::vector<std::string> ruled;
  for (const TensorCodec& own : plan.compression->tensors) ruled.push_back(own.tensors);
  CHORUS_TRY(const auto fixed, tensor::select(ruled, layout, "compression.tensors"));
  std::vector<TensorSpec> planned;
  for (std::size_t t = 0; t < layout.tensors.size(); ++t) {
    const TensorSpec& spec = layout.tensors[t];
    if (codec_of(form, spec) && !spec.buffer && !fixed[t]) planned.push_back(spec);
  }
  return planned;
}

Result<std::vector<PlannedTensor>> plan_codecs(const TrainPlan& plan,
                                               const TensorLayout& layout,
                                               double budget,
                                               const ReadChange& change) {
  CHORUS_TRY(const auto tensors, planned_tensors(plan, layout));
  const Codec& own = plan.compression->codec;
  const std::vector<Codec> codecs = choices_beside(own);
  const auto reference =
      static_cast<std::size_t>(std::find(codecs.begin(), codecs.end(), own) - codecs.begin());
  std::vector<LayerChoices> layers;
  double norm = 0.0;
  for (const TensorSpec& tensor : tensors) {
    CHORUS_TRY(auto choices, choices_of(tensor, codecs, change, norm));
    layers.push_back({std::move(choices), reference});
  }
  if (!(norm > 0.0)) return std::vector<PlannedTensor>();  // nothing was learned: all do alike
  CHORUS_TRY(const auto chosen, cheapest_plan(layers, {.factor = budget}));
  std::vector<PlannedTensor> lines;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const CodecChoice& choice = layers[t].choices[chosen[t]];
    lines.push_back(
        {tensors[t].name, tensors[t].count, codecs[chosen[t]], choice.bytes, choice.error / norm});
  }
  return lines;
}

Compression with_plan(Compression compression,
                      std::span<const PlannedTensor> plan,
                      std::uint32_t table) {
  for (const PlannedTensor& tensor : plan) {
    compression.tensors.push_back({tensor.name, tensor.codec});
  }
  compression.table = table;
  return compression;
}

Result<std::vector<PlanLine>> plan_lines(const TrainPlan& plan,
                                         const TensorLayout& layout,
                                         std::span<const PlannedTensor> measured) {
  CHORUS_TRY(const auto form, codec::UpdateForm::of(plan, layout));
  std::vector<PlanLine> lines;
  for (const TensorSpec& tensor : layout.tensors) {
    PlanLine line{tensor.name, tensor.count, codec_of(form, tensor), 0, std::nullopt};
    if (line.codec) line.bytes = most_bytes(*line.codec, tensor.count);
    const auto planned =
        std::find_if(measured.begin(), measured.end(), [&tensor](const PlannedTensor& other) {
          return other.name == tensor.name;
        });
    if (planned != measured.end()) {
      line.bytes = planned->bytes;
      line.error = planned->error;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string plan_text(std::span<const PlannedTensor> plan) {
  nlohmann::json lines = nlohmann::json::array();
  for (const PlannedTensor& tensor : plan) lines.push_back(json_of(tensor));
  return lines.dump();
}

Result<std::vector<PlannedTensor>> plan_from_text(std::string_view text) {
  const auto broken = [](const std::string& why) {
    return fail(errc::corrupt_data, "a stored plan of codecs: " + why);
  };
  const auto json = tensor::parse_json(text, {});
  if (!json) return broken(json.error().detail);
  std::vector<PlannedTensor> plan;
  try {
    for (const auto& line : *json) {
      auto tensor = tensor_of(line);
      if (!tensor) return broken(tensor.error().detail);
      plan.push_back(std::move(*tensor));
    }
  } catch (const nlohmann::json::exception& error) {
    return broken(error.what());
  }
  for (const PlannedTensor& tensor : plan) {
    if (const auto good = codec::check_codec(tensor.codec); !good)
      return broken(good.error().detail);
  }
  return plan;
}

}  // namespace chorus::server
