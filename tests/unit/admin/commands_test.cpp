#include "admin/commands.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include <gtest/gtest.h>

#include "admin/replies.hpp"
#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/crypto/digest.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/admin/fake_link.hpp"

namespace chorus::admin {
namespace {

class Commands : public ::testing::Test {
 protected:
  Console text() { return {out_, err_, {}}; }
  Console json() { return {out_, err_, {.json = true}}; }
  std::string said() {
    const auto all = out_.str();
    out_.str("");
    return all;
  }
  static void fill(v1::JobSummary& job, const std::string& state) {
    job.set_job("digits");
    job.set_state(state);
    job.set_strategy("fedavg");
    job.set_rounds_done(3);
    job.set_rounds_total(20);
    job.set_parameters(13'706);
    job.set_version_sha256(std::string(64, 'a'));
  }

  test::TempFolder temp_;
  FakeLink link_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(Commands, SubmitSendsTheFile) {
  const auto file = temp_.path() / "my.toml";
  std::ofstream(file) << "[job]\n";
  fill(*link_.add_answer().mutable_job()->mutable_summary(), "running");
  auto console = text();
  ASSERT_TRUE(job_submit(console, link_, file));
  EXPECT_EQ(link_.asked.at(0).submit_job().job_toml(), "[job]\n");
  EXPECT_EQ(link_.asked.at(0).submit_job().file_name(), "my.toml");
  EXPECT_EQ(said(),
            "Job 'digits' is running: 20 rounds of fedavg, 13,706 parameters.\n"
            "  chorus watch digits\n");
}

TEST_F(Commands, SubmitRefusesFilesThatAreTooLong) {
  const auto file = temp_.path() / "long.toml";
  std::ofstream(file) << std::string(limits::kJobFileBytesMax + 1, '#');
  auto console = text();
  EXPECT_FALSE(job_submit(console, link_, file));
  EXPECT_FALSE(job_submit(console, link_, temp_.path() / "none.toml"));
  EXPECT_TRUE(link_.asked.empty());
}

TEST_F(Commands, ListsJobs) {
  auto console = text();
  link_.add_answer().mutable_jobs();
  ASSERT_TRUE(job_list(console, link_));
  EXPECT_EQ(said(), "No jobs yet. 'chorus job submit job.toml' starts one.\n");
  v1::JobSummary job;
  fill(job, "paused");
  job.set_status("by\x1b owner");
  *link_.add_answer().mutable_jobs()->add_jobs() = job;
  ASSERT_TRUE(job_list(console, link_));
  EXPECT_EQ(said(),
            "job     state    rounds  strategy  parameters  version\n"
            "digits  paused  3 of 20  fedavg        13,706  aaaaaaaaaaaa  by? owner\n");
  auto silent = json();
  *link_.add_answer().mutable_jobs()->add_jobs() = job;
  ASSERT_TRUE(job_list(silent, link_));
  EXPECT_EQ(nlohmann::json::parse(said()).at("jobs").at(0).at("rounds_done"), 3);
}

TEST_F(Commands, ShowsAJobAsTextOrAsSubmitted) {
  auto console = text();
  auto& detail = *link_.add_answer().mutable_job();
  fill(*detail.mutable_summary(), "running");
  detail.set_job_toml("[job]\nname = \"digits\"");
  const auto again = detail;
  ASSERT_TRUE(job_show(console, link_, "digits", false));
  EXPECT_NE(said().find("state         running\n"), std::string::npos);
  *link_.add_answer().mutable_job() = again;
  ASSERT_TRUE(job_show(console, link_, "digits", true));
  EXPECT_EQ(said(), "[job]\nname = \"digits\"\n");
}

TEST_F(Commands, ShowsHowUpdatesTravel) {
  auto console = text();
  auto& plan = *link_.add_answer().mutable_plan();
  plan.set_first_round(11);
  plan.set_every(10);
  plan.set_lines_total(3);
  const auto add = [](v1::JobPlan& to, const char* name, std::uint64_t parameters) {
    auto& line = *to.add_lines();
    line.set_tensor(name);
    line.set_parameters(parameters);
    return &line;
  };
  auto* line = add(plan, "conv.weight", 4000);
  line->set_codec("uniform, 4 bits, buckets of 512");
  line->set_bytes(2064);
  line->set_error(0.0125);
  line = add(plan, "head.bias", 10);
  line->set_codec("f32");
  line->set_bytes(40);
  auto& rest = *link_.add_answer().mutable_plan();  // a second page
  rest.set_first_round(11);
  rest.set_every(10);
  rest.set_lines_total(3);
  add(rest, "local.weight", 90);
  ASSERT_TRUE(job_plan(console, link_, "digits", false));
  EXPECT_FALSE(link_.asked.back().show_plan().down());
  EXPECT_EQ(link_.asked.back().show_plan().first(), 2U);
  const std::string shown = said();
  for (const char* const part : {"conv.weight        4,000  uniform, 4 bits, buckets of 512",
                                 "4.13",
                                 "1.25e-02",
                                 "not sent",
                                 "7.8 times less than float32",
                                 "chosen for round 11",
                                 "every 10 rounds"}) {
    EXPECT_NE(shown.find(part), std::string::npos) << part << "\n" << shown;
  }
}

TEST_F(Commands, ShowsHowVersionsTravel) {
  for (const auto& [sends, words] : {std::pair{"", "Versions go as they are"},
                                     std::pair{"change", "for each version since"},
                                     std::pair{"model", "whatever they have"}}) {
    auto console = text();
    auto& plan = *link_.add_answer().mutable_plan();
    plan.set_down(sends);
    plan.set_lines_total(1);
    auto& line = *plan.add_lines();
    line.set_tensor("head.weight");
    line.set_parameters(100);
    line.set_codec("bf16");
    line.set_bytes(200);
    ASSERT_TRUE(job_plan(console, link_, "digits", true));
    EXPECT_TRUE(link_.asked.back().show_plan().down());
    const std::string shown = said();
    EXPECT_NE(shown.find("2.0 times less than float32"), std::string::npos) << shown;
    EXPECT_NE(shown.find(words), std::string::npos) << shown;
  }
}

TEST_F(Commands, ControlsJobsAndRounds) {
  auto console = text();
  for (const auto& [action, verb] : {std::pair{JobAction::pause, v1::ControlJob::VERB_PAUSE},
                                     std::pair{JobAction::resume, v1::ControlJob::VERB_RESUME},
                                     std::pair{JobAction::stop, v1::ControlJob::VERB_STOP}}) {
    fill(*link_.add_answer().mutable_job()->mutable_summary(), "paused");
    ASSERT_TRUE(job_control(console, link_, "digits", action));
    EXPECT_EQ(link_.asked.back().control_job().verb(), verb);
    EXPECT_EQ(said(), "Job 'digits' is paused.\n");
  }
  for (const auto& [action, verb] :
       {std::pair{RoundAction::abort, v1::ControlRound::VERB_ABORT},
        std::pair{RoundAction::finish, v1::ControlRound::VERB_FINISH}}) {
    link_.add_answer().mutable_round()->mutable_summary()->set_round(4);
    ASSERT_TRUE(round_control(console, link_, "digits", 0, action));
    EXPECT_EQ(link_.asked.back().control_round().verb(), verb);
  }
}

TEST_F(Commands, ShowsARoundAndItsDevices) {
  auto console = text();
  auto& detail = *link_.add_answer().mutable_round();
  detail.set_job("digits");
  detail.mutable_summary()->set_round(4);
  detail.mutable_summary()->set_state("published");
  auto& device = *detail.add_devices();
  device.set_device("camera-7");
  device.set_state("rejected");
  device.set_why("not finite");
  ASSERT_TRUE(round_show(console, link_, "digits", 4));
  const auto shown = said();
  EXPECT_NE(shown.find("round         4 of job 'digits'\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("camera-7  rejected         0    0 B    0.00 s  not finite\n"),
            std::string::npos)
      << shown;
}

TEST_F(Commands, ListsAllPagesOfDevices) {
  auto console = json();
  auto& first = *link_.add_answer().mutable_devices();
  first.add_devices()->set_device("a");
  first.set_next("a");
  link_.add_answer().mutable_devices()->add_devices()->set_device("b");
  ASSERT_TRUE(device_list(console, link_));
  EXPECT_EQ(link_.asked.at(1).list_devices().after(), "a");
  EXPECT_EQ(nlohmann::json::parse(said()).at("devices").size(), 2U);
}

TEST_F(Commands, APageThatDoesNotAdvanceIsRefused) {
  auto console = text();
  link_.add_answer().mutable_devices()->set_next("b");
  link_.add_answer().mutable_devices()->set_next("b");
  const auto listed = device_list(console, link_);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, errc::unexpected_message);
}

TEST_F(Commands, RevokesADevice) {
  auto console = text();
  link_.add_answer().mutable_device()->mutable_summary()->set_device("camera-7");
  ASSERT_TRUE(device_revoke(console, link_, "camera-7", "stolen"));
  EXPECT_EQ(link_.asked.at(0).revoke_device().why(), "stolen");
  EXPECT_NE(said().find("Device 'camera-7' is revoked"), std::string::npos);
}

TEST_F(Commands, RepliesOfAnotherKindAreRefused) {
  auto console = text();
  const Federation federation{"/x", "a:1", "owner"};
  const EnrollOptions enrollment;
  const std::function<Result<void>()> calls[] = {
      [&] { return job_list(console, link_); },
      [&] { return job_show(console, link_, "j", false); },
      [&] { return round_list(console, link_, "j", 5); },
      [&] { return round_show(console, link_, "j", 5); },
      [&] { return device_list(console, link_); },
      [&] { return device_show(console, link_, "d"); },
      [&] { return model_list(console, link_, "j"); },
      [&] { return model_show(console, link_, "j", ""); },
      [&] { return enroll(console, link_, federation, enrollment); },
      [&] { return audit(console, link_, 5); },
  };
  for (const auto& call : calls) {
    link_.add_answer().mutable_status();
    const auto done = call();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, errc::unexpected_message);
  }
  EXPECT_EQ(said(), "");
}

class Export : public Commands {
 protected:
  void SetUp() override {
    link_.model.resize(2500);
    for (std::size_t i = 0; i < link_.model.size(); ++i) link_.model[i] = std::byte(i % 251);
    offer(hex(sha256(link_.model)));
    options_ = {"digits", "", temp_.path() / "m.safetensors", false};
  }
  void offer(const std::string& digest) {
    auto& summary = *link_.add_answer().mutable_model()->mutable_summary();
    summary.set_sha256(digest);
    summary.set_bytes(link_.model.size());
  }
  std::ptrdiff_t files() const {
    return std::distance(std::filesystem::directory_iterator(temp_.path()),
                         std::filesystem::directory_iterator());
  }
  ExportOptions options_;
};

TEST_F(Export, WritesTheModel) {
  auto console = json();
  ASSERT_TRUE(model_export(console, link_, options_));
  EXPECT_EQ(sha256(read_text(options_.output, 5000).value()), sha256(link_.model));
  EXPECT_EQ(nlohmann::json::parse(said()).at("path"), options_.output.string());
  EXPECT_EQ(files(), 1);
}

TEST_F(Export, AWrongDigestLeavesNothingBehind) {
  link_.answers.clear();
  offer(std::string(64, '0'));
  auto console = text();
  const auto done = model_export(console, link_, options_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, errc::digest_mismatch);
  EXPECT_EQ(files(), 0);
}

TEST_F(Export, OverwritesOnlyWhenTold) {
  std::ofstream(options_.output) << "precious";
  auto console = text();
  EXPECT_EQ(model_export(console, link_, options_).error().code, errc::already_exists);
  EXPECT_TRUE(link_.asked.empty());
  options_.overwrite = true;
  EXPECT_TRUE(model_export(console, link_, options_));
  EXPECT_EQ(std::filesystem::file_size(options_.output), 2500U);
}

TEST_F(Export, AnImpossibleSizeOrDigestIsRefused) {
  auto console = text();
  link_.answers.clear();
  offer("not a digest");
  EXPECT_FALSE(model_export(console, link_, options_));
  link_.add_answer().mutable_model()->mutable_summary()->set_sha256(std::string(64, '0'));
  EXPECT_FALSE(model_export(console, link_, options_));
  EXPECT_EQ(files(), 0);
}

class Watch : public Commands {
 protected:
  // A progress with `closed` published rounds.
  v1::JobProgress& add(std::uint64_t closed, const std::string& state) {
    auto& progress = *link_.add_answer().mutable_progress();
    fill(*progress.mutable_summary(), state);
    progress.set_revision(++revision_);
    for (std::uint64_t i = 1; i <= closed; ++i) {
      auto& round = *progress.add_rounds();
      round.set_round(i);
      round.set_state("published");
    }
    return progress;
  }
  // Hands the one fake out; the second connection is a view of the same.
  Result<ExitCode> run(Console console, const WatchOptions& options) {
    return watch(
        console,
        [this]() -> Result<std::unique_ptr<AdminLink>> {
          ++connections_;
          return std::unique_ptr<AdminLink>(std::make_unique<View>(link_));
        },
        options);
  }

