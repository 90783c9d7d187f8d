// Base version and sums → next version: the loop around Strategy::finalise.
#pragma once

#include "chorus/result.hpp"
#include "server/store/versions.hpp"
#include "server/strategy/strategy.hpp"
#include "server/update/lane.hpp"

namespace chorus::server {

/// Appends every parameter of the next model to `next`, in order. Buffers (batch norm's running
/// statistics) become the mean of the devices' whatever the strategy does with parameters: a step
/// along them that is not of length 1 could make a variance negative. The base's memory is given up
/// on the way (VersionReader::forget): the next version takes its place.
/// @pre lane.denominator() > 0; lane and base have the same parameters
/// @errors of reading the base and writing the next version
Result<void> write_next_model(const Strategy& strategy,
                              const Lane& lane,
                              const VersionReader& base,
                              VersionWriter& next);

}  // namespace chorus::server
