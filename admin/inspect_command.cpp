// `chorus model inspect` and `chorus model check`: model files on this machine, without a server.
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "admin/commands.hpp"
#include "admin/model_source.hpp"
#include "admin/programs.hpp"
#include "admin/replies.hpp"
#include "admin/text.hpp"
#include "common/base/files.hpp"
#include "common/base/try.hpp"
#include "common/config/model_text.hpp"
#include "common/tensor/json_text.hpp"
#include "common/tensor/layer_names.hpp"
#include "common/tensor/model_costs.hpp"
#include "common/tensor/version_metadata.hpp"

namespace chorus::admin {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr std::array kMemoryParts{
    "parameter_bytes", "gradient_bytes", "optimiser_bytes", "arena_bytes", "total_bytes"};

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "×"));
}

// An empty cell is easier to pass over than a zero.
std::string count_or_blank(std::uint64_t count) {
  return count == 0 ? "" : human_count(count);
}
std::string flops_or_blank(double flops) {
  return flops > 0 ? human_flops(flops) : "";
}

struct Totals {
  std::uint64_t parameters = 0;
  std::uint64_t buffers = 0;
  double flops = 0.0;
  std::uint64_t activation_bytes = 0;
  double training_flops = 0.0;
};

Totals totals_of(const std::vector<tensor::LayerCost>& costs) {
  Totals totals;
  for (const auto& cost : costs) {
    totals.parameters += cost.parameters;
    totals.buffers += cost.buffers;
    totals.flops += cost.flops;
    totals.activation_bytes += cost.activation_bytes;
  }
  totals.training_flops = tensor::training_flops(costs);
  return totals;
}

// What marks, branches, sums and concatenations refer to stands beside their kind.
std::string kind_text(const Layer& layer) {
  const std::string kind(tensor::kind_of(layer));
  if (const auto* mark = std::get_if<Mark>(&layer)) return kind + " " + mark->name;
  if (const auto* branch = std::get_if<Branch>(&layer)) return kind + " " + branch->from;
  if (const auto* add = std::get_if<Add>(&layer)) return kind + " " + add->with;
  if (const auto* concat = std::get_if<Concat>(&layer)) return kind + " " + concat->with;
  return kind;
}

Json json_of(const ModelSpec& model,
             const std::vector<tensor::LayerCost>& costs,
             const Totals& totals) {
  Json value;
  value["input_shape"] = model.input_shape;
  value["loss"] = tensor::name_of(model.loss);
  value["layers"] = Json::array();
  for (std::size_t i = 0; i < costs.size(); ++i) {
    Json layer;
    layer["type"] = tensor::kind_of(model.layers[i]);
    layer["name"] = costs[i].name;
    layer["output"] = costs[i].output;
    layer["parameters"] = costs[i].parameters;
    layer["buffers"] = costs[i].buffers;
    layer["flops"] = costs[i].flops;
    layer["activation_bytes"] = costs[i].activation_bytes;
    value["layers"].push_back(std::move(layer));
  }
  value["parameters"] = totals.parameters;
  value["buffers"] = totals.buffers;
  value["bytes"] = (totals.parameters + totals.buffers) * sizeof(float);
  value["flops"] = totals.flops;
  value["training_flops"] = totals.training_flops;
  return value;
}

void print_layers(Console& console,
                  const ModelSpec& model,
                  const std::vector<tensor::LayerCost>& costs,
                  const Totals& totals) {
  using enum Table::Align;
  Table table({{"", right},
               {"layer", left},
               {"name", left},
               {"output", left},
               {"parameters", right},
               {"FLOPs", right},
               {"activations", right}});
  table.add({"", "input", "", shape_text(model.input_shape), "", "", ""});
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const auto& cost = costs[i];
    table.add({std::to_string(i + 1),
               kind_text(model.layers[i]),
               cost.name,
               shape_text(cost.output),
               count_or_blank(cost.parameters + cost.buffers),
               flops_or_blank(cost.flops),
               human_bytes(cost.activation_bytes)});
  }
  table.rule();
  table.add({"",
             "total",
             "",
             "",
             human_count(totals.parameters + totals.buffers),
             human_flops(totals.flops),
             human_bytes(totals.activation_bytes)});
  for (const auto& line : table.lines()) console.line(line);
}

