// What a device measures at the received model. Sizes and formulas in docs/plan.md.
#pragma once

#include <vector>

#include "chorus/client/trainer.hpp"
#include "chorus/result.hpp"
#include "client/train/plan/passes.hpp"

namespace chorus::train {

struct Measured {
  std::vector<client::ReportPart> parts{};  ///< in the order of ReportKind
  std::vector<Metric> metrics{};
  std::uint64_t examples = 0;  ///< that were looked at
};

/// Leaves weights and buffers as they were.
/// @errors invalid_argument: no layer or mark of the probe's name; unsupported_feature: classes are
///         asked of a model without; not_finite; as Passes
Result<Measured> run_probes(Passes& passes);

}  // namespace chorus::train
