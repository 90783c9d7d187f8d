#include <fmt/format.h>
#include <ostream>

#include "chorus/client/builtin_trainer.hpp"
#include "chorus/client/normalisation.hpp"
#include "client/agent/commands.hpp"
#include "client/agent/data.hpp"
#include "client/agent/metrics_json.hpp"
#include "client/agent/model_source.hpp"
#include "common/base/try.hpp"
#include "common/tensor/plan_rules.hpp"

namespace chorus::agent {

Result<void> evaluate(const EvaluateCommand& command, std::ostream& out) {
  CHORUS_TRY(const auto source, load_model(command.model, command.data.seed));
  CHORUS_TRY(auto data, load_test_data(command.data));
  CHORUS_OK(tensor::check_normalise(source.train.normalise, source.model));
  CHORUS_TRY(data, client::renormalised(data, source.train.normalise));
  CHORUS_TRY(const auto report, client::evaluate_model(source.model, source.parameters, data));
  if (command.json) {
    out << metrics_json(report).dump() << "\n";
    return {};
  }
  for (const auto& metric : report.metrics) {
    out << fmt::format("{:<10} {:.6f}\n", metric.name, metric.value);
  }
  out << fmt::format("{:<10} {}\n", "examples", report.examples);
  return {};
}

}  // namespace chorus::agent
