// Flags and their words; what commands do is elsewhere.
#include "admin/cli.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "admin/commands.hpp"
#include "admin/text.hpp"
#include "common/base/try.hpp"
#include "common/config/suggest.hpp"
#include "common/config/units.hpp"

namespace chorus::admin {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFooter = R"(
First steps:
  chorus init clinics                 makes a federation in the folder clinics/
  chorus start clinics                runs its daemon in the foreground
  cd clinics && chorus enroll         prints a join token for one device
  chorus job submit job.toml          starts a job
  chorus watch                        shows it live

--json, --federation and --server may stand after any command. The federation is found by
--federation DIR, by CHORUS_FEDERATION, or from the current folder upwards.

Exit codes:
  0  done
  1  the server refused, a file could not be read or written, a model cannot be trained
  2  the command line makes no sense
  3  the server cannot be reached
  4  no certificate, an expired one, or one that may not do this
  5  watch: the job was stopped, or stands degraded)";

/// Everything the flags write to, and what is to be done in the end.
struct Line {
  explicit Line(const World& all) : world(all) {}

  const World& world;
  bool json = false;
  Place place;
  std::function<Result<ExitCode>(Console&)> action;

  // Targets of flags; each command uses a few.
  InitOptions init;
  StartOptions start;
  EnrollOptions enroll;
  ExportOptions exporting;
  WatchOptions watching;
  fs::path file;
  std::string job;
  std::string device;
  std::string why;
  std::string version;
  std::string format;
  InspectOptions inspecting;
  std::uint64_t round = 0;
  std::uint32_t last = 20;
  bool as_toml = false;
  bool down = false;

  Result<std::unique_ptr<AdminLink>> connect() const {
    CHORUS_TRY(const auto federation, find_federation(place, fs::current_path()));
    return world.connect(federation);
  }

  /// The action of a command that talks to the daemon.
  /// @param body  of (Console&, AdminLink&), or of (Console&, AdminLink&, const Federation&)
  template <class Body>
  void when_chosen(CLI::App* command, Body body) {
    command->callback([this, body = std::move(body)] {
      action = [this, body](Console& console) -> Result<ExitCode> {
        CHORUS_TRY(const auto federation, find_federation(place, fs::current_path()));
        CHORUS_TRY(const auto link, world.connect(federation));
        if constexpr (std::is_invocable_v<Body, Console&, AdminLink&>) {
          CHORUS_OK(body(console, *link));
        } else {
          CHORUS_OK(body(console, *link, federation));
        }
        return ExitCode::ok;
      };
    });
  }
};

std::string duration_check(const std::string& text) {
  if (config::parse_duration(text)) return "";
  return "'" + text + "' is no duration such as 30s, 90m or 24h";
}

CLI::App* command(CLI::App& parent,
                  const char* name,
                  const char* what,
                  const std::string& example) {
  auto* made = parent.add_subcommand(name, what);
  made->footer(fmt::format("\nExample: {}", example));
  return made;
}

CLI::App* group(CLI::App& app, const char* name, const char* what) {
  auto* made = app.add_subcommand(name, what);
  made->require_subcommand(1);
  return made;
}

void add_job_argument(CLI::App* command, std::string& into) {
  command->add_option("job,--job", into, "the job's name")->required();
}

void add_init(CLI::App& app, Line& line) {
  auto* init = command(app,
                       "init",
                       "Make a federation: certificates, settings, an example job",
                       "chorus init clinics --name clinics --host fed.example.org");
  auto& options = line.init;
  init->add_option("folder", options.folder, "folder to make")->required();
  init->add_option("--name", options.name, "the federation's name (default: the folder's)");
  init->add_option("--host", options.host, "name or address that devices connect to")
      ->capture_default_str();
  init->add_option("--port", options.port, "port to listen on; 0: any free one")
      ->capture_default_str();
  init->add_option("--listen",
                   options.listen,
                   "address to listen on (default: 127.0.0.1 for a local host, else 0.0.0.0)");
  init->add_option("--also", options.more_names, "further names or addresses of the server");
  init->add_option("--admin", options.admin, "the first administrator's name")
      ->capture_default_str();
  init->callback([&line] {
    line.action = [&line](Console& console) -> Result<ExitCode> {
      auto& chosen = line.init;
      if (chosen.name.empty()) {
        const auto folder = fs::absolute(chosen.folder).lexically_normal();
        chosen.name = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
      }
      CHORUS_OK(admin::init(console, chosen));
      return ExitCode::ok;
    };
  });
}

