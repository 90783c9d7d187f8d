/* The instructions of a training task, as chorus/plan.hpp has them for C++. docs/plan.md is the
 * manual: every field's formula and what goes together. chorus/chorus.h has the conventions. */
#ifndef CHORUS_C_PLAN_H
#define CHORUS_C_PLAN_H

#include "chorus/c/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum chorus_budget {
  CHORUS_BUDGET_EPOCHS = 1,
  CHORUS_BUDGET_STEPS = 2,
  CHORUS_BUDGET_EXAMPLES = 3,
  CHORUS_BUDGET_SECONDS = 4
} chorus_budget;

typedef enum chorus_optimiser {
  CHORUS_SGD = 1,
  CHORUS_ADAM = 2,
  CHORUS_ADAMW = 3,
  CHORUS_LAMB = 4
} chorus_optimiser;

typedef enum chorus_order {
  CHORUS_ORDER_NATURAL = 1,
  CHORUS_ORDER_SHUFFLED = 2,
  CHORUS_ORDER_CURRICULUM = 3
} chorus_order;

typedef enum chorus_schedule {
  CHORUS_SCHEDULE_CONSTANT = 1,
  CHORUS_SCHEDULE_STEP = 2,
  CHORUS_SCHEDULE_COSINE = 3
} chorus_schedule;

typedef enum chorus_curriculum_pace {
  CHORUS_PACE_LINEAR = 1,
  CHORUS_PACE_QUADRATIC = 2,
  CHORUS_PACE_ROOT = 3,
  CHORUS_PACE_STEP = 4,
  CHORUS_PACE_EXPONENTIAL = 5,
  CHORUS_PACE_LOGARITHMIC = 6
} chorus_curriculum_pace;

typedef enum chorus_gradient_source {
  CHORUS_SOURCE_BATCH = 1,
  CHORUS_SOURCE_WHOLE = 2,
  CHORUS_SOURCE_VARIANCE_REDUCED = 3,
  CHORUS_SOURCE_ZEROTH_ORDER = 4
} chorus_gradient_source;

typedef enum chorus_control {
  CHORUS_CONTROL_NONE = 0,
  CHORUS_CONTROL_FROM_STEPS = 1,
  CHORUS_CONTROL_FROM_GRADIENT = 2
} chorus_control;

typedef enum chorus_meta {
  CHORUS_META_NONE = 0,
  CHORUS_META_REPTILE = 1,
  CHORUS_META_FIRST_ORDER_MAML = 2
} chorus_meta;

typedef enum chorus_teacher {
  CHORUS_TEACHER_NONE = 0,
  CHORUS_TEACHER_RECEIVED = 1, /* the model as it was received */
  CHORUS_TEACHER_GIVEN = 2     /* the vector "teacher" */
} chorus_teacher;

typedef enum chorus_precision { CHORUS_F32 = 0, CHORUS_BF16 = 1 } chorus_precision;

/* A number x becomes (x − offset) / scale. */
typedef struct chorus_scale { /* will not grow */
  double offset;
  double scale;
} chorus_scale;

/* A list of patterns of tensor names: '*' stands for any characters, '?' for one. */
typedef struct chorus_patterns {
  const char* const* items;
  size_t count;
} chorus_patterns;

/* Handed out by chorus_task_plan(). In brackets: the feature (chorus_task_check_plan()) that a plan
 * has when the field is not at its neutral value; a field without one is in every plan.
 * [normalise] is no field: chorus_task_normalise(). */
typedef struct chorus_plan {
  chorus_budget budget_unit;
  double budget; /* > 0; whole for every unit but seconds */
  uint32_t batch_size;
  chorus_order order; /* [curriculum] */
  uint64_t seed;      /* of (job, round, device): for everything random */

  chorus_optimiser optimiser; /* [optimiser]: another than sgd, or a field that it lacks */
  double learning_rate;       /* > 0; chorus_task_learning_rate() has the schedule in it */
  double momentum;            /* [0, 1), of sgd */
  double weight_decay;        /* >= 0 */
  bool nesterov;              /* [optimiser], of sgd */
  double beta1;               /* [0, 1), of the others */
  double beta2;
  double epsilon;

  chorus_schedule schedule; /* [schedule] */
  uint64_t warmup_steps;
  uint64_t every_steps;
  uint64_t total_steps;
  double schedule_factor;

  double clip_norm;    /* [clip_norm] longest gradient; 0: any */
  double proximal;     /* [proximal] μ of μ/2·‖w − received model‖² */
  uint32_t accumulate; /* [accumulate] batches of one step; 1 */

  double early_stop_loss; /* [early_stop], all four; 0: off */
  uint32_t early_stop_patience;
  double early_stop_improvement;
  double early_stop_gradient_norm;

  chorus_curriculum_pace curriculum_pace; /* with CHORUS_ORDER_CURRICULUM */
  double curriculum_start;
  double curriculum_full;
  bool curriculum_hardest_first;
  bool curriculum_given_scores;

  chorus_gradient_source source; /* [source.whole], [source.variance_reduced] … */
  uint32_t source_directions;
  double source_distance;

  chorus_control control; /* [control] */
  chorus_meta meta;       /* [meta] */
  double meta_rate;
  uint32_t meta_inner_steps;

  chorus_patterns trainable; /* [trainable] none: all; chorus_tensor.trainable has the outcome */
  chorus_patterns frozen;    /* [trainable] taken out of those */
  bool trainable_mask;       /* [mask] only elements where the vector "mask" is not 0 change */
  chorus_patterns local;     /* [local] tensors that stay on the device */
  uint32_t candidates;       /* [candidates] 1 */

  bool probe_gradient_norms; /* [probe], all of these */
  bool probe_losses;
  bool probe_labels;
  bool probe_statistics;
  const char* probe_representation; /* "": none */
  bool probe_by_class;
  uint32_t probe_batches;
  bool probe_only;

  chorus_teacher distil; /* [distillation] */
  double distil_weight;
  double distil_temperature;
  bool distil_not_true;
  chorus_precision precision; /* a permission: float32 is right, too */
} chorus_plan;

#ifdef __cplusplus
}
#endif
#endif
