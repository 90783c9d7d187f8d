#include "admin/job_source.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <regex>
#include <sstream>

#include "admin/model_source.hpp"
#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/config/model_file.hpp"
#include "common/config/model_text.hpp"
#include "common/config/toml_reader.hpp"
#include "common/tensor/version_metadata.hpp"

namespace chorus::admin {
namespace fs = std::filesystem;
namespace {

struct References {
  fs::path model;          // of `file` or `onnx`; empty: the layers are inline
  fs::path weights;        // empty: none
  bool drawn = false;      // weights = "none"
  bool loss = false;       // the job says its own
  std::uint64_t seed = 0;  // of the job
};

// What [model] refers to; everything else in the file is the server's to read.
Result<References> references_of(const std::string& text,
                                 const std::string& file_name,
                                 const fs::path& folder) {
  CHORUS_TRY(auto file, config::TomlReader::parse(text, file_name, folder));
  References found;
  const auto root = file.root();
  const auto model = root.table("model");
  fs::path onnx;
  model.path("file", found.model);
  if (model.path("onnx", onnx)) {
    if (!found.model.empty())
      model.problem("onnx", "'file' is given already; expected one of them");
    found.model = onnx;
  }
  std::string weights;
  if (model.has("weights") && model.text("weights", weights)) {
    found.drawn = weights == "none";
    if (!found.drawn) model.path("weights", found.weights);
  }
  found.loss = model.has("loss");
  if (const auto job = root.table("job"); job.has("seed")) job.whole("seed", found.seed);
  for (const char* key : {"input_shape", "layers"}) {
    if (!found.model.empty() && model.has(key)) {
      model.problem(key, "the file that [model] names says this already; expected one of them");
    }
  }
  // Only what was noted above counts: the other keys are not unknown, they are not looked at.
  for (const char* key :
       {"input_shape", "layers", "label_smoothing", "huber_delta", "class_weights"}) {
    static_cast<void>(model.has(key));
  }
  if (!file.ok()) {
    if (auto wrong = file.finish(); !wrong) return std::move(wrong).error();
  }
  return found;
}

// The lines of [model] that refer to files are replaced; all others stay as they are.
Result<std::string> with_model(const std::string& text,
                               const std::string& file_name,
                               const std::string& keys,
                               bool expects_model) {
  static const std::regex header(R"(^\s*\[\s*model\s*\]\s*(#.*)?$)");
  static const std::regex table(R"(^\s*\[.*$)");
  static const std::regex reference(R"(^\s*(file|onnx)\s*=.*$)");
  static const std::regex weights(R"(^\s*weights\s*=.*$)");
  std::istringstream lines(text);
  std::string result;
  bool inside = false;
  bool replaced = false;
  for (std::string line; std::getline(lines, line);) {
    std::string bare = line;
    if (!bare.empty() && bare.back() == '\r') bare.pop_back();
    if (bare.size() > 4096) bare.resize(4096);  // the patterns recurse along a line
    if (std::regex_match(bare, table)) inside = std::regex_match(bare, header);
    if (inside && std::regex_match(bare, weights)) continue;
    if (inside && std::regex_match(bare, reference)) {
      result += keys;
      replaced = true;
      continue;
    }
    result += line + "\n";
  }
  if (replaced == expects_model) return result;
  return fail(errc::malformed_file,
              fmt::format("{}: [model] must be a table of its own, with each key on its own line, "
                          "so that the file it names can be put in its place",
                          file_name));
}

bool has_adapters(const TensorLayout& layout) {
  return std::any_of(layout.tensors.begin(), layout.tensors.end(), [](const TensorSpec& tensor) {
    return is_adapter_name(tensor.name);
  });
}

// Whoever goes on from a trained model must feed it as it was fed.
void note_normalise(JobSource& job,
                    const std::vector<FeatureScale>& normalise,
                    const TrainPlan& plan,
                    const fs::path& file) {
  if (normalise.empty() || plan.normalise == normalise) return;
  job.notes.push_back(
      fmt::format("'{}' was trained with normalise_mean and normalise_deviation, and [train] says "
                  "{}; 'chorus model inspect' shows them",
                  file.string(),
                  plan.normalise.empty() ? "nothing of them" : "others"));
}

Result<void> check_length(const std::string& text, const std::string& file_name) {
  if (text.size() <= limits::kJobFileBytesMax) return {};
  return fail(errc::malformed_file,
              fmt::format("{} has {} bytes with its model inline; a job may have at most {}",
                          file_name,
                          text.size(),
                          limits::kJobFileBytesMax));
}

}  // namespace

Result<JobSource> expand_job(std::string text,
                             const std::string& file_name,
                             const fs::path& folder) {
  JobSource job;
  CHORUS_TRY(const References names, references_of(text, file_name, folder));
  if (!names.model.empty()) {
    CHORUS_TRY(auto source, load_named_source(names.model));
    if (!source.problems.empty()) {
      return fail(errc::unsupported_feature,
                  fmt::format("'{}' cannot be trained here: {}",
                              names.model.string(),
                              onnx::text_of(source.problems)));
    }
    if (!source.model) {
      return fail(errc::malformed_file,
                  fmt::format("'{}' holds weights alone; name it as [model] weights, beside the "
                              "layers they belong to",
                              names.model.string()));
    }
    CHORUS_TRY(const auto keys, config::model_keys(*source.model, !names.loss));
    CHORUS_TRY(text, with_model(text, file_name, keys, true));
    job.parameters = std::move(source.parameters);
    job.notes = std::move(source.notes);
    CHORUS_TRY(const auto whole, config::parse_model_file(text, file_name));
    note_normalise(job, source.normalise, whole.train, names.model);
  } else if (!names.weights.empty() || names.drawn) {
    CHORUS_TRY(text, with_model(text, file_name, "", false));
  }
  CHORUS_OK(check_length(text, file_name));
  if (names.drawn) job.parameters.clear();
  if (!names.weights.empty()) {
    CHORUS_TRY(const auto model, config::parse_model_file(text, file_name));
    CHORUS_TRY(const auto layout, layout_of(model.model));
    CHORUS_TRY(const auto weights, tensor::read_weights(names.weights));
    std::vector<float> start;  // of adapters; nothing else is drawn where the file has it
    if (has_adapters(layout)) {
      CHORUS_TRY(start, initial_parameters(model.model, names.seed));
    }
    auto parameters = tensor::parameters_from(layout, weights, start);
    if (!parameters) return std::move(parameters).error().during(names.weights.string());
    job.parameters = std::move(*parameters);
    auto normalise = tensor::normalise_from(weights.metadata, model.model);
    if (!normalise) return std::move(normalise).error().during(names.weights.string());
    note_normalise(job, *normalise, model.train, names.weights);
  }
  job.toml = std::move(text);
  return job;
}

Result<JobSource> load_job(const fs::path& file) {
  CHORUS_TRY(auto text, read_text(file, limits::kJobFileBytesMax));
  std::error_code ignored;
  const auto folder = fs::absolute(file, ignored).parent_path();
  return expand_job(std::move(text), file.filename().string(), folder);
}

}  // namespace chorus::admin