void add_start(CLI::App& app, Line& line) {
  auto* start = command(app,
                        "start",
                        "Run the daemon (chorusd) in the foreground",
                        "chorus start clinics    or, with its own flags: chorus start clinics -- "
                        "--threads 4");
  start->add_option(
      "folder", line.start.folder, "the federation's folder (default: found as usual)");
  start->add_option("arguments", line.start.more, "after --: handed to chorusd");
  start->callback([&line] {
    line.action = [&line](Console&) -> Result<ExitCode> {
      if (line.start.folder.empty()) {
        CHORUS_TRY(line.start.folder, find_folder(line.place, fs::current_path()));
      }
      return admin::start(line.start);
    };
  });
}

void add_enroll(CLI::App& app, Line& line) {
  auto* enroll = command(
      app, "enroll", "Make a join token for a device", "chorus enroll --name camera-7 --valid 24h");
  auto& options = line.enroll;
  enroll->add_option("--name", options.device, "only for a device of this name");
  enroll->add_option("--uses", options.uses, "how many devices may use it")
      ->check(CLI::Range(1U, 1'000'000U))
      ->capture_default_str();
  enroll
      ->add_option_function<std::string>(
          "--valid",
          [&options](const std::string& text) {
            options.valid = config::parse_duration(text).value_or(options.valid);
          },
          "how long it may be used [1h]")
      ->check(CLI::Validator(duration_check, "DURATION"));
  enroll->add_option("--address",
                     options.address,
                     "host:port for the device (default: the server's advertised address)");
  line.when_chosen(enroll,
                   [&line](Console& console, AdminLink& link, const Federation& federation) {
                     return admin::enroll(console, link, federation, line.enroll);
                   });
}

void add_job(CLI::App& app, Line& line) {
  auto* job = group(app, "job", "Jobs: models in training");
  auto* submit = command(*job,
                         "submit",
                         "Submit a job file, with the model and weights it names",
                         "chorus job submit job.toml    ([model] onnx = \"model.onnx\")");
  submit->add_option("file", line.file, "job.toml")->required();
  line.when_chosen(submit, [&line](Console& console, AdminLink& link) {
    return job_submit(console, link, line.file);
  });
  auto* list = command(*job, "list", "All jobs", "chorus job list");
  line.when_chosen(list, [](Console& console, AdminLink& link) { return job_list(console, link); });
  auto* show = command(*job, "show", "One job", "chorus job show digits");
  add_job_argument(show, line.job);
  show->add_flag("--toml", line.as_toml, "print the job file as it was submitted");
  line.when_chosen(show, [&line](Console& console, AdminLink& link) {
    return job_show(console, link, line.job, line.as_toml);
  });
  auto* plan = command(
      *job, "plan", "How its updates travel: the codec of each tensor", "chorus job plan digits");
  add_job_argument(plan, line.job);
  plan->add_flag("--down", line.down, "how its versions travel to the devices instead");
  line.when_chosen(plan, [&line](Console& console, AdminLink& link) {
    return job_plan(console, link, line.job, line.down);
  });
  const auto control = [&](JobAction action, const char* name, const char* what) {
    auto* chosen = command(*job, name, what, fmt::format("chorus job {} digits", name));
    add_job_argument(chosen, line.job);
    line.when_chosen(chosen, [&line, action](Console& console, AdminLink& link) {
      return job_control(console, link, line.job, action);
    });
  };
  control(JobAction::pause, "pause", "Open no further rounds");
  control(JobAction::resume, "resume", "Go on with a paused or degraded job");
  control(JobAction::stop, "stop", "End a job for good");
}

void add_round(CLI::App& app, Line& line) {
  auto* round = group(app, "round", "Rounds of a job");
  auto* list = command(*round, "list", "The last rounds", "chorus round list digits --last 50");
  add_job_argument(list, line.job);
  list->add_option("--last", line.last, "how many")
      ->check(CLI::Range(1U, 200U))
      ->capture_default_str();
  line.when_chosen(list, [&line](Console& console, AdminLink& link) {
    return round_list(console, link, line.job, line.last);
  });
  auto* show = command(*round, "show", "One round and its devices", "chorus round show digits 3");
  add_job_argument(show, line.job);
  show->add_option("round", line.round, "its number (default: the newest)");
  line.when_chosen(show, [&line](Console& console, AdminLink& link) {
    return round_show(console, link, line.job, line.round);
  });
  const auto control = [&](RoundAction action, const char* name, const char* what) {
    auto* chosen = command(*round, name, what, fmt::format("chorus round {} digits", name));
    add_job_argument(chosen, line.job);
    chosen->add_option("round", line.round, "only if this is the open one");
    line.when_chosen(chosen, [&line, action](Console& console, AdminLink& link) {
      return round_control(console, link, line.job, line.round, action);
    });
  };
  control(RoundAction::abort, "abort", "End the open round without a new version");
  control(RoundAction::finish, "finish", "Close the open round with what has arrived");
}

