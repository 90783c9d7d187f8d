// Versions that travel compressed, over whole jobs: the steps that devices are offered lead to the
// versions that are published, and what is left out is not lost, also over a restart.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/base/limits.hpp"
#include "common/codec/update.hpp"
#include "tests/unit/server/driver/daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

std::string job_with(const std::string& down, int rounds) {
  return job_toml("[evaluation]\nfraction = 0\n[compress.down]\n" + down, "job", rounds);
}

/// Until so many rounds are published and the next one is open, in which nobody answers.
void play_rounds(Daemon& daemon,
                 const std::vector<std::shared_ptr<FakeDevice>>& devices,
                 std::size_t rounds) {
  EXPECT_TRUE(daemon.run_until([&] {
    const bool there = std::all_of(devices.begin(), devices.end(), [rounds](const auto& device) {
      return device->assigned.size() > rounds;
    });
    if (there) {
      for (const auto& device : devices) device->automatic = false;
    }
    return there && daemon.job()->idle();
  })) << daemon.job()->row().why;
}

std::vector<float> parameters_of(const VersionReader& version) {
  std::vector<float> values(version.layout().parameters);
  EXPECT_TRUE(version.read_parameters(0, values));
  return values;
}

/// What a device makes of a step.
std::vector<float> stepped(const StepsOffer& offer,
                           std::size_t index,
                           std::vector<float> x,
                           const TensorLayout& layout) {
  const codec::VersionStep& step = offer.steps.steps[index];
  std::vector<std::byte> body(step.bytes);
  EXPECT_TRUE(offer.bodies[index]->read(0, body));
  const auto form = codec::form_of(offer.steps, step.seed, layout).value();
  EXPECT_TRUE(codec::add_update(form, body, x));
  return x;
}

std::size_t files(const Folder& folder, const std::string& suffix) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "changes" / "job")) {
    if (entry.path().extension() == suffix) ++count;
  }
  return count;
}

TEST(JobDownlink, StepsLeadFromVersionToVersion) {
  Folder folder;
  Daemon daemon(folder.path());
  const std::size_t rounds = limits::kVersionStepsMax + 2;
  const auto job = daemon.submit(job_with("codec = \"rotated\"\nbucket = 64\n", 20));
  const auto devices = join_all(daemon);
  play_rounds(daemon, devices, rounds);
  const auto& tasks = devices[0]->assigned;
  ASSERT_THAT(tasks, SizeIs(rounds + 1));
  EXPECT_EQ(tasks[0].steps, nullptr) << "the first version goes as it is";
  EXPECT_FALSE(tasks[0].work.steps);
  for (std::size_t round = 1; round < tasks.size(); ++round) {
    ASSERT_NE(tasks[round].steps, nullptr);
    const StepsOffer& offer = *tasks[round].steps;
    EXPECT_EQ(tasks[round].work.steps, offer.steps);
    const std::size_t count = std::min(round, limits::kVersionStepsMax);
    ASSERT_THAT(offer.bodies, SizeIs(count));
    const std::size_t begin = round - count;
    std::vector<float> x = parameters_of(*tasks[begin].model);
    EXPECT_EQ(offer.steps.steps[0].base, tasks[begin].model->info().sha256);
    for (std::size_t i = 0; i < count; ++i) {
      x = stepped(offer, i, std::move(x), tasks[round].model->layout());
      EXPECT_EQ(offer.steps.steps[i].sha256, tasks[begin + i + 1].model->info().sha256);
      EXPECT_EQ(x, parameters_of(*tasks[begin + i + 1].model));
    }
  }
  EXPECT_EQ(files(folder, ".change"), limits::kVersionStepsMax);
  EXPECT_EQ(files(folder, ".rest"), 1U);
  EXPECT_EQ(files(folder, ".writing"), 0U);

  ASSERT_TRUE(job->control(JobVerb::stop));
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(files(folder, ".change"), 0U) << "a job that is over needs none";
  EXPECT_EQ(files(folder, ".rest"), 0U);
}

// The same updates, with codecs that leave nearly everything out and nearly nothing.
TEST(JobDownlink, WhatIsLeftOutIsNotLost) {
  const auto distance = [](const std::string& codec, std::size_t rounds) {
    Folder folder;
    Daemon daemon(folder.path());
    const auto job = daemon.submit(job_with(codec, 20));
    const auto devices = join_all(daemon);
    play_rounds(daemon, devices, rounds);
    // x = w + rest, against the sum of the rounds' means from the initial model.
    const auto state =
        daemon.ask([&] { return daemon.ledger->newest_versions(JobId{"job"}, 1); }).value().back();
    EXPECT_EQ(state.round.value, rounds);
    const auto rest = daemon.changes->open_rest(JobId{"job"}, state.round, 93).value();
    EXPECT_TRUE(rest->verify(state.change.rest));
    std::vector<float> x = parameters_of(*daemon.versions->open_version(state.sha256).value());
    std::vector<float> left(93);
    EXPECT_TRUE(rest->read(0, left));
    std::vector<double> expected(93);
    const auto first = parameters_of(*devices[0]->assigned[0].model);
    std::copy(first.begin(), first.end(), expected.begin());
    for (std::size_t round = 0; round < rounds; ++round) {
      double weights = 0.0;
      std::vector<double> sum(93);
      for (const auto& device : devices) {
        const auto& name = device->key().client.value;
        const Assignment& task = device->assigned[round];
        const auto update = FakeDevice::update_for(task, name);
        const auto weight = static_cast<double>(FakeDevice::offer_for(task, name).examples.value);
        for (std::size_t i = 0; i < 93; ++i) sum[i] += weight * static_cast<double>(update[i]);
        weights += weight;
      }
      for (std::size_t i = 0; i < 93; ++i) expected[i] += sum[i] / weights;
    }
    double worst = 0.0;
    for (std::size_t i = 0; i < 93; ++i) {
      const double found = static_cast<double>(x[i]) + static_cast<double>(left[i]);
      worst = std::max(worst, std::abs(found - expected[i]));
    }
    return worst;
  };
  EXPECT_LT(distance("codec = \"top_k\"\ndensity = 0.02\n", 6), 1e-6);
  EXPECT_LT(distance("codec = \"bf16\"\n", 3), 1e-6);
  EXPECT_LT(distance("sends = \"model\"\ncodec = \"bf16\"\n", 3), 1e-6);
}

