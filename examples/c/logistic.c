/* A device with a trainer of its own, in C: multinomial logistic regression by mini-batch SGD. It
 * links libchorus-core only; the built-in trainer would do the same with the model's one layer.
 *
 *   chorus-c-logistic STATE_FOLDER DATA.csv SCALE [JOIN_TOKEN]
 */
#include <chorus/chorus.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

/* The model's one layer: scores = W·x + b. W lies as PyTorch has it, [classes][features]. */
typedef struct {
  size_t classes, features;
  uint64_t weight, bias; /* first elements in the flat vector */
} layer;

static chorus_status find_layer(const chorus_task* task, const table* data, layer* out) {
  if (chorus_task_tensor_count(task) != 2) {
    return chorus_fail(CHORUS_UNSUPPORTED_FEATURE, "this trainer knows models of one dense layer");
  }
  const chorus_tensor* weight = chorus_task_tensor(task, 0);
  const chorus_tensor* bias = chorus_task_tensor(task, 1);
  if (weight->rank != 2 || weight->shape[1] != data->features || bias->count != weight->shape[0] ||
      bias->count <= data->label_max) {
    return chorus_fail(CHORUS_UNSUPPORTED_FEATURE, "the model does not fit this device's data");
  }
  *out = (layer){weight->shape[0], weight->shape[1], weight->offset, bias->offset};
  return CHORUS_OK;
}

/* p = softmax(W·x + b). Returns −ln p[label]. */
static double forward(const layer* l, const float* w, const float* x, unsigned label, double* p) {
  double top = -INFINITY, sum = 0.0;
  for (size_t c = 0; c < l->classes; ++c) {
    p[c] = w[l->bias + c];
    for (size_t i = 0; i < l->features; ++i) p[c] += w[l->weight + c * l->features + i] * x[i];
    top = fmax(top, p[c]);
  }
  for (size_t c = 0; c < l->classes; ++c) sum += p[c] = exp(p[c] - top);
  for (size_t c = 0; c < l->classes; ++c) p[c] /= sum;
  return -log(fmax(p[label], 1e-30));
}

/* g += (p − onehot(label))·xᵀ */
static void backward(const layer* l, const float* x, unsigned label, const double* p, double* g) {
  for (size_t c = 0; c < l->classes; ++c) {
    const double error = p[c] - (c == label ? 1.0 : 0.0);
    g[l->bias + c] += error;
    for (size_t i = 0; i < l->features; ++i) g[l->weight + c * l->features + i] += error * x[i];
  }
}

/* Fisher and Yates; the same seed gives the same order. */
static void shuffle(size_t* order, size_t count, uint64_t* random) {
  for (size_t i = count; i > 1; --i) {
    *random = *random * 6364136223846793005U + 1442695040888963407U;
    const size_t j = (size_t)(*random >> 33) % i;
    const size_t other = order[j];
    order[j] = order[i - 1];
    order[i - 1] = other;
  }
}

/* One pass over the data. Returns the sum of the losses, as the examples were met. */
static double epoch(const chorus_task* task,
                    const layer* l,
                    const table* data,
                    float* w,
                    const size_t* order,
                    double* p,
                    double* g,
                    uint64_t* step) {
  const size_t batch_size = chorus_task_batch_size(task);
  const uint64_t parameters = (l->features + 1) * l->classes;
  double loss = 0.0;
  for (size_t at = 0; at < data->count && !chorus_task_cancelled(task); at += batch_size) {
    const size_t batch = data->count - at < batch_size ? data->count - at : batch_size;
    memset(g, 0, parameters * sizeof *g);
    for (const size_t* i = order + at; i < order + at + batch; ++i) {
      const float* x = data->x + *i * data->features;
      loss += forward(l, w, x, data->label[*i], p);
      backward(l, x, data->label[*i], p, g);
    }
    const double rate = chorus_task_learning_rate(task, (*step)++) / (double)batch;
    for (uint64_t k = 0; k < parameters; ++k) w[k] -= (float)(rate * g[k]);
  }
  return loss;
}

