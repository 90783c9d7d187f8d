// Differences to what devices have sent before, over whole jobs: what they keep and what the server
// has of it are the same, or all begin anew.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/server/driver/daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string job_with(const std::string& compress, int rounds) {
  return job_toml("[evaluation]\nfraction = 0\n[strategy]\nweighting = \"uniform\"\n" + compress,
                  "job",
                  rounds);
}

std::string differences(const std::string& codec) {
  return "[compress]\ncodec = \"" + codec + "\"\nfeedback = \"difference\"\n";
}

/// From the second round on.
void train_once(FakeDevice& device) {
  device.on_accepted = [&device] { device.trains = false; };
}

/// Until every device has its second task, which it has looked at, and nothing is on its way.
bool reach_second_round(Daemon& daemon, const Devices& devices) {
  for (const auto& device : devices) train_once(*device);
  const bool reached = daemon.run_until([&] {
    return daemon.job()->idle() &&
           std::all_of(devices.begin(), devices.end(), [](const auto& device) {
             return device->assigned.size() == 2;
           });
  });
  daemon.control.restart();
  daemon.control.poll();
  return reached;
}

void train_again(const Devices& devices) {
  for (const auto& device : devices) {
    device->on_accepted = {};
    device->trains = true;
  }
}

std::vector<float> final_model(Daemon& daemon) {
  const auto version = daemon.versions->open_version(daemon.job()->row().current_version).value();
  std::vector<float> values(version->layout().parameters);
  EXPECT_TRUE(version->read_parameters(0, values));
  return values;
}

std::vector<float> model_of(const std::string& toml) {
  Folder folder;
  Daemon daemon(folder.path());
  daemon.submit(toml);
  const auto devices = join_all(daemon);
  EXPECT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  return final_model(daemon);
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return most;
}

/// `since` of a device's tasks, round by round.
std::vector<std::uint64_t> since(const FakeDevice& device) {
  std::vector<std::uint64_t> rounds;
  for (const Assignment& task : device.assigned) {
    rounds.push_back(std::get<TrainPlan>(task.work.plan).compression->since);
  }
  return rounds;
}

TEST(JobDifferences, OfEverythingAreTheSameModel) {
  const auto plain = model_of(job_with("", 4));
  EXPECT_LT(distance(model_of(job_with(differences("f32"), 4)), plain), 1e-6);
  const auto coarse = model_of(job_with("[compress]\ncodec = \"bf16\"\n", 4));
  EXPECT_GT(distance(coarse, plain), 1e-5) << "or this test says little";
}

TEST(JobDifferences, LeaveOneFileAndNoneWhenTheJobIsOver) {
  Folder folder;
  Daemon daemon(folder.path());
  daemon.submit(job_with(differences("top_k"), 3));
  const auto devices = join_all(daemon);
  const auto files = [&folder] {
    std::vector<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(folder.path() / "changes" / "job")) {
      names.push_back(entry.path().filename());
    }
    return names;
  };
  ASSERT_TRUE(daemon.run_until([&] { return devices[0]->assigned.size() == 3; }));
  ASSERT_TRUE(daemon.run_until([&] { return files() == std::vector<std::string>{"2.sent"}; }));
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over() && daemon.job()->idle(); }));
  EXPECT_THAT(files(), ElementsAre());
}

/// What a device keeps once it has heard of everything.
KeptByDevice settled(Daemon& daemon, const std::string& name) {
  const DeviceMemory& memory = daemon.memories->at(name);
  const auto receipt =
      daemon
          .ask([&] {
            return daemon.ledger->receipt(JobId{"job"}, memory.staged_round, ClientId{name});
          })
          .value();
  return receipt && receipt->outcome == "accepted" ? memory.staged : memory.kept;
}