TEST(JobDownlink, AStepThatSaysAllBeginsWithNothing) {
  Folder folder;
  Daemon daemon(folder.path());
  const auto job = daemon.submit(job_with("sends = \"model\"\ncodec = \"uniform\"\n", 20));
  const auto devices = join_all(daemon);
  play_rounds(daemon, devices, 3);
  const auto& last = devices[0]->assigned.back();
  ASSERT_NE(last.steps, nullptr);
  ASSERT_THAT(last.steps->bodies, SizeIs(1));
  EXPECT_FALSE(last.steps->steps.steps[0].base);
  EXPECT_EQ(stepped(*last.steps, 0, std::vector<float>(93), last.model->layout()),
            parameters_of(*last.model));
  EXPECT_EQ(files(folder, ".change"), 1U);
}

TEST(JobDownlink, StepsThatSaveNothingAreNotOffered) {
  Folder folder;
  Daemon daemon(folder.path());
  // A file of 93 parameters, its head included, is less than eight of these.
  const auto job = daemon.submit(job_with("codec = \"f32\"\n", 20));
  const auto devices = join_all(daemon);
  play_rounds(daemon, devices, 9);
  for (const Assignment& task : devices[0]->assigned) {
    if (task.steps == nullptr) continue;
    EXPECT_LT(codec::bytes_of(task.steps->steps.steps), task.work.model.bytes);
  }
  EXPECT_LT(devices[0]->assigned.back().steps->bodies.size(), limits::kVersionStepsMax);
}

TEST(JobDownlink, ARestartOffersTheSameSteps) {
  Folder folder;
  const std::string toml = job_with("codec = \"rotated\"\nbucket = 64\n", 3);
  codec::VersionSteps before;
  {
    Daemon daemon(folder.path());
    const auto job = daemon.submit(toml);
    const auto devices = join_all(daemon);
    ASSERT_TRUE(daemon.run_until([&] { return devices[0]->assigned.size() == 3; }));
    before = *devices[0]->assigned.back().work.steps;
  }
  Daemon daemon(folder.path());
  ASSERT_TRUE(daemon.recover());
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return !devices[0]->assigned.empty(); }));
  EXPECT_EQ(devices[0]->assigned[0].work.steps, before);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); })) << daemon.job()->row().why;
}

// As after a backup that has none: the version is a model all the same.
TEST(JobDownlink, WithoutItsRestAJobGoesOnFromTheVersionAndSaysSo) {
  for (const bool damaged : {false, true}) {
    Folder folder;
    {
      Daemon daemon(folder.path());
      const auto job = daemon.submit(job_with("codec = \"bf16\"\n", 3));
      const auto devices = join_all(daemon);
      play_rounds(daemon, devices, 1);
    }
    const auto rest = folder.path() / "changes" / "job" / "1.rest";
    if (damaged) {
      std::fstream file(rest, std::ios::in | std::ios::out | std::ios::binary);
      file.put('\x3F');
    } else {
      std::filesystem::remove(rest);
    }
    Daemon daemon(folder.path());
    ASSERT_TRUE(daemon.recover());
    const auto audit = daemon.audit();
    const auto said = std::find_if(
        audit.begin(), audit.end(), [](const AuditRow& row) { return row.what == "rest_lost"; });
    ASSERT_NE(said, audit.end());
    EXPECT_THAT(said->detail, HasSubstr("1.rest"));
    const auto devices = join_all(daemon);
    ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
    EXPECT_EQ(daemon.job()->machine().job_phase(), JobPhase::finished);
  }
}

// Its model must be there to be had whatever has become of files that nobody needs.
TEST(JobDownlink, AJobThatIsOverNeedsNoneOfItsFiles) {
  Folder folder;
  {
    Daemon daemon(folder.path());
    const auto job = daemon.submit(job_with("codec = \"bf16\"\n", 2));
    const auto devices = join_all(daemon);
    ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  }
  std::filesystem::remove_all(folder.path() / "changes");
  Daemon daemon(folder.path());
  ASSERT_TRUE(daemon.recover());
  EXPECT_EQ(daemon.job()->row().state, JobState::finished);
  for (const AuditRow& row : daemon.audit()) EXPECT_NE(row.what, "rest_lost");
}

TEST(JobDownlink, AMissingStepIsAShorterWay) {
  Folder folder;
  {
    Daemon daemon(folder.path());
    const auto job = daemon.submit(job_with("codec = \"bf16\"\n", 5));
    const auto devices = join_all(daemon);
    ASSERT_TRUE(daemon.run_until([&] { return devices[0]->assigned.size() == 4; }));
  }
  std::filesystem::remove(folder.path() / "changes" / "job" / "2.change");
  Daemon daemon(folder.path());
  ASSERT_TRUE(daemon.recover());
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return !devices[0]->assigned.empty(); }));
  EXPECT_THAT(devices[0]->assigned[0].steps->bodies, SizeIs(1));
}

}  // namespace
}  // namespace chorus::server::test