void add_device(CLI::App& app, Line& line) {
  auto* device = group(app, "device", "Enrolled devices");
  auto* list = command(*device, "list", "All devices", "chorus device list");
  line.when_chosen(list,
                   [](Console& console, AdminLink& link) { return device_list(console, link); });
  auto* show = command(*device, "show", "One device", "chorus device show camera-7");
  show->add_option("device", line.device, "its name")->required();
  line.when_chosen(show, [&line](Console& console, AdminLink& link) {
    return device_show(console, link, line.device);
  });
  auto* revoke = command(*device,
                         "revoke",
                         "Shut a device out for good",
                         "chorus device revoke camera-7 --why stolen");
  revoke->add_option("device", line.device, "its name")->required();
  revoke->add_option("--why", line.why, "for the audit log");
  line.when_chosen(revoke, [&line](Console& console, AdminLink& link) {
    return device_revoke(console, link, line.device, line.why);
  });
}

void add_model_files(CLI::App& model, Line& line) {
  auto* inspect = command(model,
                          "inspect",
                          "A model file's layers: shapes, parameters, FLOPs, bytes",
                          "chorus model inspect examples/models/lenet5.toml --batch 32");
  inspect->add_option("file", line.inspecting.file, ".toml, .onnx or .safetensors")->required();
  inspect->add_option("--batch", line.inspecting.batch, "also the memory that training takes")
      ->check(CLI::Range(1U, 65'536U));
  inspect->callback([&line] {
    line.action = [&line](Console& console) -> Result<ExitCode> {
      CHORUS_OK(model_inspect(console, line.inspecting));
      return ExitCode::ok;
    };
  });
  auto* check = command(model,
                        "check",
                        "Whether a model of another framework can be trained here",
                        "chorus model check --onnx model.onnx");
  check->add_option("file,--onnx", line.file, "the model; exit code 1: some nodes cannot")
      ->required();
  check->callback([&line] {
    line.action = [&line](Console& console) { return model_check(console, line.file); };
  });
}

void add_model(CLI::App& app, Line& line) {
  constexpr const char* kVersionHelp =
      "digest, or its first 8 digits or more (default: the current)";
  auto* model = group(app, "model", "Versions of a job's model, and model files");
  add_model_files(*model, line);
  auto* list = command(*model, "list", "All versions", "chorus model list digits");
  add_job_argument(list, line.job);
  line.when_chosen(list, [&line](Console& console, AdminLink& link) {
    return model_list(console, link, line.job);
  });
  auto* show = command(*model, "show", "One version and its tensors", "chorus model show digits");
  add_job_argument(show, line.job);
  show->add_option("--version", line.version, kVersionHelp);
  line.when_chosen(show, [&line](Console& console, AdminLink& link) {
    return model_show(console, link, line.job, line.version);
  });
  auto* exporting = command(*model,
                            "export",
                            "Save a version as a safetensors or ONNX file",
                            "chorus model export --job digits --output digits.onnx");
  add_job_argument(exporting, line.exporting.job);
  exporting->add_option("--output,-o", line.exporting.output, "file to write")->required();
  exporting->add_option("--version", line.exporting.version, kVersionHelp);
  exporting->add_flag("--overwrite", line.exporting.overwrite, "replace the file if it exists");
  exporting->add_option("--format", line.format, "safetensors or onnx (default: by the ending)")
      ->check(CLI::IsMember({"safetensors", "onnx"}));
  line.when_chosen(exporting, [&line](Console& console, AdminLink& link) {
    const bool onnx =
        line.format.empty() ? line.exporting.output.extension() == ".onnx" : line.format == "onnx";
    line.exporting.format = onnx ? ExportFormat::onnx : ExportFormat::safetensors;
    return model_export(console, link, line.exporting);
  });
}

void add_watch(CLI::App& app, Line& line) {
  auto* watching = command(app, "watch", "Show a job live until it ends", "chorus watch digits");
  watching->add_option("job,--job", line.watching.job, "the job's name (default: the only one)");
  watching->add_option("--last", line.watching.last, "rounds in the table")
      ->check(CLI::Range(1U, 50U))
      ->capture_default_str();
  watching->callback([&line] {
    line.action = [&line](Console& console) {
      return watch(
          console, [&line] { return line.connect(); }, line.watching);
    };
  });
}

void add_rest(CLI::App& app, Line& line) {
  auto* status =
      command(app, "status", "The daemon: software, connections, memory", "chorus status");
  line.when_chosen(status, [](Console& console, AdminLink& link, const Federation& federation) {
    return admin::status(console, link, federation);
  });
  auto* audit = command(
      app, "audit", "What was refused, rejected, changed, and by whom", "chorus audit --last 50");
  audit->add_option("--last", line.last, "entries")
      ->check(CLI::Range(1U, 200U))
      ->capture_default_str();
  line.when_chosen(audit, [&line](Console& console, AdminLink& link) {
    return admin::audit(console, link, line.last);
  });
  auto* version = command(app, "version", "The version of this program", "chorus version --json");
  version->callback([&line] {
    line.action = [](Console& console) -> Result<ExitCode> {
      if (console.json()) {
        nlohmann::ordered_json value;
        value["software"] = "chorus";
        value["version"] = CHORUS_VERSION;
        console.value(value);
      }
      console.line("chorus " CHORUS_VERSION);
      return ExitCode::ok;
    };
  });
}

void add_everything(CLI::App& app, Line& line) {
  app.require_subcommand(1);
  app.fallthrough();  // --json and its like may follow the command
  app.footer(kFooter);
  app.set_version_flag("--version", "chorus " CHORUS_VERSION);
  app.add_flag("--json", line.json, "print JSON instead of text");
  app.add_option("--federation", line.place.federation, "the federation's folder")
      ->envname("CHORUS_FEDERATION");
  app.add_option("--server", line.place.server, "host:port, instead of the one in admin.toml")
      ->envname("CHORUS_SERVER");
  add_init(app, line);
  add_start(app, line);
  add_enroll(app, line);
  add_job(app, line);
  add_round(app, line);
  add_device(app, line);
  add_model(app, line);
  add_watch(app, line);
  add_rest(app, line);
}

// "job lst" → "no command 'lst'; did you mean 'list'?"; empty when the words are commands.
std::string unknown_command(const CLI::App& app, int argc, const char* const* argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc && at->get_require_subcommand_min() > 0; ++i) {
    const std::string_view word = argv[i];
    if (word == "--federation" || word == "--server") ++i;
    if (word.empty() || word.front() == '-') continue;
    std::vector<std::string_view> known;
    const CLI::App* next = nullptr;
    for (const auto* sub : at->get_subcommands(nullptr)) {
      known.push_back(sub->get_name());
      if (sub->get_name() == word) next = sub;
    }
    if (next == nullptr) {
      auto hint = config::did_you_mean(word, known);
      if (hint.empty()) hint = fmt::format("; there are: {}", fmt::join(known, ", "));
      return fmt::format("no command '{}'{}", word, hint);
    }
    at = next;
  }
  return "";
}

int report(const Failure& failure, bool json, std::ostream& err) {
  const auto code = exit_code_of(failure.code);
  if (json) {
    nlohmann::ordered_json value;
    value["error"]["code"] = to_string(failure.code);
    value["error"]["detail"] = failure.detail;
    value["error"]["may_retry"] = may_retry(failure.code);
    err << value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
    return static_cast<int>(code);
  }
  err << "chorus: " << printable(failure.detail) << '\n';
  const std::string advice = advice_for(failure.code);
  if (!advice.empty()) err << "  " << advice << '\n';
  return static_cast<int>(code);
}

}  // namespace

int run(int argc, const char* const* argv, const World& world) {
  CLI::App app("chorus: runs a federation: jobs, rounds, devices, models.", "chorus");
  Line line(world);
  add_everything(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (const auto wrong = unknown_command(app, argc, argv); !wrong.empty()) {
      world.err << "chorus: " << wrong << "\n  'chorus --help' shows the commands.\n";
      return static_cast<int>(ExitCode::usage);
    }
    const int code = app.exit(error, world.out, world.err);
    return code == 0 ? 0 : static_cast<int>(ExitCode::usage);
  }
  Console console(world.out, world.err, world.look(line.json));
  const auto outcome = line.action(console);
  if (!outcome) return report(outcome.error(), line.json, world.err);
  return static_cast<int>(*outcome);
}

}  // namespace chorus::admin