// Two of four in each round, one that comes late, a restart in between.
TEST(JobDifferences, TheServersMeanIsThatOfWhatDevicesKeep) {
  Folder folder;
  DaemonOptions options;
  options.checkpoint_after = 1;
  const std::string toml = job_with(differences("top_k") +
                                        "[pace]\ncohort = 2\nmin_reports = 2\ndeadline = \"0s\"\n"
                                        "selection_deadline = \"0s\"\n",
                                    20);
  std::set<std::string> seen;
  for (const std::size_t rounds : {5UL, 10UL, 15UL}) {
    Daemon daemon(folder.path(), options);
    if (rounds == 5) {
      daemon.submit(toml);
    } else {
      ASSERT_TRUE(daemon.recover());
    }
    Devices devices = join_all(daemon);
    if (rounds > 5) devices.push_back(FakeDevice::join(daemon, "late"));
    ASSERT_TRUE(daemon.run_until([&] {
      const bool there = daemon.job()->row().last_round.value >= rounds;
      for (const auto& device : devices) device->automatic = device->automatic && !there;
      return there && daemon.job()->idle();
    })) << daemon.job()->row().why;
    const auto newest =
        daemon.ask([&] { return daemon.ledger->newest_versions(JobId{"job"}, 1); })->back();
    std::vector<double> sum(93);
    double count = 0.0;
    for (const auto& [name, memory] : *options.memories) {
      const KeptByDevice kept = settled(daemon, name);
      if (kept.updates == 0) continue;
      seen.insert(name);
      count += 1.0;
      for (std::size_t i = 0; i < 93; ++i) sum[i] += static_cast<double>(kept.sent[i]);
    }
    const auto mean = daemon.changes->open_sent(JobId{"job"}, newest.round, 93).value();
    EXPECT_TRUE(mean->verify(newest.sent.value()));
    std::vector<float> found(93);
    ASSERT_TRUE(mean->read(0, found));
    for (std::size_t i = 0; i < 93; ++i) {
      ASSERT_NEAR(static_cast<double>(found[i]), sum[i] / count, 1e-6) << rounds << " " << i;
    }
  }
  EXPECT_THAT(seen, ElementsAre("a", "b", "c", "late"));
}

// As a device whose disk was replaced.
TEST(JobDifferences, ADeviceThatLostWhatItKeptMakesAllBeginAnew) {
  Folder folder;
  DaemonOptions options;
  Daemon daemon(folder.path(), options);
  daemon.submit(job_with(differences("top_k"), 5));
  const auto devices = join_all(daemon);
  devices[1]->on_accepted = [&] {
    if (devices[1]->assigned.size() == 2) options.memories->erase("b");
  };
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(daemon.job()->machine().job_phase(), JobPhase::finished);
  const auto rounds = daemon.rounds();
  ASSERT_EQ(rounds.size(), 5U);
  for (const RoundRow& round : rounds) {
    EXPECT_EQ(round.state, RoundState::published);
    EXPECT_EQ(round.accepted, round.round.value == 3 ? 2U : 3U) << round.round.value;
  }
  EXPECT_THAT(since(*devices[0]), ElementsAre(1, 1, 1, 4, 4));
  EXPECT_EQ(of_kind<wire::Accepted>(devices[1]->received).size(), 4U);
  const auto audit = daemon.audit();
  const auto said = std::find_if(audit.begin(), audit.end(), [](const AuditRow& row) {
    return row.what == "differences_anew";
  });
  ASSERT_NE(said, audit.end());
  EXPECT_EQ(said->who, "b");
  EXPECT_THAT(said->detail,
              HasSubstr("differs from 0 updates of its own, and 2 were accepted of it"));
}

// It may have been told to begin by another server, or in a job of the same name.
TEST(JobDifferences, ADeviceOfWhomNothingIsHeldBegins) {
  Folder folder;
  DaemonOptions options;
  (*options.memories)["b"].kept = {std::vector<float>(93, 9.0F), 4, 7};
  Daemon daemon(folder.path(), options);
  daemon.submit(job_with(differences("top_k"), 3));
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  for (const RoundRow& round : daemon.rounds()) EXPECT_EQ(round.accepted, 3U);
  EXPECT_THAT(since(*devices[1]), ElementsAre(1, 1, 1));
}

// What it has sent would be part of every model to come.
TEST(JobDifferences, WithoutADeviceThatWasRevokedAllBeginAnew) {
  Folder folder;
  Daemon daemon(folder.path());
  daemon.submit(job_with(differences("top_k"), 4));
  const auto devices = join_all(daemon);
  ASSERT_TRUE(reach_second_round(daemon, devices));
  daemon.board->expel(ClientId{"stranger"}, fail(errc::revoked, "revoked"));
  daemon.board->expel(ClientId{"c"}, fail(errc::revoked, "revoked"));
  train_again(devices);
  for (const std::size_t i : {0UL, 1UL}) devices[i]->offer(devices[i]->assigned[1]);
  const auto other = FakeDevice::join(daemon, "d");
  ASSERT_TRUE(daemon.run_until([&] {
    const RoundMachine& machine = daemon.job()->machine();
    if (machine.round().value == 2 && machine.count(MemberState::accepted) == 2) {
      static_cast<void>(daemon.job()->control(JobVerb::finish_round));
    }
    return daemon.over();
  }));
  EXPECT_THAT(since(*devices[0]), ElementsAre(1, 1, 3, 3));
  EXPECT_THAT(since(*other), ElementsAre(3, 3));
}

