// What a trainer measured, as the commands print it with --json.
#pragma once

#include <nlohmann/json.hpp>

#include "chorus/client/trainer.hpp"

namespace chorus::agent {

/// {"examples": n, NAME: value, …}
inline nlohmann::json metrics_json(const client::TaskReport& report) {
  nlohmann::json metrics = {{"examples", report.examples}};
  for (const auto& metric : report.metrics) metrics[metric.name] = metric.value;
  return metrics;
}

}  // namespace chorus::agent
