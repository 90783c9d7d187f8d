#include "client/agent/cli.hpp"

#include <CLI/CLI.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/kernels/kernels.hpp"
#include "client/agent/commands.hpp"

namespace chorus::agent {
namespace {

constexpr const char* kRunExample =
    "Example: a device with its share of the digits, as one of ten\n"
    "  chorus-agent run --state device-0 --data digits.csv.gz --scale 16 --shape 1x8x8 \\\n"
    "    --partition dirichlet:0.5 --parts 10 --part 0 --seed 7 --test-fraction 0.2";
constexpr const char* kEnrollExample =
    "Example: with the token that 'chorus enroll' printed\n"
    "  chorus-agent enroll --state device-0 --token chorus-join-1.…";
constexpr const char* kTrainExample =
    "Example: does this model learn from these data, before a job is submitted?\n"
    "  chorus-agent train --model job.toml --data digits.csv.gz --scale 16 --shape 1x8x8 \\\n"
    "    --test-fraction 0.2 --rounds 20 --out digits.safetensors";
constexpr const char* kEvaluateExample =
    "Example: on the examples that no device trained on\n"
    "  chorus-agent evaluate --model digits.safetensors --data digits.csv.gz --scale 16 \\\n"
    "    --shape 1x8x8 --seed 7 --test-fraction 0.2";
constexpr const char* kExitCodes =
    "Exit codes: 0 done, also after SIGINT or SIGTERM; 1 data, files, or the server refused;\n"
    "2 command line or configuration; 3 server unreachable (enroll); 4 not authorised";

/// All that the command line can hold.
struct CommandLine {
  AgentConfig config;
  std::string config_file;
  std::string shape;
  EnrollCommand enroll;
  TrainCommand train;
  EvaluateCommand evaluate;
  MemoryCommand memory;
};

// The file comes before the flags, which overrule it: so it is looked for before they are parsed.
std::optional<std::string> config_file_in(int argc, const char* const* argv) {
  constexpr std::string_view kFlag = "--config";
  for (int i = 1; i < argc; ++i) {
    const std::string_view word(argv[i]);
    if (word == kFlag && i + 1 < argc) return std::string(argv[i + 1]);
    if (word.substr(0, kFlag.size() + 1) == "--config=") {
      return std::string(word.substr(kFlag.size() + 1));
    }
  }
  return std::nullopt;
}

void add_data_options(CLI::App& app, CommandLine& line) {
  DataConfig& data = line.config.data;
  const std::string group = "Data";
  app.add_option("--data", data.file, "Examples as CSV, plain or .gz")->group(group);
  app.add_option("--label-column",
                 data.label_column,
                 "Name, or number: 0 first, -1 last; otherwise the last, or none with targets")
      ->group(group);
  app.add_option("--target-columns",
                 data.target_columns,
                 "Columns that the loss aims at: one for regression, time and event for survival")
      ->group(group)
      ->delimiter(',');
  app.add_flag("--header", data.header, "The first line holds column names")->group(group);
  app.add_option("--categorical",
                 data.categorical,
                 "Columns of words, each NAME or NAME=VALUE|VALUE|…, as one feature per value")
      ->group(group)
      ->delimiter(',');
  app.add_option("--missing", data.missing, "Number for missing ones; otherwise they are errors")
      ->group(group);
  app.add_option("--normalise",
                 data.normalise,
                 "none, standard or min-max, fitted to the training examples of this device")
      ->group(group)
      ->capture_default_str();
  app.add_option("--mean",
                 data.mean,
                 "Instead: what is taken from each channel, or column of numbers of --data")
      ->group(group)
      ->delimiter(',');
  app.add_option("--deviation", data.deviation, "With --mean: what it is divided by")
      ->group(group)
      ->delimiter(',');
  app.add_option("--scale", data.scale, "Divide every feature by this")
      ->group(group)
      ->capture_default_str();
  app.add_option("--shape", line.shape, "Shape of one example, such as 1x8x8")->group(group);
  app.add_option("--images", data.images, "Examples as idx (MNIST family), plain or .gz")
      ->group(group);
  app.add_option("--npy", data.npy, "Features as an array file of NumPy, plain or .gz")
      ->group(group);
  app.add_option("--labels", data.labels, "Labels of --images (idx) or --npy (an array file)")
      ->group(group);
  app.add_option("--npz", data.npz, "Features and labels as an archive of NumPy arrays")
      ->group(group);
  app.add_option("--features-array", data.features_array, "Their name in --npz")
      ->group(group)
      ->capture_default_str();
  app.add_option("--labels-array", data.labels_array, "The labels' name in --npz")
      ->group(group)
      ->capture_default_str();
  app.add_option("--wav", data.wav, "Sounds: a folder with one sub-folder of .wav files per class")
      ->group(group);
  app.add_option("--sample-rate", data.log_mel.sample_rate, "Of every file of --wav, in Hz")
      ->group(group)
      ->capture_default_str();
  app.add_option("--mels", data.log_mel.mels, "Bands of its log-mel features")
      ->group(group)
      ->capture_default_str();
  app.add_option("--clip-samples",
                 data.clip_samples,
                 "Cut or fill the files to this length; 0: all have the same")
      ->group(group)
      ->capture_default_str();
  app.add_option("--pictures",
                 data.pictures,
                 "A folder with one sub-folder of JPEG and PNG files per class; needs --shape")
      ->group(group);
  app.add_option("--picture-fit", data.picture_fit, "crop to the shape's proportions, or stretch")
      ->group(group)
      ->capture_default_str();
  app.add_flag("--stream",
               data.stream,
               "Read examples when needed, not all into memory at once; not for --text")
      ->group(group);
  app.add_option(
         "--memory", data.memory_mib, "MiB of examples in memory; with --stream: of a cache")
      ->group(group)
      ->capture_default_str();
  app.add_option("--text", data.text, "A text, plain or .gz, to predict the next character of")
      ->group(group);
  app.add_option("--text-window", data.text_window, "Characters the model sees")
      ->group(group)
      ->capture_default_str();
  app.add_option("--text-stride", data.text_stride, "Characters from one example to the next")
      ->group(group)
      ->capture_default_str();
  app.add_flag("--text-sequence",
               data.text_sequence,
               "Predict the next character at every step, for models that give scores at each")
      ->group(group);
  app.add_option("--replacement",
                 data.replacement,
                 "Character for those not in the vocabulary; otherwise they are errors")
      ->group(group);
  app.add_option("--classes", data.classes, "Number of classes; 0: the largest label + 1")
      ->group(group);
  app.add_option("--test-fraction",
                 data.test_fraction,
                 "Share of all examples that no device uses; the same for the same --seed")
      ->group(group)
      ->capture_default_str();
  app.add_option("--test-keys",
                 data.test_keys,
                 "Instead: all examples with these keys of --partition column:NAME")
      ->group(group)
      ->delimiter(',');
  app.add_option(
         "--partition", data.partition, "none, iid, dirichlet:ALPHA, shards:S or column:NAME")
      ->group(group)
      ->capture_default_str();
  app.add_option(
         "--seed", data.seed, "Of everything that divides examples; the same on all devices")
      ->group(group)
      ->capture_default_str();
}

void add_augmentation(CLI::App& app, client::Augmentation& augmentation) {
  const std::string group = "Augmentation of what is trained on";
  app.add_option("--augment-crop",
                 augmentation.crop_padding,
                 "Pad pictures by so many zeros, and cut out a random part of their size")
      ->group(group);
  app.add_flag("--augment-flip", augmentation.flip, "Turn every second picture left to right")
      ->group(group);
  app.add_option("--augment-noise", augmentation.noise, "Deviation of normal noise on all features")
      ->group(group);
}

void add_run(CLI::App& app, CommandLine& line) {
  AgentConfig& config = line.config;
  CLI::App* run = app.add_subcommand("run", "Take part in training, until stopped");
  run->footer(kRunExample);
  run->add_option("--config", line.config_file, "TOML file; flags overrule it");
  run->add_option("--state", config.state, "State folder of this device");
  run->add_option("--server", config.server, "host:port; otherwise the one enrolled at");
  run->add_option("--jobs,--job", config.jobs, "Jobs to take part in; otherwise any")
      ->delimiter(',');
  run->add_option("--tasks-max", config.tasks_max, "Leave after so many accepted updates; 0: never")
      ->capture_default_str();
  run->add_option("--threads", config.threads, "Threads of the trainer")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  run->add_option("--log-level", config.log.level, "trace, debug, info, warn, error or off")
      ->capture_default_str();
  run->add_option("--log-file", config.log.file, "Otherwise standard error");
  run->add_flag("--log-json", config.log.json, "One JSON object per line");
  add_data_options(*run, line);
  add_augmentation(*run, config.data.augmentation);
  const std::string group = "This device's share";
  run->add_option("--parts", config.data.parts, "Devices that share the examples")
      ->group(group)
      ->capture_default_str();
  run->add_option("--part", config.data.part, "Which of them this is, from 0")
      ->group(group)
      ->capture_default_str();
  run->add_option("--hold-out",
                  config.data.hold_out,
                  "Share of its examples that this device only evaluates on")
      ->group(group)
      ->capture_default_str();
}

void add_others(CLI::App& app, CommandLine& line) {
  CLI::App* enroll = app.add_subcommand("enroll", "Turn a join token into this device's identity");
  enroll->footer(kEnrollExample);
  enroll->add_option("--token", line.enroll.token, "What 'chorus enroll' printed")->required();
  enroll->add_option("--state", line.enroll.state, "State folder, made when missing")->required();
  enroll->add_option("--name", line.enroll.name, "Wanted name; otherwise the token's");

  TrainCommand& rehearsal = line.train;
  CLI::App* train = app.add_subcommand("train", "Train here alone, without a server");
  train->footer(kTrainExample);
  train->add_option("--model", rehearsal.model, "Model or job file (.toml), or .safetensors")
      ->required();
  train->add_option("--rounds", rehearsal.rounds, "How often the plan of [train] is executed")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  train
      ->add_option("--hold-out",
                   line.config.data.hold_out,
                   "Share of the examples that is only measured on, without a test set")
      ->capture_default_str();
  train->add_option("--out", rehearsal.out, "Where to save the trained model (.safetensors)");
  train->add_option("--threads", rehearsal.threads, "Threads of the trainer")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  train->add_flag("--json", rehearsal.json, "Print one JSON object a round");
  add_data_options(*train, line);
  add_augmentation(*train, line.config.data.augmentation);

  CLI::App* evaluate = app.add_subcommand("evaluate", "Measure a model on local examples");
  evaluate->footer(kEvaluateExample);
  evaluate->add_option("--model", line.evaluate.model, "Exported model (.safetensors)")->required();
  evaluate->add_flag("--json", line.evaluate.json, "Print one JSON object");
  add_data_options(*evaluate, line);

  CLI::App* memory = app.add_subcommand("memory", "Print what training a model takes, as JSON");
  memory->footer("Example: chorus-agent memory --model examples/models/lenet5.toml --batch 10");
  memory->add_option("--model", line.memory.model, "Model or job file (.toml), or .safetensors")
      ->required();
  memory->add_option("--batch", line.memory.batch, "Examples of a batch")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();

  app.add_subcommand("version", "Print version and kernels");
}

int report(const Failure& failure, std::ostream& err) {
  err << "chorus-agent: " << failure.to_string() << "\n";
  return static_cast<int>(exit_code_of(failure.code));
}

int usage(const Failure& failure, std::ostream& err) {
  err << "chorus-agent: " << failure.to_string() << "\n";
  return static_cast<int>(ExitCode::usage);
}

int perform(const CLI::App& app, CommandLine& line, std::ostream& out, std::ostream& err) {
  if (!line.shape.empty()) {
    auto shape = parse_shape(line.shape);
    if (!shape) return usage(std::move(shape).error().during("--shape"), err);
    line.config.data.shape = *shape;
  }
  Result<void> done;
  if (app.got_subcommand("version")) {
    out << "chorus-agent " CHORUS_VERSION " (kernels: " << kernels::active_variant() << ")\n";
  } else if (app.got_subcommand("enroll")) {
    done = enroll(line.enroll, out);
  } else if (app.got_subcommand("train")) {
    line.train.data = line.config.data;
    if (auto checked = check_data(line.config.data); !checked) return usage(checked.error(), err);
    done = train(line.train, out);
  } else if (app.got_subcommand("memory")) {
    done = memory(line.memory, out);
  } else if (app.got_subcommand("evaluate")) {
    line.evaluate.data = line.config.data;
    if (auto checked = check_data(line.config.data); !checked) return usage(checked.error(), err);
    done = evaluate(line.evaluate, out);
  } else {
    if (line.config.state.empty()) {
      return usage(fail(errc::invalid_argument,
                        "--state (in the file: state): missing; expected the folder that "
                        "'chorus-agent enroll' filled"),
                   err);
    }
    if (auto checked = check_data(line.config.data); !checked) return usage(checked.error(), err);
    if (auto logging = start_logging(line.config.log, "chorus-agent"); !logging) {
      return usage(logging.error(), err);
    }
    done = run_device(line.config);
  }
  return done ? static_cast<int>(ExitCode::ok) : report(done.error(), err);
}

}  // namespace

ExitCode exit_code_of(errc code) noexcept {
  switch (code) {
    case errc::connection_failed:
    case errc::timed_out:
    case errc::tls_failed:
      return ExitCode::unreachable;
    case errc::unauthenticated:
    case errc::certificate_expired:
    case errc::revoked:
    case errc::token_invalid:
      return ExitCode::not_authorised;
    default:
      return ExitCode::failed;
  }
}

int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  CommandLine line;
  CLI::App app("chorus-agent: a device of a Chorus federation");
  app.require_subcommand(1);
  app.set_version_flag("--version", "chorus-agent " CHORUS_VERSION);
  app.footer(kExitCodes);
  add_run(app, line);
  add_others(app, line);
  if (const auto file = config_file_in(argc, argv)) {
    if (auto loaded = load_config(*file, line.config); !loaded) return usage(loaded.error(), err);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;  // --help
    app.exit(error, out, err);
    return static_cast<int>(asked ? ExitCode::ok : ExitCode::usage);
  }
  return perform(app, line, out, err);
}

}  // namespace chorus::agent
