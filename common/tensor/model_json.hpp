// A model's architecture as compact JSON, so that a version file alone says what it is.
#pragma once

#include <string>
#include <string_view>

#include "chorus/model.hpp"
#include "chorus/result.hpp"

namespace chorus::tensor {

/// Key of the architecture in a version file's safetensors metadata.
inline constexpr std::string_view kModelMetadataKey = "chorus.model";

/// {"input_shape":[1,8,8],"layers":[{"kind":"conv2d","channels":8,"kernel":3,"stride":1,
/// "padding":0},{"kind":"relu"},…],"loss":"softmax_cross_entropy"}; "name" where a layer has one,
/// and options that differ from their defaults. A loss with options is an object:
/// {"kind":"huber","huber_delta":2.0}. Equal models give equal text.
/// @errors as layout_of: a model that does not fit together is not written
Result<std::string> model_to_json(const ModelSpec& model);

/// The inverse: model_from_json(model_to_json(m)) == m. Unknown keys and kinds are refused, and the
/// layers are checked against each other.
/// @errors malformed_file: not such a text; invalid_argument: as layout_of
Result<ModelSpec> model_from_json(std::string_view text);

}  // namespace chorus::tensor
