// What brings numbers to a common scale.
#pragma once

namespace chorus {

/// x becomes (x − offset) / scale.
struct FeatureScale {
  double offset = 0.0;
  double scale = 1.0;  ///< not 0; fitted to values that are all the same: 1
  bool operator==(const FeatureScale&) const = default;
};

}  // namespace chorus
