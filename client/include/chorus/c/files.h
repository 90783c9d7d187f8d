/* Examples from files: docs/data.md has the formats. In libchorus, not in libchorus-core.
 *
 * Errors of all readers: CHORUS_NOT_FOUND, CHORUS_IO_FAILED; CHORUS_MALFORMED_FILE, naming the
 * file, the place in it, what was found and what was expected; CHORUS_NOT_FINITE;
 * CHORUS_INVALID_ARGUMENT: the options contradict the file. */
#ifndef CHORUS_C_FILES_H
#define CHORUS_C_FILES_H

#include "chorus/c/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A column of words: as many features as it has values, of which the row's is 1 and all others 0.
 * Will not grow. */
typedef struct chorus_category {
  const char* column;        /* a name of the header, or a number: "0" first, "-1" last */
  const char* const* values; /* in this order … */
  size_t value_count;        /* … 0: those of the file, in byte order */
} chorus_category;

/* A table: one example per line, plain or gzip. All columns but label, targets and key are
 * features. */
typedef struct chorus_csv_options {
  size_t size;
  const char* path;
  const char* separator;    /* one character; null: "," */
  bool header;              /* the first line holds column names */
  const char* label_column; /* as chorus_category.column; null: the last, or none with targets */
  const char* const* target_columns; /* what losses of regression and survival aim at */
  size_t target_column_count;
  const char* key_column; /* text that says whose example it is; null: none */
  const chorus_category* categories;
  size_t category_count;
  const double* missing; /* stands for a missing number; null: missing values are errors */
  double divide_by;      /* every number among the features, before it is normalised; 0: 1 */
  chorus_normalisation normalisation;
  const chorus_scale* scales; /* one per column of numbers, as another data set was fitted … */
  size_t scale_count;         /* … 0: fitted to this file … */
  const uint32_t* fit_rows;   /* … to these examples of it … */
  uint64_t fit_row_count;     /* … 0: to all */
  const uint64_t* feature_shape;
  size_t feature_rank; /* 0: {features} */
  uint32_t classes;    /* 0: the largest label + 1 */
  uint64_t bytes_max;  /* of examples in memory; 0: 4 GiB */
  bool stream;         /* features stay in the file, a plain one, and are parsed when needed;
                          bytes_max of them stay in memory */
} chorus_csv_options;

CHORUS_EXPORT chorus_status chorus_dataset_load_csv(const chorus_csv_options* options,
                                                    chorus_dataset** dataset);
/* What a data set was normalised with, to treat other data the same way; null: nothing. */
CHORUS_EXPORT const chorus_scale* chorus_dataset_scales(const chorus_dataset* dataset,
                                                        size_t* count);
/* The categories with all their values; null: none. */
CHORUS_EXPORT const chorus_category* chorus_dataset_categories(const chorus_dataset* dataset,
                                                               size_t* count);

/* The two files of a dataset of the MNIST family, each plain or gzip. Bytes become value / 255. */
typedef struct chorus_idx_options {
  size_t size;
  const char* images;
  const char* labels;
  uint32_t classes;   /* 0: the largest label + 1 */
  uint64_t bytes_max; /* of examples in memory; 0: 4 GiB */
  bool stream;        /* images stay in their file, a plain one, and are read when needed */
} chorus_idx_options;

CHORUS_EXPORT chorus_status chorus_dataset_load_idx(const chorus_idx_options* options,
                                                    chorus_dataset** dataset);

/* Arrays of NumPy: files of their own (.npy, plain or gzip), or members of one .npz. */
typedef struct chorus_npy_options {
  size_t size;
  const char* archive;  /* .npz; then the three below are names in it. Null: they are paths */
  const char* features; /* null: "x" */
  const char* labels;   /* null: "y" */
  const char* keys;     /* whole numbers; null: none */
  double divide_by;     /* 0: 1 */
  const uint64_t* feature_shape;
  size_t feature_rank; /* 0: the array's, without the first dimension */
  uint32_t classes;    /* 0: the largest label + 1 */
  uint64_t bytes_max;  /* of examples in memory; 0: 4 GiB */
  bool stream;         /* features stay in their file: in C order, not compressed */
} chorus_npy_options;

CHORUS_EXPORT chorus_status chorus_dataset_load_npy(const chorus_npy_options* options,
                                                    chorus_dataset** dataset);

/* Log-mel features {1, mels, frames} of WAV files, one sub-folder per class, in byte order. 0 is
 * the default, which is in brackets. */
typedef struct chorus_wav_options {
  size_t size;
  const char* folder;
  uint64_t samples;     /* clips are cut or filled to so many; 0: all must be alike */
  uint32_t sample_rate; /* [16000] Hz, of every file */
  uint32_t window;      /* [400] samples */
  uint32_t hop;         /* [160] samples */
  uint32_t fft;         /* [512] points, a power of two */
  uint32_t mels;        /* [40] bands */
  double hz_min;        /* [20] */
  double hz_max;        /* [sample_rate / 2] */
  double epsilon;       /* [1e-6] added before the logarithm */
  uint64_t bytes_max;   /* of features in memory; 0: 4 GiB */
  bool stream;          /* files are read when needed; bytes_max of features stay in memory */
} chorus_wav_options;

CHORUS_EXPORT chorus_status chorus_dataset_load_wav(const chorus_wav_options* options,
                                                    chorus_dataset** dataset);

/* Pictures in JPEG and PNG, one sub-folder per class, in byte order: features in [0, 1]. */
typedef struct chorus_image_options {
  size_t size;
  const char* folder;
  const uint64_t* shape; /* {1, height, width}: grey; {3, height, width}: red, green, blue */
  size_t rank;           /* 3 */
  bool stretch;        /* the whole picture, whatever its proportions; else the largest part in the
                          middle that has the wanted ones */
  uint64_t pixels_max; /* of one file; 0: 2^25 */
  uint64_t bytes_max;  /* of features in memory; 0: 4 GiB */
  bool stream;         /* files are decoded when needed; bytes_max of features stay in memory */
} chorus_image_options;

CHORUS_EXPORT chorus_status chorus_dataset_load_images(const chorus_image_options* options,
                                                       chorus_dataset** dataset);

/* Next-character prediction: features are the ids of `window` characters, the label is the id of
 * the one that follows. */
typedef struct chorus_text_options {
  size_t size;
  const char* path;        /* plain or gzip */
  bool by_role;            /* a play: speeches by role, which are the keys */
  uint32_t window;         /* 0: 80 */
  uint32_t stride;         /* characters from one example to the next; 0: 1 */
  bool sequence;           /* targets f32[window]: the id after each character */
  const char* vocabulary;  /* the id of a byte is its place; null: line feed and printable ASCII */
  const char* replacement; /* one character, stands for those not in it; null: they are errors */
  uint64_t bytes_max;      /* of text in memory; 0: 4 GiB */
} chorus_text_options;

CHORUS_EXPORT chorus_status chorus_dataset_load_text(const chorus_text_options* options,
                                                     chorus_dataset** dataset);

#ifdef __cplusplus
}
#endif
#endif
