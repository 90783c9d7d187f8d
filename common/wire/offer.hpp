// The offer of a finished task: the message that a body is uploaded for.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "chorus/plan.hpp"
#include "chorus/report.hpp"
#include "common/base/types.hpp"

namespace chorus::wire {

struct ReportPart {
  ReportKind kind = ReportKind::delta;
  std::uint64_t count = 0;  ///< float32 numbers
  bool operator==(const ReportPart&) const = default;
};
struct Offer {
  TaskRef task;
  std::uint64_t bytes = 0;
  BodyDigest digest;
  Sha256 base;
  Examples examples;
  std::uint64_t steps = 0;
  double seconds = 0.0;
  std::vector<Metric> metrics;
  std::vector<ReportPart> parts;  ///< of the body; empty: one delta of the whole model
  double epochs = 0.0;
  Ending ending = Ending::budget;
  std::optional<std::uint64_t> state_epoch;
  bool operator==(const Offer&) const = default;
};

}  // namespace chorus::wire
