/* The trainer that comes with Chorus, and models of files. In libchorus, not in libchorus-core.
 * chorus/chorus.h has the conventions. */
#ifndef CHORUS_C_BUILTIN_H
#define CHORUS_C_BUILTIN_H

#include "chorus/c/dataset.h"
#include "chorus/c/trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct chorus_builtin_options {
  size_t size;
  const chorus_dataset* train;
  const chorus_dataset* holdout; /* what evaluations measure on; null: none */
  uint32_t threads;              /* 0: 1. More than one makes results depend on it */
  const float* scores;           /* difficulty of each example of `train`, for curricula … */
  uint64_t score_count;          /* … that ask; 0: none */
  /* Asked before each step: true ends training there, and the report says what was done. On the
   * training thread. Null: never. */
  bool (*enough)(void* context);
  void* context; /* must live as long as the trainer */
  /* Training examples differ each time they are met (chorus/client/augmentation.hpp): */
  uint32_t crop_padding; /* zeros around an image, of which a part of the old size is cut out */
  bool flip;             /* left and right change places, with chance ½ */
  double noise;          /* σ of N(0, σ²) added to every feature */
} chorus_builtin_options;

/* The layers of docs/models.md on the CPU, every field of docs/plan.md. With one thread the same
 * task gives the same bits on one machine. chorus_trainer_destroy() closes it. */
CHORUS_EXPORT chorus_status chorus_builtin_trainer_create(const chorus_builtin_options* options,
                                                          chorus_trainer** trainer);

/* ---- A model with its weights, outside of a federation ---- */

typedef struct chorus_model chorus_model;

/* Reads a version file: safetensors with the architecture in it, as `chorus model export` and the
 * server write them (docs/formats.md).
 * Errors: CHORUS_NOT_FOUND, CHORUS_IO_FAILED, CHORUS_MALFORMED_FILE, CHORUS_BUSY */
CHORUS_EXPORT chorus_status chorus_model_load(const char* path, chorus_model** model);

/* From an architecture as JSON (chorus_task_model()) and parameters f32[count], copied.
 * Errors: CHORUS_MALFORMED_FILE, CHORUS_INVALID_ARGUMENT (layers), CHORUS_SHAPE_MISMATCH */
CHORUS_EXPORT chorus_status chorus_model_create(const char* architecture,
                                                const float* parameters,
                                                uint64_t count,
                                                chorus_model** model);

/* Writes a version file, as one durable step. */
CHORUS_EXPORT chorus_status chorus_model_save(const chorus_model* model, const char* path);

/* All parameters. count: receives their number; may be null. */
CHORUS_EXPORT const float* chorus_model_parameters(const chorus_model* model, uint64_t* count);
CHORUS_EXPORT size_t chorus_model_tensor_count(const chorus_model* model);
/* Null if index is not below the count. */
CHORUS_EXPORT const chorus_tensor* chorus_model_tensor(const chorus_model* model, size_t index);
/* The architecture as JSON. */
CHORUS_EXPORT const char* chorus_model_architecture(const chorus_model* model);

/* Measures the model on examples, with one thread. batch_size: examples at a time; 0: 256. A loaded
 * version that says how features are normalised (docs/formats.md) is given them so, in place of
 * what chorus_dataset_normalised() did.
 * chorus_model_metric() then has the numbers. */
CHORUS_EXPORT chorus_status chorus_model_evaluate(chorus_model* model,
                                                  const chorus_dataset* dataset,
                                                  uint32_t batch_size);
/* "loss"; "accuracy" and others as the model's loss has them (docs/models.md).
 * Errors: CHORUS_NOT_FOUND, naming those there are; CHORUS_WRONG_STATE: not evaluated yet */
CHORUS_EXPORT chorus_status chorus_model_metric(const chorus_model* model,
                                                const char* name,
                                                double* value);

CHORUS_EXPORT void chorus_model_destroy(chorus_model** model);

#ifdef __cplusplus
}
#endif
#endif
