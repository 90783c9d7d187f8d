/* Labelled examples: from memory, and from a source of your own. In libchorus, not in
 * libchorus-core. chorus/c/files.h reads files; chorus/chorus.h has the conventions. */
#ifndef CHORUS_C_DATASET_H
#define CHORUS_C_DATASET_H

#include "chorus/c/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Examples never change. A subset shares the numbers. May be read from several threads. */
typedef struct chorus_dataset chorus_dataset;

typedef struct chorus_memory_options {
  size_t size;
  uint64_t examples;
  const float* features;         /* f32[examples × product(feature_shape)], by rows, finite */
  const uint64_t* feature_shape; /* of one example: {64} or {1, 8, 8} */
  size_t feature_rank;           /* elements of feature_shape, 1 to 8 */
  const uint32_t* labels;        /* one per example, each < classes; null: none (with targets) */
  uint32_t classes;              /* 0: the largest label + 1 */
  const float* targets;          /* f32[examples × target_count]: what losses of regression and
                                    survival aim at; null: none */
  uint64_t target_count;         /* of one example */
} chorus_memory_options;

/* Examples in memory, copied and checked.
 * Errors: CHORUS_SHAPE_MISMATCH, CHORUS_NOT_FINITE, CHORUS_INVALID_ARGUMENT (a label) */
CHORUS_EXPORT chorus_status chorus_dataset_create(const chorus_memory_options* options,
                                                  chorus_dataset** dataset);

/* Examples of your own, read as the trainer needs them: they need not fit into memory. */
typedef struct chorus_source_options {
  size_t size;
  const char* name; /* for messages: "camera"; may be null */
  uint64_t examples;
  const uint64_t* feature_shape; /* of one example */
  size_t feature_rank;
  uint32_t classes;      /* labels are below this; 0: there are no labels */
  uint64_t target_count; /* of one example; 0: none */

  /* Writes the examples with these numbers (each < examples; one may occur more than once), in this
   * order: features f32[count × product(feature_shape)], labels u32[count],
   * targets f32[count × target_count]. A null one is not wanted. The same number must give the same
   * example every time: the determinism of training rests on it. From any thread; from several at
   * once if several trainers or threads read the data set. Failing (chorus_fail() with a sentence)
   * ends the task that reads. What is written is checked: finite, labels below classes. */
  chorus_status (*read)(const uint32_t* examples,
                        uint64_t count,
                        float* features,
                        uint32_t* labels,
                        float* targets,
                        void* context);
  void (*destroy)(void* context); /* nobody reads any more; may be null */
  void* context;
} chorus_source_options;

/* Errors: CHORUS_INVALID_ARGUMENT: an impossible shape, too many examples. `destroy` is not called
 * then. */
CHORUS_EXPORT chorus_status chorus_dataset_from_source(const chorus_source_options* options,
                                                       chorus_dataset** dataset);

CHORUS_EXPORT uint64_t chorus_dataset_size(const chorus_dataset* dataset);
CHORUS_EXPORT uint32_t chorus_dataset_classes(const chorus_dataset* dataset); /* 0: no labels */
CHORUS_EXPORT uint64_t chorus_dataset_target_count(const chorus_dataset* dataset);
/* rank: receives the elements of the shape; may be null. */
CHORUS_EXPORT const uint64_t* chorus_dataset_feature_shape(const chorus_dataset* dataset,
                                                           size_t* rank);
CHORUS_EXPORT uint64_t chorus_dataset_feature_count(const chorus_dataset* dataset); /* product */

/* Copies examples out: features f32[count × feature_count], labels u32[count],
 * targets f32[count × target_count]; null ones are not wanted.
 * Errors: CHORUS_INVALID_ARGUMENT: a number is not below the size; those of a source */
CHORUS_EXPORT chorus_status chorus_dataset_read(const chorus_dataset* dataset,
                                                const uint32_t* examples,
                                                uint64_t count,
                                                float* features,
                                                uint32_t* labels,
                                                float* targets);

/* Whose example it is, if the data set was read with keys; "" otherwise; null: no such example. */
CHORUS_EXPORT const char* chorus_dataset_key(const chorus_dataset* dataset, uint64_t example);

/* The name of a class, of data sets from folders; "" otherwise; null: no such label. */
CHORUS_EXPORT const char* chorus_dataset_class_name(const chorus_dataset* dataset, uint32_t label);

/* The examples with these numbers, in this order; one may occur more than once. */
CHORUS_EXPORT chorus_status chorus_dataset_subset(const chorus_dataset* dataset,
                                                  const uint32_t* examples,
                                                  uint64_t count,
                                                  chorus_dataset** subset);

/* Puts round(fraction · examples) random examples aside for evaluation; the same seed gives the
 * same division everywhere. fraction: [0, 1). With one above 0 and two examples or more each side
 * has at least one. */
CHORUS_EXPORT chorus_status chorus_dataset_split(const chorus_dataset* dataset,
                                                 double fraction,
                                                 uint64_t seed,
                                                 chorus_dataset** train,
                                                 chorus_dataset** holdout);

/* What is done to numbers that belong together: (value − offset) / scale. */
typedef enum chorus_normalisation {
  CHORUS_NORMALISE_NONE = 0,
  CHORUS_NORMALISE_STANDARD = 1, /* offset: mean; scale: standard deviation (divided by n) */
  CHORUS_NORMALISE_MIN_MAX = 2,  /* offset: smallest; scale: largest − smallest */
  CHORUS_NORMALISE_INT = 0x7fffffff
} chorus_normalisation;

/* Offset and scale of each channel, the first extent of the feature shape: {3, 32, 32} has three,
 * {9} has nine. To be asked of training examples only. Reads everything once or twice.
 * scales: receives them; null to ask for the count only. capacity: its elements.
 * count: receives the number of channels; may be null.
 * Errors: CHORUS_SHAPE_MISMATCH: more channels than capacity; CHORUS_INVALID_ARGUMENT: no examples,
 * CHORUS_NORMALISE_NONE; those of a source */
CHORUS_EXPORT chorus_status chorus_dataset_fit_scales(const chorus_dataset* training,
                                                      chorus_normalisation normalisation,
                                                      chorus_scale* scales,
                                                      size_t capacity,
                                                      size_t* count);
/* The same examples, each feature (value − offset) / scale. scales: one for all features, one per
 * channel, or one per feature. */
CHORUS_EXPORT chorus_status chorus_dataset_normalised(const chorus_dataset* dataset,
                                                      const chorus_scale* scales,
                                                      size_t count,
                                                      chorus_dataset** normalised);

CHORUS_EXPORT void chorus_dataset_destroy(chorus_dataset** dataset);

#ifdef __cplusplus
}
#endif
#endif
