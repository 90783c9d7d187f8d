#include "client/train/tape/lora.hpp"

#include "client/train/tape/multiply.hpp"

namespace chorus::train {

Adapter::Adapter(Graph& graph, const Sizes& sizes, std::span<const Tensor> tensors)
    : graph_(&graph), sizes_(sizes) {
  if (sizes.rank == 0) return;
  a_ = tensors[0];
  b_ = tensors[1];
  hidden_ = scratch();
}

Value Adapter::scratch() const {
  if (sizes_.rank == 0) return {};
  return graph_->make(
      Dims{static_cast<std::int64_t>(sizes_.rows), static_cast<std::int64_t>(sizes_.rank)});
}

void Adapter::forward(const float* x, float* y) const {
  const auto [rows, inputs, outputs, rank, scale] = sizes_;
  if (rank == 0) return;
  float* const hidden = graph_->at(hidden_);
  const float* const a = graph_->at(a_.value);
  const float* const b = graph_->at(b_.value);
  multiply_nt({rows, rank, inputs, x, inputs, a, inputs, hidden, rank, 1.0F, 0.0F});
  multiply_nt({rows, outputs, rank, hidden, rank, b, rank, y, outputs, scale, 1.0F});
}

void Adapter::backward(const float* x, const Slopes& slopes) const {
  const auto [rows, inputs, outputs, rank, scale] = sizes_;
  if (rank == 0) return;
  const float* const dy = slopes.dy;
  const float* const hidden = graph_->at(hidden_);
  const float* const a = graph_->at(a_.value);
  const float* const b = graph_->at(b_.value);
  float* const da = graph_->at(a_.gradient);
  float* const db = graph_->at(b_.gradient);
  float* const back = graph_->at(slopes.scratch);
  multiply_tn({outputs, rank, rows, dy, outputs, hidden, rank, db, rank, scale, 0.0F});
  multiply_nn({rows, rank, outputs, dy, outputs, b, rank, back, rank, scale, 0.0F});
  multiply_tn({rank, inputs, rows, back, rank, x, inputs, da, inputs, 1.0F, 0.0F});
  if (slopes.dx == nullptr) return;
  multiply_nn({rows, inputs, rank, back, rank, a, inputs, slopes.dx, inputs, 1.0F, 1.0F});
}

}  // namespace chorus::train
