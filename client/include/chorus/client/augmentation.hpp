// Training examples that differ a little each time they are met.
#pragma once

#include <cstdint>

namespace chorus::client {

/// What is done to the features of training examples, in this order, after any normalisation;
/// hold-out examples, probes and the choice among candidates see them as they are. A pure function
/// of the plan's seed, the number of the pass over the data and the number of the example: neither
/// the batch nor the order matters, and both gradients of a variance-reduced step see the same.
struct Augmentation {
  /// Each side of {channels, height, width} is lengthened by so many zeros, and a part of the old
  /// size is cut out at a place drawn uniformly from the (2·crop_padding + 1)² there are; all
  /// channels alike. 0: no.
  std::uint32_t crop_padding = 0;
  bool flip = false;  ///< left and right of {channels, height, width} change places, with chance ½
  double noise = 0.0;  ///< σ of N(0, σ²) added to every feature; 0 or more

  bool operator==(const Augmentation&) const = default;
};

}  // namespace chorus::client