// Weights alone: there are tensors, but nobody says what is done with them.
void print_weights(Console& console, const std::string& file, const tensor::Weights& weights) {
  std::uint64_t numbers = 0;
  for (const auto& tensor : weights.tensors) numbers += tensor.values.size();
  if (console.json()) {
    Json value;
    value["file"] = file;
    value["format"] = "safetensors";
    value["tensors"] = Json::array();
    for (const auto& tensor : weights.tensors) {
      value["tensors"].push_back({{"name", tensor.name}, {"shape", tensor.shape}});
    }
    value["parameters"] = numbers;
    console.value(value);
  }
  using enum Table::Align;
  Table table({{"tensor", left}, {"shape", left}, {"numbers", right}});
  for (const auto& tensor : weights.tensors) {
    table.add({tensor.name, shape_text(tensor.shape), human_count(tensor.values.size())});
  }
  table.rule();
  table.add({"total", "", human_count(numbers)});
  for (const auto& line : table.lines()) console.line(line);
  console.line();
  console.line(
      "Weights alone: the file does not say which layers they belong to. They load into a");
  console.line("model of the same names and shapes: [model] weights = \"…\" in a job file.");
}

void print_problems(Console& console, const ModelSource& source) {
  console.line(fmt::format("{} {} no counterpart here:",
                           source.problems.size(),
                           source.problems.size() == 1 ? "node has" : "nodes have"));
  for (const auto& problem : source.problems) {
    console.line();
    console.line(fmt::format("  {}  ({})", printable(problem.node), printable(problem.op)));
    console.line(fmt::format("    {}", printable(problem.why)));
    if (!problem.instead.empty()) {
      console.line(fmt::format("    → {}", printable(problem.instead)));
    }
  }
}

Json json_of(const std::vector<onnx::Problem>& problems) {
  Json all = Json::array();
  for (const auto& problem : problems) {
    all.push_back({{"node", problem.node},
                   {"operator", problem.op},
                   {"problem", problem.why},
                   {"instead", problem.instead}});
  }
  return all;
}

Failure cannot_train(const std::filesystem::path& file, std::size_t problems) {
  return fail(errc::unsupported_feature,
              fmt::format("'{}' cannot be trained here: {} of its nodes {} no counterpart "
                          "('chorus model check --onnx' lists them)",
                          file.string(),
                          problems,
                          problems == 1 ? "has" : "have"));
}

Json json_of(const std::vector<FeatureScale>& normalise) {
  return Json::parse(tensor::normalise_to_json(normalise));
}

// As they go into [train].
void print_normalise(Console& console, const std::vector<FeatureScale>& normalise) {
  if (normalise.empty()) return;
  const Json value = json_of(normalise);
  console.line();
  console.line(fmt::format("normalise_mean = {}", value["mean"].dump()));
  console.line(fmt::format("normalise_deviation = {}", value["deviation"].dump()));
}

// The device's own program knows: a model file is handed to it.
Result<Json> training_memory(const ModelSource& source, std::uint32_t batch) {
  CHORUS_TRY(std::string text, config::model_text(*source.model));
  if (source.train) {
    const auto& optimiser = source.train->optimiser;
    constexpr std::array kNames{"sgd", "adam", "adamw", "lamb"};
    text += fmt::format("[train]\noptimiser = \"{}\"\nmomentum = {}\n",
                        kNames.at(static_cast<std::size_t>(optimiser.kind) - 1),
                        optimiser.momentum);
  }
  const fs::path file = fs::temp_directory_path() / fmt::format("chorus-{}.toml", ::getpid());
  CHORUS_OK(write_durably(file, std::string_view(text)));
  const auto said = output_of({find_program("chorus-agent", "client/agent"),
                               "memory",
                               "--model",
                               file.string(),
                               "--batch",
                               std::to_string(batch)});
  std::error_code ignored;
  fs::remove(file, ignored);
  if (!said) return said.error();
  CHORUS_TRY(const auto value, tensor::parse_json(*said, {.depth_max = 2, .values_max = 20}));
  for (const char* key : kMemoryParts) {
    if (!value.contains(key) || !value[key].is_number_unsigned()) {
      return fail(errc::malformed_message,
                  fmt::format("chorus-agent did not say '{}'; is it of this version?", key));
    }
  }
  return Json(value);
}

