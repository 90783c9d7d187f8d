// Features of any dataset brought to a common scale. (Columns of a table: CsvOptions.)
#pragma once

#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/export.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// Offset and scale of each channel. Channels are the first extent of the feature shape: {3, 32,
/// 32} has three, {9} has nine, each a feature. To be asked of training examples only: what is
/// learned from hold-out or test examples is no longer measured on unseen ones. Reads everything
/// once, with standard twice; sums are in float64, in the order of the examples.
/// @errors invalid_argument: normalisation is none, or there are no examples; those of the dataset
CHORUS_EXPORT Result<std::vector<FeatureScale>> fit_scales(const Dataset& training,
                                                           Normalisation normalisation);

/// The same examples, each feature float32((value − offset) / scale), computed in float64. Examples
/// in memory are copied, those of `data` only; others are scaled whenever they are read.
/// scales() of the result is what all that was done comes to.
/// @param scales  one for all features, one per channel, or one per feature
/// @errors invalid_argument: another number of scales, one that is not finite, or a scale of 0;
///         not_finite: a result beyond float32, with examples in memory; those of the dataset
CHORUS_EXPORT Result<Dataset> normalised(const Dataset& data, std::vector<FeatureScale> scales);

/// The same examples, normalised by `scales` in place of data.scales(): what TrainPlan::normalise
/// asks for. A feature v that was normalised by offset o and scale s becomes
/// float32((v − (offset − o) / s) / (scale / s)), computed in float64: what normalised() makes of
/// the examples as measured, and beyond v's own rounding (half an ulp) equal to it. Nothing is
/// copied; features are scaled whenever they are read.
/// @param scales  as many as divide the features evenly; none: `data` as it is
/// @errors invalid_argument: another number of scales, one that is not finite, or a scale of 0
CHORUS_EXPORT Result<Dataset> renormalised(const Dataset& data, std::vector<FeatureScale> scales);

}  // namespace chorus::client