static chorus_status train(
    const chorus_task* task, float* w, uint64_t count, chorus_report* report, void* context) {
  static const char* const known[] = {"schedule"}; /* chorus_task_learning_rate() has it in it */
  chorus_status status = chorus_task_check_plan(task, known, 1);
  if (status != CHORUS_OK) return status;
  const chorus_plan* plan = chorus_task_plan(task);
  if (plan->budget_unit != CHORUS_BUDGET_EPOCHS || plan->momentum > 0 || plan->weight_decay > 0) {
    return chorus_fail(CHORUS_UNSUPPORTED_FEATURE, "this trainer knows epochs of plain SGD only");
  }
  const table* data = context;
  layer l;
  status = find_layer(task, data, &l);
  if (status != CHORUS_OK) return status;

  size_t* order = malloc(data->count * sizeof *order);
  double* p = malloc((count + l.classes) * sizeof *p); /* probabilities, then the gradient */
  if (order == NULL || p == NULL) {
    free(order);
    free(p);
    return chorus_fail(CHORUS_BUSY, "no memory");
  }
  for (size_t i = 0; i < data->count; ++i) order[i] = i;
  uint64_t step = 0, random = plan->seed;
  double loss = 0.0;
  for (double done = 0; done < plan->budget && !chorus_task_cancelled(task); ++done) {
    if (plan->order == CHORUS_ORDER_SHUFFLED) shuffle(order, data->count, &random);
    loss = epoch(task, &l, data, w, order, p, p + l.classes, &step) / (double)data->count;
  }
  free(order);
  free(p);
  if (chorus_task_cancelled(task)) return chorus_fail(CHORUS_CANCELLED, "cancelled");
  chorus_report_examples(report, data->count);
  chorus_report_steps(report, step);
  chorus_report_epochs(report, plan->budget);
  return chorus_report_metric(report, "loss", loss);
}

static chorus_status evaluate(
    const chorus_task* task, const float* w, uint64_t count, chorus_report* report, void* context) {
  (void)count;
  const table* data = context;
  layer l;
  chorus_status status = find_layer(task, data, &l);
  if (status != CHORUS_OK) return status;
  double* p = malloc(l.classes * sizeof *p);
  if (p == NULL) return chorus_fail(CHORUS_BUSY, "no memory");
  double loss = 0.0, right = 0.0;
  for (size_t i = 0; i < data->count; ++i) {
    loss += forward(&l, w, data->x + i * data->features, data->label[i], p);
    size_t best = 0;
    for (size_t c = 1; c < l.classes; ++c) best = p[c] > p[best] ? c : best;
    right += best == data->label[i];
  }
  free(p);
  chorus_report_examples(report, data->count);
  chorus_report_metric(report, "loss", loss / (double)data->count);
  return chorus_report_metric(report, "accuracy", right / (double)data->count);
}

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, chorus_last_error());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    puts("usage: chorus-c-logistic STATE_FOLDER DATA.csv SCALE [JOIN_TOKEN]");
    return 2;
  }
  if (argc == 5) { /* once: the join token becomes this device's identity */
    const chorus_enroll_options enroll = {
        .size = sizeof enroll, .token = argv[4], .state = argv[1]};
    if (chorus_enroll(&enroll, NULL, 0) != CHORUS_OK) return failed("enrolling");
  }
  table data;
  if (!table_read(argv[2], strtod(argv[3], NULL), &data)) {
    fprintf(stderr, "%s: expected lines of numbers, the label last\n", argv[2]);
    return 1;
  }
  const chorus_trainer_callbacks callbacks = {
      .size = sizeof callbacks, .train = train, .evaluate = evaluate, .context = &data};
  const chorus_client_options options = {.size = sizeof options, .state = argv[1]};
  chorus_trainer* trainer = NULL;
  chorus_client* client = NULL;
  chorus_run_summary summary = {.size = sizeof summary};
  int code = 0;
  if (chorus_trainer_create(&callbacks, &trainer) != CHORUS_OK ||
      chorus_client_create(&options, &client) != CHORUS_OK ||
      chorus_client_run(client, trainer, &summary) != CHORUS_OK) {
    code = failed("taking part");
  }
  chorus_client_destroy(&client);
  chorus_trainer_destroy(&trainer);
  table_free(&data);
  return code;
}
