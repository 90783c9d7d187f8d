// A picture in the shape a model takes.
#pragma once

#include <span>

#include "chorus/client/images.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// @errors invalid_argument
Result<void> check_image_options(const ImageOptions& options);

/// image_features() in its place. @pre the options are right, out has their size
void fit_image(const Image& image, const ImageOptions& options, std::span<float> out);

}  // namespace chorus::client
