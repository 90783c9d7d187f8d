// Whole jobs over the real stores: rounds, rows, restarts at every step.
#include <cmath>
#include <fstream>
#include <set>

#include "common/crypto/digest.hpp"
#include "common/tensor/version_file.hpp"
#include "tests/unit/server/driver/daemon.hpp"

namespace chorus::server::test {
namespace {

const std::string kDifferences =
    "[strategy]\nweighting = \"uniform\"\n[compress]\ncodec = \"top_k\"\ndensity = 0.2\n"
    "feedback = \"difference\"\n";
const std::string kEvaluated = "[evaluation]\ndeadline = \"200ms\"\n";

/// The final version of a job that nothing disturbs.
Sha256 undisturbed(const std::string& toml) {
  Folder folder;
  Daemon daemon(folder.path());
  const auto job = daemon.submit(toml);
  const auto devices = join_all(daemon);
  EXPECT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(job->machine().job_phase(), JobPhase::finished);
  return job->row().current_version;
}

std::vector<bool> kept_versions(Daemon& daemon) {
  const auto rows = daemon.ask([&daemon] { return daemon.ledger->versions(JobId{"job"}); });
  std::vector<bool> kept;
  for (const VersionRow& row : rows.value()) {
    const bool there = std::filesystem::exists(daemon.versions->path_of(row.sha256));
    EXPECT_EQ(there, row.kept) << row.round.value;
    kept.push_back(row.kept);
  }
  return kept;
}

TEST(JobRunner, KeepsAsManyVersionsAsItIsTold) {
  Folder folder;
  Daemon daemon(folder.path());
  std::string toml = job_toml("", "job", 5);
  toml.insert(toml.find("[job]\n") + 6, "keep_versions = 2\n");
  const auto job = daemon.submit(toml);
  const auto devices = join_all(daemon);
  daemon.ledger->failing.insert("set_version_removed");  // once: the next round sees to it
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(job->machine().job_phase(), JobPhase::finished);
  EXPECT_EQ(kept_versions(daemon), (std::vector<bool>{false, false, false, false, true, true}));
  EXPECT_EQ(daemon.rounds().size(), 5U);
}

TEST(JobRunner, PlaysAJobToItsEnd) {
  Folder folder;
  Daemon daemon(folder.path());
  const auto job = daemon.submit(job_toml());
  const Sha256 initial = job->row().current_version;
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(job->machine().job_phase(), JobPhase::finished);
  EXPECT_NE(job->row().current_version, initial);

  const auto rounds = daemon.rounds();
  ASSERT_EQ(rounds.size(), 3U);
  Sha256 base = initial;
  for (std::size_t i = 0; i < 3; ++i) {
    const RoundRow& round = rounds[i];
    EXPECT_EQ(round.round, RoundId{i + 1});
    EXPECT_EQ(round.state, RoundState::published);
    EXPECT_EQ(round.base_version, base);
    EXPECT_EQ(round.goal, 3U);
    EXPECT_EQ(round.accepted, 3U);
    EXPECT_EQ(round.rejected + round.discarded, 0U);
    EXPECT_EQ(round.evaluated, 3U);
    EXPECT_EQ(round.examples, Examples{3 * 11 + 'a' + 'b' + 'c'});
    EXPECT_EQ(round.cohort, (std::vector<ClientId>{{"a"}, {"b"}, {"c"}}));
    base = *round.version;
    EXPECT_TRUE(daemon.versions->verify(base));
    std::set<std::string> names;
    for (const Metric& metric : round.metrics) {
      names.insert(metric.name);
      EXPECT_DOUBLE_EQ(metric.value, 0.25);
    }
    EXPECT_EQ(names, (std::set<std::string>{"eval.loss", "train.loss"}));
    const auto receipts =
        daemon.ask([&] { return daemon.ledger->receipts(JobId{"job"}, RoundId{i + 1}); }).value();
    ASSERT_EQ(receipts.size(), 3U);
    for (const ReceiptRow& receipt : receipts) {
      EXPECT_EQ(receipt.outcome, "accepted");
      EXPECT_EQ(receipt.bytes, 93 * sizeof(float));
      EXPECT_EQ(receipt.digest.size(), 32U);
    }
  }
  EXPECT_EQ(base, job->row().current_version);
  const auto row = daemon.ask([&] { return daemon.ledger->job(JobId{"job"}); }).value();
  EXPECT_EQ(row.state, JobState::finished);
  EXPECT_EQ(row.current_version, base);
  EXPECT_EQ(row.last_round, RoundId{3});
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "journal" / "job"));
  EXPECT_EQ(daemon.memory.granted(), 0U);
}