void print_memory(Console& console, const Json& memory, std::uint32_t batch) {
  const auto bytes = [&memory](const char* key) {
    return human_bytes(memory[key].get<std::uint64_t>());
  };
  console.line(fact(fmt::format("batch {}", batch),
                    fmt::format("{} to train: parameters {}, gradients {}, optimiser {}, arena {}",
                                bytes("total_bytes"),
                                bytes("parameter_bytes"),
                                bytes("gradient_bytes"),
                                bytes("optimiser_bytes"),
                                bytes("arena_bytes"))));
}

}  // namespace

Result<void> model_inspect(Console& console, const InspectOptions& options) {
  CHORUS_TRY(const auto source, load_source(options.file));
  if (!source.problems.empty()) return cannot_train(options.file, source.problems.size());
  const auto file = options.file.string();
  if (!source.model) return print_weights(console, file, source.weights), Result<void>();
  CHORUS_TRY(const auto costs, tensor::costs_of(*source.model));
  const Totals totals = totals_of(costs);
  Json memory;
  if (options.batch > 0) {
    CHORUS_TRY(memory, training_memory(source, options.batch));
  }
  if (console.json()) {
    Json value;
    value["file"] = file;
    value["format"] = source.format;
    value.update(json_of(*source.model, costs, totals));
    if (options.batch > 0) value["training_memory"] = memory;
    if (!source.normalise.empty()) value["normalise"] = json_of(source.normalise);
    value["notes"] = source.notes;
    console.value(value);
  }
  console.line(fmt::format("{}: {}", printable(file), printable(source.format)));
  console.line();
  print_layers(console, *source.model, costs, totals);
  console.line();
  const std::uint64_t numbers = totals.parameters + totals.buffers;
  console.line(fact("model",
                    fmt::format("{} ({} parameters{})",
                                human_bytes(numbers * sizeof(float)),
                                human_count(totals.parameters),
                                totals.buffers == 0 ? ""
                                                    : fmt::format(", {} running statistics",
                                                                  human_count(totals.buffers)))));
  console.line(fact("loss", std::string(tensor::name_of(source.model->loss))));
  console.line(fact("training",
                    fmt::format("{} FLOPs per example, forwards and backwards",
                                human_flops(totals.training_flops))));
  if (options.batch > 0) print_memory(console, memory, options.batch);
  for (const auto& note : source.notes) console.line(fact("note", printable(note)));
  print_normalise(console, source.normalise);
  return {};
}

Result<ExitCode> model_check(Console& console, const std::filesystem::path& file) {
  CHORUS_TRY(const auto source, load_source(file));
  const bool fits = source.model.has_value();
  if (!fits && source.problems.empty()) {
    return fail(
        errc::invalid_argument,
        fmt::format("'{}' holds weights alone: there are no layers to check", file.string()));
  }
  if (console.json()) {
    Json value;
    value["file"] = file.string();
    value["format"] = source.format;
    value["trains"] = fits;
    value["problems"] = json_of(source.problems);
    value["notes"] = source.notes;
    console.value(value);
  }
  console.line(fmt::format("{}: {}", printable(file.string()), printable(source.format)));
  for (const auto& note : source.notes) console.line(fact("note", printable(note)));
  console.line();
  if (!fits) {
    print_problems(console, source);
    return ExitCode::failed;
  }
  CHORUS_TRY(const auto layout, layout_of(*source.model));
  console.line(fmt::format("All of it can be trained here: {} layers, {} parameters{}.",
                           source.model->layers.size(),
                           human_count(layout.parameters),
                           source.parameters.empty() ? "" : " with their values"));
  console.line(fmt::format("  chorus model inspect {}", printable(file.string())));
  return ExitCode::ok;
}

}  // namespace chorus::admin
