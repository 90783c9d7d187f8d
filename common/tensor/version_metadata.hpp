// What a version file says of itself, as safetensors metadata: the architecture, and how the job
// normalised the features.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/feature_scale.hpp"
#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/tensor/safetensors.hpp"

namespace chorus::tensor {

/// Key of the features' normalisation: {"mean":[…],"deviation":[…]}, as many of both, in the order
/// of TrainPlan::normalise. Not there: the job left it to the devices.
inline constexpr std::string_view kNormaliseMetadataKey = "chorus.normalise";

struct VersionMetadata {
  ModelSpec model;
  std::vector<FeatureScale> normalise;  ///< none: as the device decides
};

/// Equal values give equal text.
/// @errors invalid_argument: no model, or scales that cannot be those of its plan
Result<Metadata> metadata_of(const ModelSpec& model, std::span<const FeatureScale> normalise);

/// The inverse. Other keys are passed over.
/// @errors malformed_file: there is no architecture, or a text is not as it should be;
///         invalid_argument: as metadata_of
Result<VersionMetadata> version_metadata(const Metadata& metadata);

/// The text of kNormaliseMetadataKey. @pre not empty, finite
std::string normalise_to_json(std::span<const FeatureScale> normalise);
/// The inverse; empty when there is no such key.
/// @param metadata  of a version file, or of an ONNX file that was made from one
/// @errors malformed_file; invalid_argument: scales that cannot be those of a plan for `model`
Result<std::vector<FeatureScale>> normalise_from(const Metadata& metadata, const ModelSpec& model);

}  // namespace chorus::tensor
