/* A trainer of your own, through two callbacks. chorus/chorus.h has the conventions. */
#ifndef CHORUS_C_TRAINER_H
#define CHORUS_C_TRAINER_H

#include "chorus/c/client.h"
#include "chorus/c/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What is asked. A task and all that it hands out live during the callback. ---- */

typedef struct chorus_task chorus_task;

CHORUS_EXPORT const char* chorus_task_job(const chorus_task* task);
CHORUS_EXPORT uint64_t chorus_task_round(const chorus_task* task);

/* True when the task is no longer wanted: poll it between batches, and return CHORUS_CANCELLED.
 * From any thread. */
CHORUS_EXPORT bool chorus_task_cancelled(const chorus_task* task);

/* The instructions; null in an evaluation. */
CHORUS_EXPORT const chorus_plan* chorus_task_plan(const chorus_task* task);

/* Examples at a time, of a training or an evaluation. */
CHORUS_EXPORT uint32_t chorus_task_batch_size(const chorus_task* task);

/* [normalise], of a training or an evaluation: what features are brought to, in place of what this
 * device would do by itself. One for all, one per channel (the first extent of the model's input),
 * or one per feature; null, and a count of 0: the device decides. */
CHORUS_EXPORT const chorus_scale* chorus_task_normalise(const chorus_task* task, size_t* count);

/* The learning rate of step 0, 1, …, with warm-up and schedule. 0 in an evaluation. */
CHORUS_EXPORT double chorus_task_learning_rate(const chorus_task* task, uint64_t step);

/* Refuses what the trainer does not know, so that the server chooses another device: call it first.
 * known: names of features (chorus/c/plan.h, in brackets) that you honour; null if count is 0.
 * Fields without a feature (budget, batch_size, order, seed, learning_rate, momentum, weight_decay)
 * are in every plan.
 * Errors: CHORUS_UNSUPPORTED_FEATURE, naming the plan's first feature that is not in `known` */
CHORUS_EXPORT chorus_status chorus_task_check_plan(const chorus_task* task,
                                                   const char* const* known,
                                                   size_t count);

/* One tensor inside the flat parameter vector. Weights lie as in PyTorch. */
typedef struct chorus_tensor {
  const char* name;      /* "dense1.weight" */
  const uint64_t* shape; /* row-major, outermost first */
  size_t rank;           /* elements of shape, 1 to 8 */
  uint64_t offset;       /* first element in the flat vector */
  uint64_t count;        /* product of shape */
  bool buffer;           /* a statistic (batch norm), never stepped */
  bool trainable;        /* the plan lets training change it; false in an evaluation */
} chorus_tensor;

/* Tensors are contiguous, in order, without gaps. */
CHORUS_EXPORT size_t chorus_task_tensor_count(const chorus_task* task);
/* Null if index is not below the count. */
CHORUS_EXPORT const chorus_tensor* chorus_task_tensor(const chorus_task* task, size_t index);
/* Null if there is none of this name; chorus_last_error() then lists those there are. */
CHORUS_EXPORT const chorus_tensor* chorus_task_find_tensor(const chorus_task* task,
                                                           const char* name);

/* The model's architecture as JSON, as in version files (docs/formats.md). */
CHORUS_EXPORT const char* chorus_task_model(const chorus_task* task);

/* A vector that came with the task ("anchor", "control", "mask", "candidate1"; docs/plan.md), as
 * long as the parameters. Null if it did not. */
CHORUS_EXPORT const float* chorus_task_vector(const chorus_task* task, const char* name);

/* ---- What stays on the device between the tasks of a job ---- */

/* How many accepted tasks the local state has behind it. 0: none, or what was there is damaged or
 * of another layout and was dropped. What a task stores counts from when the server has accepted
 * its update; a refused, cancelled or failed task leaves everything as it was.
 * Errors, of these three: CHORUS_WRONG_STATE: an evaluation, or nothing is kept here */
CHORUS_EXPORT chorus_status chorus_task_state_epoch(const chorus_task* task, uint64_t* epoch);
/* The vector as the last accepted task left it.
 * numbers: receives it; may be null to ask for the count only. capacity: its elements.
 * count: receives the vector's elements; may be null.
 * Errors: CHORUS_NOT_FOUND: none of this name; CHORUS_SHAPE_MISMATCH: more than capacity */
CHORUS_EXPORT chorus_status chorus_task_state_load(
    const chorus_task* task, const char* name, float* numbers, uint64_t capacity, uint64_t* count);