TEST(JobRunner, EveryVersionSaysHowFeaturesAreNormalised) {
  Folder folder;
  Daemon daemon(folder.path());
  const auto job = daemon.submit(
      job_toml("[train]\nnormalise_mean = [0.5]\nnormalise_deviation = [0.25]\n", "job", 1));
  const Sha256 initial = job->row().current_version;
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  ASSERT_NE(job->row().current_version, initial);
  for (const Sha256& version : {initial, job->row().current_version}) {
    const auto file = tensor::read_version(daemon.versions->path_of(version));
    ASSERT_TRUE(file) << file.error().to_string();
    EXPECT_EQ(file->normalise, (std::vector<FeatureScale>{{0.5, 0.25}}));
  }
}

TEST(JobRunner, TheVersionIsTheWeightedMeanOfTheUpdates) {
  Folder folder;
  Daemon daemon(folder.path());
  const auto job = daemon.submit(job_toml("[evaluation]\nfraction = 0\n", "job", 1));
  const auto base = daemon.versions->open_version(job->row().current_version).value();
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  const auto next = daemon.versions->open_version(job->row().current_version).value();
  std::vector<float> x(93);
  std::vector<float> y(93);
  ASSERT_TRUE(base->read_parameters(0, x));
  ASSERT_TRUE(next->read_parameters(0, y));
  std::vector<double> sum(93);
  double weights = 0.0;
  for (const auto& device : devices) {
    const std::string& name = device->key().client.value;
    const Assignment& task = device->assigned.front();
    const auto update = FakeDevice::update_for(task, name);
    const auto weight = static_cast<double>(FakeDevice::offer_for(task, name).examples.value);
    for (std::size_t i = 0; i < 93; ++i) sum[i] += weight * static_cast<double>(update[i]);
    weights += weight;
  }
  for (std::size_t i = 0; i < 93; ++i) {
    EXPECT_NEAR(y[i], static_cast<double>(x[i]) + sum[i] / weights, 1e-7);
  }
}

TEST(JobRunner, TheSameJobGivesTheSameBits) {
  EXPECT_EQ(undisturbed(job_toml()), undisturbed(job_toml()));
}

TEST(JobRunner, ALargeModelIsFoldedByAllThreadsWithTheSameBits) {
  const std::string model =
      "[model]\ninput_shape = [700]\n[[model.layers]]\ntype = \"dense\"\nunits = 800\n"
      "[evaluation]\nfraction = 0\n";
  const auto one_thread = [&] {
    Folder folder;
    Daemon daemon(folder.path());
    daemon.context.compute_threads = 1;
    const auto job = daemon.submit(job_toml(model, "job", 1));
    const auto devices = join_all(daemon);
    EXPECT_TRUE(daemon.run_until([&] { return daemon.over(); }));
    return job->row().current_version;
  };
  EXPECT_EQ(undisturbed(job_toml(model, "job", 1)), one_thread());
}

// ---- restarts ----

struct Crashed {
  bool finished_before = false;
  RoundPhase phase = RoundPhase::waiting;
  std::uint64_t round = 0;
};

/// Runs a job, destroys the daemon after `steps` handlers of the control thread.
Crashed crash_after(const std::filesystem::path& folder,
                    const std::string& toml,
                    int steps,
                    const DaemonOptions& options) {
  Daemon daemon(folder, options);
  const auto job = daemon.submit(toml);
  const auto devices = join_all(daemon);
  for (int i = 0; i < steps && !daemon.over(); ++i) {
    daemon.control.restart();
    daemon.run_one();
  }
  return {daemon.over(), job->machine().phase(), job->machine().round().value};
}

Sha256 recover_and_finish(const std::filesystem::path& folder, const DaemonOptions& options) {
  Daemon daemon(folder, options);
  const auto recovered = daemon.recover();
  EXPECT_TRUE(recovered) << recovered.error().to_string();
  const auto devices = join_all(daemon);
  EXPECT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(daemon.job()->machine().job_phase(), JobPhase::finished);
  for (const RoundRow& round : daemon.rounds()) {
    EXPECT_EQ(round.state, RoundState::published);
    EXPECT_EQ(round.accepted, 3U);
  }
  return daemon.job()->row().current_version;
}

