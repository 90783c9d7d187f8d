/* The data of the example: a table of numbers in memory. A device has its own instead. */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
  size_t count, features;
  unsigned label_max;
  float* x; /* [count][features] */
  unsigned* label;
} table;

/* Lines of numbers, separated by commas, the label last; features are divided by scale. */
bool table_read(const char* path, double scale, table* out);
void table_free(table* t);

#endif