/* Becomes the vector once this task is accepted; others stay as they are.
 * name: [a-z0-9] then [a-z0-9._-], at most 63 bytes; at most 16 names per job */
CHORUS_EXPORT chorus_status chorus_task_state_store(const chorus_task* task,
                                                    const char* name,
                                                    const float* numbers,
                                                    uint64_t count);

/* ---- What is reported ---- */

typedef struct chorus_report chorus_report;

/* Why training ended. */
typedef enum chorus_ending {
  CHORUS_ENDING_BUDGET = 1,
  CHORUS_ENDING_EARLY_STOP = 2, /* by the plan's rule */
  CHORUS_ENDING_DEVICE = 3,     /* the device had enough */
  CHORUS_ENDING_INT = 0x7fffffff
} chorus_ending;

/* A vector of a report; docs/plan.md has the sizes. */
typedef enum chorus_part {
  CHORUS_PART_DELTA = 1, /* y − x: reported by itself, see chorus_report_no_delta() */
  CHORUS_PART_GRADIENT = 2,
  CHORUS_PART_SCALARS = 3,
  CHORUS_PART_CONTROL_DELTA = 4,
  CHORUS_PART_GRADIENT_NORMS = 5,
  CHORUS_PART_LOSSES = 6,
  CHORUS_PART_LABELS = 7,
  CHORUS_PART_STATISTICS = 8,
  CHORUS_PART_REPRESENTATIONS = 9,
  CHORUS_PART_INT = 0x7fffffff
} chorus_part;

/* Distinct examples used: weighs the update, must be what was really used and above 0. Required. */
CHORUS_EXPORT chorus_status chorus_report_examples(chorus_report* report, uint64_t examples);
/* Optimiser steps made; visits of examples divided by their number; why it ended. */
CHORUS_EXPORT chorus_status chorus_report_steps(chorus_report* report, uint64_t steps);
CHORUS_EXPORT chorus_status chorus_report_epochs(chorus_report* report, double epochs);
CHORUS_EXPORT chorus_status chorus_report_ending(chorus_report* report, chorus_ending ending);
/* A named number, finite: at least "loss", and "accuracy" for classifiers. At most 32. */
CHORUS_EXPORT chorus_status chorus_report_metric(chorus_report* report,
                                                 const char* name,
                                                 double value);
/* A vector that the plan asked for, beside y − x, in the order of the plan; at most 16. */
CHORUS_EXPORT chorus_status chorus_report_part(chorus_report* report,
                                               chorus_part part,
                                               const float* numbers,
                                               uint64_t count);
/* The plan asks for no difference of models (whole and zeroth_order gradients, probe_only). */
CHORUS_EXPORT chorus_status chorus_report_no_delta(chorus_report* report);
/* What chorus_task_state_epoch() said, when the plan keeps something. */
CHORUS_EXPORT chorus_status chorus_report_state_epoch(chorus_report* report, uint64_t epoch);

/* ---- The trainer ---- */

/* Both functions are called from one thread at a time, never the network's, and may take as long as
 * they like. Any status but CHORUS_OK fails the task with the sentence given to chorus_fail():
 * CHORUS_CANCELLED after chorus_task_cancelled(), CHORUS_UNSUPPORTED_FEATURE if plan or model
 * cannot be executed here (the server chooses another device), anything else for a failed task. */
typedef struct chorus_trainer_callbacks {
  size_t size;
  /* parameters: f32[count], in: the received model x; out: the trained y. y − x is uploaded. */
  chorus_status (*train)(const chorus_task* task,
                         float* parameters,
                         uint64_t count,
                         chorus_report* report,
                         void* context);
  /* Measures a model on hold-out data. */
  chorus_status (*evaluate)(const chorus_task* task,
                            const float* parameters,
                            uint64_t count,
                            chorus_report* report,
                            void* context);
  void (*destroy)(void* context); /* the trainer is gone; may be null */
  void* context;
} chorus_trainer_callbacks;

/* A trainer that calls these. */
CHORUS_EXPORT chorus_status chorus_trainer_create(const chorus_trainer_callbacks* callbacks,
                                                  chorus_trainer** trainer);
/* Closes it; a run that uses it goes on with it. */
CHORUS_EXPORT void chorus_trainer_destroy(chorus_trainer** trainer);

#ifdef __cplusplus
}
#endif
#endif
