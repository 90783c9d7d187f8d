#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ostream>

#include "chorus/client/builtin_trainer.hpp"
#include "client/agent/commands.hpp"
#include "client/agent/data.hpp"
#include "common/base/try.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/safetensors.hpp"

namespace chorus::agent {

Result<void> evaluate(const EvaluateCommand& command, std::ostream& out) {
  CHORUS_TRY(const auto file, tensor::read_safetensors(command.model));
  const auto found = file.metadata.find(std::string(tensor::kModelMetadataKey));
  if (found == file.metadata.end()) {
    return fail(errc::malformed_file,
                fmt::format("'{}' does not say its architecture: its metadata lacks '{}'; export "
                            "it with 'chorus model export'",
                            command.model.string(),
                            tensor::kModelMetadataKey));
  }
  auto model = tensor::model_from_json(found->second);
  if (!model) return std::move(model).error().during("'" + command.model.string() + "'");
  CHORUS_TRY(const auto data, load_test_data(command.data));
  CHORUS_TRY(const auto report, client::evaluate_model(*model, file.data.span(), data));
  if (command.json) {
    nlohmann::json document = {{"examples", report.examples}};
    for (const auto& metric : report.metrics) document[metric.name] = metric.value;
    out << document.dump() << "\n";
    return {};
  }
  for (const auto& metric : report.metrics) {
    out << fmt::format("{:<10} {:.6f}\n", metric.name, metric.value);
  }
  out << fmt::format("{:<10} {}\n", "examples", report.examples);
  return {};
}

}  // namespace chorus::agent