TEST(JobDifferences, IfItCannotBeWrittenDownThatAllBeginAnewTheJobStands) {
  Folder folder;
  DaemonOptions options;
  Daemon daemon(folder.path(), options);
  daemon.ledger->failing.insert("begin_differences");
  const auto job = daemon.submit(job_with(differences("top_k"), 5));
  const auto devices = join_all(daemon);
  devices[1]->on_accepted = [&] {
    if (devices[1]->assigned.size() == 2) options.memories->erase("b");
  };
  ASSERT_TRUE(daemon.run_until([&] { return job->machine().job_phase() == JobPhase::degraded; }));
  ASSERT_TRUE(job->control(JobVerb::resume));
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(job->machine().job_phase(), JobPhase::finished);
  EXPECT_EQ(since(*devices[0]).back(), 5U) << "the device says so again";
}

TEST(JobDifferences, BeginAnewAfterARoundThatWasAbandoned) {
  Folder folder;
  Daemon daemon(folder.path());
  const auto job = daemon.submit(job_with(differences("top_k"), 4));
  const auto devices = join_all(daemon);
  ASSERT_TRUE(reach_second_round(daemon, devices));
  for (const std::size_t i : {0UL, 1UL}) devices[i]->offer(devices[i]->assigned[1]);
  ASSERT_TRUE(daemon.run_until([&] { return job->machine().count(MemberState::accepted) == 2; }));
  ASSERT_TRUE(job->control(JobVerb::abort_round));
  train_again(devices);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(daemon.job()->machine().job_phase(), JobPhase::finished);
  EXPECT_THAT(since(*devices[0]), ElementsAre(1, 1, 3, 3));
}

TEST(JobDifferences, GoOnAfterARoundThatWasAbandonedBeforeAnybodyWasAccepted) {
  Folder folder;
  Daemon daemon(folder.path());
  const auto job = daemon.submit(job_with(differences("top_k"), 4));
  const auto devices = join_all(daemon);
  ASSERT_TRUE(reach_second_round(daemon, devices));
  ASSERT_TRUE(job->control(JobVerb::abort_round));
  train_again(devices);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_THAT(since(*devices[0]), ElementsAre(1, 1, 1, 1));
}

TEST(JobDifferences, ADamagedMeanIsNotedAndTheNextRoundBeginsAnew) {
  Folder folder;
  DaemonOptions options;
  {
    Daemon daemon(folder.path(), options);
    const auto job = daemon.submit(job_with(differences("top_k"), 3));
    const auto devices = join_all(daemon);
    ASSERT_TRUE(daemon.run_until([&] { return !devices[0]->assigned.empty(); }));
    ASSERT_TRUE(job->control(JobVerb::pause));
    ASSERT_TRUE(daemon.run_until(
        [&] { return job->machine().job_phase() == JobPhase::paused && job->idle(); }));
    ASSERT_EQ(job->row().last_round.value, 1U);
  }
  std::fstream file(folder.path() / "changes" / "job" / "1.sent",
                    std::ios::in | std::ios::out | std::ios::binary);
  file.put('\x3F');
  file.close();
  Daemon daemon(folder.path(), options);
  ASSERT_TRUE(daemon.recover());
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.job()->control(JobVerb::resume));
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(daemon.job()->machine().job_phase(), JobPhase::finished);
  EXPECT_THAT(since(*devices[0]), ElementsAre(2, 2));
  const auto audit = daemon.audit();
  EXPECT_TRUE(std::any_of(audit.begin(), audit.end(), [](const AuditRow& row) {
    return row.what == "differences_anew" && row.detail.find("1.sent") != std::string::npos;
  }));
}

// As after a backup that has none of it. Devices of the open round have counted on it.
TEST(JobDifferences, WithoutTheirMeanARoundCannotBeFinishedAndTheNextBeginsAnew) {
  Folder folder;
  DaemonOptions options;
  {
    Daemon daemon(folder.path(), options);
    const auto job = daemon.submit(job_with(differences("top_k"), 4));
    const auto devices = join_all(daemon);
    ASSERT_TRUE(reach_second_round(daemon, devices));
  }
  std::filesystem::remove(folder.path() / "changes" / "job" / "1.sent");
  Daemon daemon(folder.path(), options);
  ASSERT_TRUE(daemon.recover());
  const auto devices = join_all(daemon);
  const auto job = daemon.job();
  ASSERT_TRUE(daemon.run_until([&] { return job->machine().job_phase() == JobPhase::degraded; }));
  EXPECT_THAT(job->row().why, HasSubstr("abort the round"));
  ASSERT_TRUE(job->control(JobVerb::abort_round));
  ASSERT_TRUE(daemon.run_until([&] { return job->machine().phase() == RoundPhase::waiting; }));
  ASSERT_TRUE(job->control(JobVerb::resume));
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(job->machine().job_phase(), JobPhase::finished);
  EXPECT_THAT(since(*devices[0]), ElementsAre(1, 3, 3));
}

}  // namespace
}  // namespace chorus::server::test
