/* A device with the built-in trainer, in C.
 *
 *   chorus-c-builtin STATE_FOLDER DATA.csv SCALE [JOIN_TOKEN]
 */
#include <chorus/chorus.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, chorus_last_error());
  return 1;
}

static void show(const chorus_progress* now, void* context) {
  (void)context;
  fprintf(stderr, "%s %s\n", chorus_state_name(now->state), now->detail);
}

static int take_part(const char* state, chorus_dataset* examples) {
  chorus_dataset *train = NULL, *holdout = NULL;
  chorus_trainer* trainer = NULL;
  chorus_client* client = NULL;
  int code = 0;
  if (chorus_dataset_split(examples, 0.2, 1, &train, &holdout) != CHORUS_OK) {
    return failed("putting examples aside");
  }
  const chorus_builtin_options builtin = {
      .size = sizeof builtin, .train = train, .holdout = holdout, .threads = 1};
  const chorus_client_options options = {
      .size = sizeof options, .state = state, .on_progress = show};
  chorus_run_summary summary = {.size = sizeof summary};
  if (chorus_builtin_trainer_create(&builtin, &trainer) != CHORUS_OK ||
      chorus_client_create(&options, &client) != CHORUS_OK ||
      /* until the server has no more for this device, or shuts it out */
      chorus_client_run(client, trainer, &summary) != CHORUS_OK) {
    code = failed("taking part");
  }
  chorus_client_destroy(&client); /* in any order, also null ones */
  chorus_trainer_destroy(&trainer);
  chorus_dataset_destroy(&train);
  chorus_dataset_destroy(&holdout);
  return code;
}

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    puts("usage: chorus-c-builtin STATE_FOLDER DATA.csv SCALE [JOIN_TOKEN]");
    return 2;
  }
  if (argc == 5) { /* once: the join token becomes this device's identity */
    const chorus_enroll_options enroll = {
        .size = sizeof enroll, .token = argv[4], .state = argv[1]};
    if (chorus_enroll(&enroll, NULL, 0) != CHORUS_OK) return failed("enrolling");
  }
  const chorus_csv_options csv = {
      .size = sizeof csv, .path = argv[2], .divide_by = strtod(argv[3], NULL)};
  chorus_dataset* examples = NULL;
  if (chorus_dataset_load_csv(&csv, &examples) != CHORUS_OK) return failed("reading the data");
  const int code = take_part(argv[1], examples);
  chorus_dataset_destroy(&examples);
  return code;
}
