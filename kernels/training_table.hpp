// What a variant provides of the loops of training, like table.hpp: built-in types only.
#pragma once

#include <stddef.h>

namespace chorus::kernels {

/// StepVectors as plain addresses.
struct RawStep {
  size_t n;
  float* w;
  const float* g;
  float* m;
  float* v;
};

struct MomentumRule;
struct AdamRule;
struct LstmCell;
struct LstmCellBackward;
struct GruCell;
struct GruCellBackward;

struct TrainingTable {
  void (*relu)(const float* x, float slope, float* y, size_t n);
  void (*relu_backward)(const float* y, const float* dy, float slope, float* dx, size_t n);
  void (*add)(const float* a, const float* b, float* sum, size_t n);
  void (*scale)(float factor, float* x, size_t n);
  void (*sgd_step)(float rate, float decay, const RawStep& step);
  void (*momentum_step)(const MomentumRule& rule, const RawStep& step);
  void (*adam_step)(const AdamRule& rule, const RawStep& step);
  void (*lamb_direction)(const AdamRule& rule, float decay, const RawStep& step, float* direction);
  void (*lstm_cell)(const LstmCell& step);
  void (*lstm_cell_backward)(const LstmCellBackward& step);
  void (*gru_cell)(const GruCell& step);
  void (*gru_cell_backward)(const GruCellBackward& step);
  void (*softmax)(const float* x, float* y, size_t n);
  void (*softmax_backward)(const float* y, const float* dy, float* dx, size_t n);
};

extern const TrainingTable kRefTrainingTable;
#if defined(__x86_64__)
extern const TrainingTable kAvx2TrainingTable;
extern const TrainingTable kAvx512TrainingTable;
#elif defined(__aarch64__)
extern const TrainingTable kNeonTrainingTable;
#endif

}  // namespace chorus::kernels
