// The vocabulary of a device's report.
#pragma once

#include <cstdint>

namespace chorus {

/// Why training ended.
enum class Ending : std::uint8_t {
  budget = 1,      ///< the plan's budget was used up
  early_stop = 2,  ///< by the plan's rule
  device = 3,      ///< the device had enough
};

/// What a vector of a report is; docs/plan.md has the sizes.
enum class ReportKind : std::uint8_t {
  delta = 1,  ///< y − x, x being the model trained from
  gradient = 2,
  scalars = 3,  ///< of zeroth-order steps
  control_delta = 4,
  gradient_norms = 5,
  losses = 6,
  labels = 7,
  statistics = 8,
  representations = 9,
};

}  // namespace chorus
