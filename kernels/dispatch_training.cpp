// Forwards the kernels of training to the variant in use.
#include <array>

#include "chorus/kernels/cells.hpp"
#include "chorus/kernels/training.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/training_table.hpp"

namespace chorus::kernels {
namespace {

const TrainingTable& training_table() noexcept {
  static constexpr std::array kTables{CHORUS_VARIANTS(TrainingTable)};
  return *kTables[active_index()];
}

}  // namespace

namespace {

// `first`, `second`: the moments that the rule has.
RawStep raw(const StepVectors& step, bool first, bool second) noexcept {
  const std::size_t n = step.weights.size();
  require(step.gradient.size() == n, "a step: gradient and weights differ in size");
  require(!first || step.first.size() == n, "a step: first moment and weights differ in size");
  require(!second || step.second.size() == n, "a step: second moment and weights differ in size");
  return {n, step.weights.data(), step.gradient.data(), step.first.data(), step.second.data()};
}

}  // namespace

void relu_f32(std::span<const float> x, float slope, std::span<float> y) noexcept {
  require(x.size() == y.size(), "relu_f32: sizes differ");
  training_table().relu(x.data(), slope, y.data(), y.size());
}

void relu_backward_f32(std::span<const float> y,
                       std::span<const float> dy,
                       float slope,
                       std::span<float> dx) noexcept {
  require(y.size() == dx.size() && dy.size() == dx.size(), "relu_backward_f32: sizes differ");
  training_table().relu_backward(y.data(), dy.data(), slope, dx.data(), dx.size());
}

void add_f32(std::span<const float> a, std::span<const float> b, std::span<float> sum) noexcept {
  require(a.size() == sum.size() && b.size() == sum.size(), "add_f32: sizes differ");
  training_table().add(a.data(), b.data(), sum.data(), sum.size());
}

void scale_f32(float factor, std::span<float> x) noexcept {
  training_table().scale(factor, x.data(), x.size());
}

void sgd_step_f32(float rate, float decay, const StepVectors& step) noexcept {
  training_table().sgd_step(rate, decay, raw(step, false, false));
}

void momentum_step_f32(const MomentumRule& rule, const StepVectors& step) noexcept {
  training_table().momentum_step(rule, raw(step, true, false));
}

void adam_step_f32(const AdamRule& rule, const StepVectors& step) noexcept {
  training_table().adam_step(rule, raw(step, true, true));
}

void lamb_direction_f32(const AdamRule& rule,
                        float decay,
                        const StepVectors& step,
                        std::span<float> direction) noexcept {
  require(direction.size() == step.weights.size(), "lamb_direction_f32: sizes differ");
  training_table().lamb_direction(rule, decay, raw(step, true, true), direction.data());
}

void lstm_cell_f32(const LstmCell& step) noexcept {
  training_table().lstm_cell(step);
}

void lstm_cell_backward_f32(const LstmCellBackward& step) noexcept {
  training_table().lstm_cell_backward(step);
}

void gru_cell_f32(const GruCell& step) noexcept {
  training_table().gru_cell(step);
}

void gru_cell_backward_f32(const GruCellBackward& step) noexcept {
  training_table().gru_cell_backward(step);
}

void softmax_f32(std::span<const float> x, std::span<float> y) noexcept {
  require(x.size() == y.size(), "softmax_f32: sizes differ");
  training_table().softmax(x.data(), y.data(), y.size());
}

void softmax_backward_f32(std::span<const float> y,
                          std::span<const float> dy,
                          std::span<float> dx) noexcept {
  require(y.size() == dx.size() && dy.size() == dx.size(), "softmax_backward_f32: sizes differ");
  training_table().softmax_backward(y.data(), dy.data(), dx.data(), dx.size());
}

}  // namespace chorus::kernels
