// Versions that travel compressed, over whole jobs: the steps that devices are offered lead to the
// versions that are published, and what is left out is not lost, also over a restart.
#include <algorithm>
#include <filesystem>
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

std::vector<std::shared_ptr<FakeDevice>> join_all(Daemon& daemon) {
  std::vector<std::shared_ptr<FakeDevice>> devices;
  for (const char* name : {"a", "b", "c"}) devices.push_back(FakeDevice::join(daemon, name));
  return devices;
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
  const int rounds = static_cast<int>(limits::kVersionStepsMax) + 3;
  const auto job = daemon.submit(job_with("codec = \"rotated\"\nbucket = 64\n", rounds));
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); })) << daemon.job()->row().why;
  const auto& tasks = devices[0]->assigned;
  ASSERT_THAT(tasks, SizeIs(rounds));
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
}

// The same updates, with codecs that leave nearly everything out and nearly nothing.
TEST(JobDownlink, WhatIsLeftOutIsNotLost) {
  const auto distance = [](const std::string& codec, int rounds) {
    Folder folder;
    Daemon daemon(folder.path());
    const auto job = daemon.submit(job_with(codec, rounds));
    const auto devices = join_all(daemon);
    EXPECT_TRUE(daemon.run_until([&] { return daemon.over(); })) << daemon.job()->row().why;
    // x = w + rest, against the sum of the rounds' means from the initial model.
    const auto state =
        daemon.ask([&] { return daemon.ledger->newest_versions(JobId{"job"}, 1); }).value().back();
    const auto rest =
        daemon.changes->open_rest(JobId{"job"}, state.round, 93, state.change).value();
    std::vector<float> x = parameters_of(*daemon.versions->open_version(state.sha256).value());
    std::vector<float> left(93);
    EXPECT_TRUE(rest->read(0, left));
    std::vector<double> expected(93);
    const auto first = parameters_of(*devices[0]->assigned[0].model);
    std::copy(first.begin(), first.end(), expected.begin());
    for (std::size_t round = 0; round < devices[0]->assigned.size(); ++round) {
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
  const auto job = daemon.submit(job_with("sends = \"model\"\ncodec = \"uniform\"\n", 4));
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); })) << daemon.job()->row().why;
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
  const auto job = daemon.submit(job_with("codec = \"f32\"\n", 9));
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); })) << daemon.job()->row().why;
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

TEST(JobDownlink, AMissingRestIsAnErrorThatNamesIt) {
  Folder folder;
  {
    Daemon daemon(folder.path());
    const auto job = daemon.submit(job_with("codec = \"bf16\"\n", 3));
    const auto devices = join_all(daemon);
    ASSERT_TRUE(daemon.run_until([&] { return devices[0]->assigned.size() == 2; }));
  }
  std::filesystem::remove(folder.path() / "changes" / "job" / "1.rest");
  Daemon daemon(folder.path());
  ASSERT_TRUE(daemon.recover()) << "the other jobs go on";
  const auto audit = daemon.audit();
  const auto said = std::find_if(
      audit.begin(), audit.end(), [](const AuditRow& row) { return row.what == "job_unusable"; });
  ASSERT_NE(said, audit.end());
  EXPECT_THAT(said->detail, HasSubstr("1.rest"));
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
