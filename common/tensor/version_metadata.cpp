#include "common/tensor/version_metadata.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "chorus/plan.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/json_text.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/plan_rules.hpp"

namespace chorus::tensor {
namespace {

using nlohmann::json;

Failure malformed(std::string_view detail) {
  return fail(errc::malformed_file, fmt::format("'{}': {}", kNormaliseMetadataKey, detail));
}

// What a job file may say in its place, and nothing else.
Result<void> check(const std::vector<FeatureScale>& normalise, const ModelSpec& model) {
  if (const auto wrong = problem_of(EvaluatePlan{.normalise = normalise})) {
    return fail(errc::invalid_argument,
                fmt::format("{} is {}; expected {}", wrong->field, wrong->value, wrong->expected));
  }
  return check_normalise(normalise, model);
}

Result<std::vector<double>> numbers_of(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) {
    return malformed(fmt::format("{} must be a list of numbers", key));
  }
  std::vector<double> numbers;
  for (const json& one : *found) {
    if (!one.is_number()) return malformed(fmt::format("{} must be a list of numbers", key));
    numbers.push_back(one.get<double>());
  }
  return numbers;
}

Result<std::vector<FeatureScale>> parse_normalise(std::string_view text) {
  auto parsed = parse_json(text, {.depth_max = 2, .values_max = 2 * limits::kPlanScalesMax + 3});
  if (!parsed) return malformed(parsed.error().detail);
  if (!parsed->is_object() || parsed->size() != 2) {
    return malformed("it must be an object of 'mean' and 'deviation'");
  }
  CHORUS_TRY(const auto means, numbers_of(*parsed, "mean"));
  CHORUS_TRY(const auto deviations, numbers_of(*parsed, "deviation"));
  if (means.size() != deviations.size() || means.empty()) {
    return malformed(fmt::format("there are {} means and {} deviations; expected as many of both",
                                 means.size(),
                                 deviations.size()));
  }
  std::vector<FeatureScale> scales;
  for (std::size_t i = 0; i < means.size(); ++i) scales.push_back({means[i], deviations[i]});
  return scales;
}

}  // namespace

std::string normalise_to_json(std::span<const FeatureScale> normalise) {
  nlohmann::ordered_json value = {{"mean", json::array()}, {"deviation", json::array()}};
  for (const FeatureScale& one : normalise) {
    value["mean"].push_back(one.offset);
    value["deviation"].push_back(one.scale);
  }
  return value.dump();
}

Result<std::vector<FeatureScale>> normalise_from(const Metadata& metadata, const ModelSpec& model) {
  const auto found = metadata.find(std::string(kNormaliseMetadataKey));
  if (found == metadata.end()) return std::vector<FeatureScale>{};
  CHORUS_TRY(auto scales, parse_normalise(found->second));
  CHORUS_OK(check(scales, model));
  return scales;
}

Result<Metadata> metadata_of(const ModelSpec& model, std::span<const FeatureScale> normalise) {
  Metadata metadata;
  CHORUS_TRY(metadata[std::string(kModelMetadataKey)], model_to_json(model));
  if (normalise.empty()) return metadata;
  CHORUS_OK(check({normalise.begin(), normalise.end()}, model));
  metadata[std::string(kNormaliseMetadataKey)] = normalise_to_json(normalise);
  return metadata;
}

Result<VersionMetadata> version_metadata(const Metadata& metadata) {
  const auto found = metadata.find(std::string(kModelMetadataKey));
  if (found == metadata.end()) {
    return fail(
        errc::malformed_file,
        fmt::format("it does not say its architecture: its metadata lacks '{}'; 'chorus model "
                    "export' writes files that do",
                    kModelMetadataKey));
  }
  VersionMetadata version;
  CHORUS_TRY(version.model, model_from_json(found->second));
  CHORUS_TRY(version.normalise, normalise_from(metadata, version.model));
  return version;
}

}  // namespace chorus::tensor
