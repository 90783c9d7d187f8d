#include "chorus/layers.hpp"

namespace chorus {

Layer::Layer() = default;
Layer::Layer(const Layer& other) = default;
Layer::Layer(Layer&& other) noexcept = default;
Layer& Layer::operator=(const Layer& other) = default;
Layer& Layer::operator=(Layer&& other) noexcept = default;
Layer::~Layer() = default;

bool operator==(const Layer& a, const Layer& b) {
  return static_cast<const LayerKinds&>(a) == static_cast<const LayerKinds&>(b);
}

}  // namespace chorus