void expect_same_after_every_crash(DaemonOptions options, const std::string& rest = "") {
  const std::string toml = job_toml(kEvaluated + rest, "job", 2);
  const Sha256 expected = undisturbed(toml);
  std::set<RoundPhase> phases;
  for (int steps = 1;; ++steps) {
    Folder folder;
    options.memories = std::make_shared<DeviceMemories>();
    const Crashed crashed = crash_after(folder.path(), toml, steps, options);
    if (crashed.finished_before) break;
    phases.insert(crashed.phase);
    const Sha256 found = recover_and_finish(folder.path(), options);
    ASSERT_EQ(found, expected) << "crash after " << steps << " steps, in round " << crashed.round
                               << ", " << to_string(crashed.phase);
    ASSERT_LT(steps, 2000);
  }
  // Otherwise this test says less than it seems to.
  for (const RoundPhase phase : {RoundPhase::waiting,
                                 RoundPhase::opening,
                                 RoundPhase::collecting,
                                 RoundPhase::folding,
                                 RoundPhase::finalising,
                                 RoundPhase::publishing,
                                 RoundPhase::evaluating}) {
    EXPECT_TRUE(phases.contains(phase)) << to_string(phase);
  }
}

TEST(JobRunnerRestart, AtAnyStepGivesTheSameModel) {
  expect_same_after_every_crash({});
}

TEST(JobRunnerRestart, WithCheckpointsAtAnyStepGivesTheSameModel) {
  DaemonOptions options;
  options.checkpoint_after = 1;  // after every batch
  options.segment_bytes = 256;   // so that segments really go
  expect_same_after_every_crash(options);
}

TEST(JobRunnerRestart, WithCompressedVersionsAtAnyStepGivesTheSameModel) {
  expect_same_after_every_crash({}, "[compress.down]\ncodec = \"top_k\"\ndensity = 0.2\n");
}

TEST(JobRunnerRestart, WithDifferencesAtAnyStepGivesTheSameModel) {
  expect_same_after_every_crash({}, kDifferences);
}

TEST(JobRunnerRestart, WithASubspaceAtAnyStepGivesTheSameModel) {
  DaemonOptions options;
  options.checkpoint_after = 1;
  expect_same_after_every_crash(options, "[compress]\ncodec = \"subspace\"\nrank = 1\n");
}

// No sums: the updates stay in the journal until the round ends, whatever the checkpoints' size.
TEST(JobRunnerRestart, OfAMedianAtAnyStepGivesTheSameModel) {
  DaemonOptions options;
  options.checkpoint_after = 1;
  options.segment_bytes = 256;
  expect_same_after_every_crash(options,
                                "[strategy]\nname = \"median\"\n[compress]\ncodec = \"uniform\"\n"
                                "[pace]\ncohort = 3\nmin_reports = 3\ndeadline = \"0s\"\n"
                                "selection_deadline = \"0s\"\n");
}

TEST(JobRunnerRestart, APauseThatWaitedForTheRoundSurvives) {
  Folder folder;
  {
    Daemon daemon(folder.path());
    const auto job = daemon.submit(job_toml());
    auto devices = join_all(daemon);
    devices[0]->automatic = false;
    ASSERT_TRUE(daemon.run_until(
        [&] { return job->machine().count(MemberState::accepted) == 2 && job->idle(); }));
    ASSERT_TRUE(job->control(JobVerb::pause));
    ASSERT_TRUE(daemon.run_until([&] { return job->idle(); }));
  }
  Daemon daemon(folder.path());
  ASSERT_TRUE(daemon.recover());
  const auto devices = join_all(daemon);
  const auto job = daemon.job();
  EXPECT_TRUE(job->machine().pausing());
  ASSERT_TRUE(daemon.run_until([&] { return job->machine().job_phase() == JobPhase::paused; }));
  EXPECT_EQ(job->machine().rounds_done(), 1U);
  ASSERT_TRUE(daemon.run_until([&] { return job->idle(); }));
  ASSERT_TRUE(job->control(JobVerb::resume));
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(job->row().current_version, undisturbed(job_toml()));
}

TEST(JobRunnerRestart, LeftoverJournalsOfClosedRoundsGo) {
  Folder folder;
  {
    Daemon daemon(folder.path());
    const auto job = daemon.submit(job_toml());
    auto devices = join_all(daemon);
    for (auto& device : devices) device->automatic = false;
    ASSERT_TRUE(daemon.run_until([&] { return job->machine().phase() == RoundPhase::collecting; }));
  }
  const auto journals = folder.path() / "journal" / "job";
  std::filesystem::create_directories(journals / "7");
  std::ofstream(journals / "7" / "junk") << "junk";
  Daemon daemon(folder.path());
  ASSERT_TRUE(daemon.recover());
  EXPECT_FALSE(std::filesystem::exists(journals / "7"));
  EXPECT_TRUE(std::filesystem::exists(journals / "1"));  // that round is open
}

}  // namespace
}  // namespace chorus::server::test
