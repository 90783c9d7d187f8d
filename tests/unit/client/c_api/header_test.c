/* chorus/chorus.h as a C program sees it: everything compiles as C11, links, and does what the
 * conventions say. c_header_problem() is run by c_api_test.cpp. */
#include <stdlib.h>
#include <string.h>

#include "chorus/chorus.h"
#include "tests/unit/client/c_api/c_programs.h"

_Static_assert(sizeof(chorus_status) == sizeof(int), "statuses are as wide as int");
_Static_assert(offsetof(chorus_enroll_options, size) == 0, "size comes first");
_Static_assert(offsetof(chorus_client_options, size) == 0, "size comes first");
_Static_assert(offsetof(chorus_run_summary, size) == 0, "size comes first");
_Static_assert(offsetof(chorus_trainer_callbacks, size) == 0, "size comes first");

static chorus_status train(const chorus_task* task,
                           float* parameters,
                           uint64_t count,
                           chorus_report* report,
                           void* context) {
  (void)context;
  for (uint64_t i = 0; i < count; ++i) parameters[i] += 1.0F;
  return chorus_report_examples(report, chorus_task_round(task));
}

static chorus_status evaluate(const chorus_task* task,
                              const float* parameters,
                              uint64_t count,
                              chorus_report* report,
                              void* context) {
  (void)task, (void)parameters, (void)count, (void)report, (void)context;
  return chorus_fail(CHORUS_UNSUPPORTED_FEATURE, "no evaluation here");
}

static void count_down(void* context) {
  --*(int*)context;
}

const char* c_header_problem(void) {
  if (strcmp(chorus_version(), "0.1.0") != 0) return "version";
  if (strcmp(chorus_status_name(CHORUS_NOT_FOUND), "not_found") != 0) return "name of a status";
  if (!chorus_may_retry(CHORUS_BUSY) || chorus_may_retry(CHORUS_OK)) return "retry";

  int open = 1;
  const chorus_trainer_callbacks callbacks = {.size = sizeof callbacks,
                                              .train = train,
                                              .evaluate = evaluate,
                                              .destroy = count_down,
                                              .context = &open};
  chorus_trainer* trainer = NULL;
  if (chorus_trainer_create(&callbacks, &trainer) != CHORUS_OK || trainer == NULL) return "create";
  chorus_trainer_destroy(&trainer);
  if (trainer != NULL || open != 0) return "destroy";
  chorus_trainer_destroy(&trainer);

  const chorus_client_options options = {.size = sizeof options, .state = "/nowhere/at/all"};
  chorus_client* client = NULL;
  if (chorus_client_create(&options, &client) == CHORUS_OK || client != NULL) return "no state";
  if (chorus_last_error()[0] == '\0') return "no sentence";
  return NULL;
}