  class View final : public AdminLink {
   public:
    explicit View(FakeLink& link) : link_(link) {}
    Result<v1::AdminReply> call(const v1::AdminRequest& request, Duration wait) override {
      return link_.call(request, wait);
    }
    Result<v1::AdminReply> call_with(const v1::AdminRequest& request,
                                     std::span<const float> parameters) override {
      return link_.call_with(request, parameters);
    }
    Result<void> fetch(const Sha256& v, std::uint64_t bytes, const Sink& sink) override {
      return link_.fetch(v, bytes, sink);
    }

   private:
    FakeLink& link_;
  };

  std::uint64_t revision_ = 0;
  int connections_ = 0;
};

TEST_F(Watch, PrintsEachRoundOnceAndEndsWithTheJob) {
  add(1, "running");
  add(2, "running");
  add(2, "running");
  add(3, "finished");
  const auto ended = run(text(), {.job = "digits"});
  ASSERT_TRUE(ended);
  EXPECT_EQ(*ended, ExitCode::ok);
  const auto shown = said();
  for (const auto* line : {"\nround 1/20", "\nround 2/20", "\nround 3/20"}) {
    const auto at = shown.find(line);
    ASSERT_NE(at, std::string::npos) << shown;
    EXPECT_EQ(shown.find(line, at + 1), std::string::npos) << shown;
  }
  EXPECT_EQ(link_.asked.at(0).watch_job().wait_ms(), 0U);
  EXPECT_EQ(link_.asked.at(1).watch_job().revision(), 1U);
}

TEST_F(Watch, JobsThatEndOtherwiseHaveTheirExitCode) {
  add(1, "degraded");
  EXPECT_EQ(run(text(), {.job = "digits"}).value(), ExitCode::job_ended);
  add(1, "stopped");
  EXPECT_EQ(run(json(), {.job = "digits"}).value(), ExitCode::job_ended);
}

TEST_F(Watch, JsonIsOneLinePerChange) {
  add(1, "running");
  add(1, "running").set_revision(1);
  add(2, "finished");
  ASSERT_TRUE(run(json(), {.job = "digits"}));
  std::istringstream lines(said());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  }
  EXPECT_EQ(count, 2);
}

TEST_F(Watch, WaitsForAServerThatComesBack) {
  add(1, "running");
  link_.add_failure(errc::connection_failed, "reset");
  add(2, "finished");
  EXPECT_EQ(run(text(), {.job = "digits"}).value(), ExitCode::ok);
  EXPECT_EQ(connections_, 2);
  EXPECT_EQ(err_.str(),
            "the server is away (reset); waiting for it\n"
            "the server is back\n");
}

TEST_F(Watch, ButNotForEver) {
  add(1, "running");
  WatchOptions options;
  options.job = "digits";
  options.patience = Duration(0);
  EXPECT_EQ(run(text(), options).error().code, errc::connection_failed);
}

TEST_F(Watch, OtherFailuresEndIt) {
  link_.add_failure(errc::not_found, "no job");
  EXPECT_EQ(run(text(), {.job = "digits"}).error().code, errc::not_found);
  EXPECT_EQ(connections_, 1);
}

TEST_F(Watch, WithoutANameItTakesTheOnlyOpenJob) {
  auto& jobs = *link_.add_answer().mutable_jobs();
  fill(*jobs.add_jobs(), "finished");
  jobs.mutable_jobs(0)->set_job("old");
  fill(*jobs.add_jobs(), "running");
  add(1, "finished");
  ASSERT_TRUE(run(text(), {}));
  EXPECT_EQ(link_.asked.at(1).watch_job().job(), "digits");
  auto& two = *link_.add_answer().mutable_jobs();
  fill(*two.add_jobs(), "running");
  fill(*two.add_jobs(), "running");
  EXPECT_EQ(run(text(), {}).error().code, errc::invalid_argument);
  link_.add_answer().mutable_jobs();
  EXPECT_EQ(run(text(), {}).error().code, errc::not_found);
}

TEST_F(Watch, RedrawsInPlaceOnATerminal) {
  add(1, "running");
  add(2, "finished");
  const Console console(out_, err_, {.terminal = true, .width = 60});
  ASSERT_TRUE(run(console, {.job = "digits", .last = 5}));
  EXPECT_NE(said().find("\x1b[6A"), std::string::npos);  // up over the six lines of the first
  EXPECT_EQ(link_.asked.at(0).watch_job().last(), 5U);
  add(2, "finished");
  ASSERT_TRUE(run(Console(out_, err_, {.terminal = true, .height = 9}), {.job = "digits"}));
  EXPECT_EQ(link_.asked.back().watch_job().last(), 3U);  // six lines are around them
  add(2, "finished");
  ASSERT_TRUE(run(Console(out_, err_, {.terminal = true, .height = 2}), {.job = "digits"}));
  EXPECT_EQ(link_.asked.back().watch_job().last(), 1U);
}

}  // namespace
}  // namespace chorus::admin
