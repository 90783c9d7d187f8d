#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS_MAX = 4096, LINE_BYTES_MAX = 65536 };

/* @returns how many numbers there are on the line; 0: something else is, too */
static size_t parse(char* line, float* numbers) {
  size_t count = 0;
  for (char* at = line;; ++at) {
    char* end = NULL;
    const float number = strtof(at, &end);
    if (end == at || count == NUMBERS_MAX) return 0;
    numbers[count++] = number;
    at = end;
    if (*at == '\0' || *at == '\n' || *at == '\r') return count;
    if (*at != ',') return 0;
  }
}

static bool grow(table* t, size_t* room) {
  if (t->count < *room) return true;
  *room = *room == 0 ? 256 : 2 * *room;
  float* x = realloc(t->x, *room * t->features * sizeof *x);
  if (x != NULL) t->x = x;
  unsigned* label = realloc(t->label, *room * sizeof *label);
  if (label != NULL) t->label = label;
  return x != NULL && label != NULL;
}

static bool add(table* t, size_t* room, const float* numbers, size_t count, double scale) {
  if (t->count == 0) t->features = count - 1;
  const float label = numbers[count - 1];
  if (count < 2 || count - 1 != t->features || label < 0 || label > 1e6F || !grow(t, room)) {
    return false;
  }
  for (size_t i = 0; i < t->features; ++i) {
    t->x[t->count * t->features + i] = (float)(numbers[i] / scale);
  }
  t->label[t->count] = (unsigned)label;
  if (t->label[t->count] > t->label_max) t->label_max = t->label[t->count];
  ++t->count;
  return true;
}

bool table_read(const char* path, double scale, table* out) {
  memset(out, 0, sizeof *out);
  FILE* file = fopen(path, "r");
  char* line = malloc(LINE_BYTES_MAX);
  float* numbers = malloc(NUMBERS_MAX * sizeof *numbers);
  bool good = file != NULL && line != NULL && numbers != NULL && scale != 0;
  size_t room = 0;
  while (good && fgets(line, LINE_BYTES_MAX, file) != NULL) {
    const size_t count = parse(line, numbers);
    good = count > 0 && add(out, &room, numbers, count, scale);
  }
  if (file != NULL) fclose(file);
  free(line);
  free(numbers);
  if (good && out->count > 0) return true;
  table_free(out);
  return false;
}

void table_free(table* t) {
  free(t->x);
  free(t->label);
  memset(t, 0, sizeof *t);
}
