// Means of what several devices report, weighted by their examples.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "chorus/plan.hpp"
#include "common/base/types.hpp"

namespace chorus::server {

/// mean(m) = Σ examples_i · m_i / Σ examples_i over the devices that reported m.
class WeightedMeans {
 public:
  void add(const std::vector<Metric>& metrics, Examples examples) {
    const auto weight = static_cast<double>(examples.value);
    for (const Metric& metric : metrics) {
      auto& [sum, total] = sums_[metric.name];
      sum += weight * metric.value;
      total += weight;
    }
  }

  /// By name, each name behind `prefix`.
  std::vector<Metric> means(const std::string& prefix) const {
    std::vector<Metric> means;
    for (const auto& [name, sum] : sums_) {
      if (sum.second > 0.0) means.push_back(Metric{prefix + name, sum.first / sum.second});
    }
    return means;
  }

 private:
  std::map<std::string, std::pair<double, double>> sums_;  ///< Σ examples·value, Σ examples
};

}  // namespace chorus::server
