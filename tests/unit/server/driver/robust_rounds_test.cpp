// Rounds of strategies that look at all updates side by side.
#include <algorithm>
#include <set>

#include "common/codec/update.hpp"
#include "tests/unit/server/driver/daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;
std::string robust_toml(const std::string& strategy,
                        std::size_t devices,
                        const std::string& rest = "") {
  const std::string count = std::to_string(devices);
  return job_toml("[strategy]\nname = \"" + strategy + "\"\n[pace]\ncohort = " + count +
                      "\nmin_reports = " + count +
                      "\ndeadline = \"0s\"\nselection_deadline = \"0s\"\n"
                      "[evaluation]\nfraction = 0\n" +
                      rest,
                  "job",
                  1);
}

const std::string kLargeModel =
    "[model]\ninput_shape = [700]\n[[model.layers]]\ntype = \"dense\"\nunits = 800\n";

Devices join(Daemon& daemon, const std::vector<std::string>& names) {
  Devices devices;
  for (const std::string& name : names) devices.push_back(FakeDevice::join(daemon, name));
  return devices;
}

std::vector<float> parameters_of(Daemon& daemon, const Sha256& version) {
  const auto reader = daemon.versions->open_version(version).value();
  std::vector<float> values(reader->layout().parameters);
  EXPECT_TRUE(reader->read_parameters(0, values));
  return values;
}

/// What the server understands of a device's update.
std::vector<float> received_from(const FakeDevice& device) {
  const Assignment& task = device.assigned.front();
  const auto& plan = std::get<TrainPlan>(task.work.plan);
  if (!plan.compression) return FakeDevice::update_for(task, device.key().client.value);
  const auto& layout = task.model->layout();
  std::vector<float> values(layout.parameters);
  EXPECT_TRUE(codec::decode_update(codec::UpdateForm::of(plan, layout).value(),
                                   FakeDevice::body_for(task, device.key().client.value),
                                   1e30F,
                                   values));
  return values;
}

/// x + mean of the values in the middle, without `trim` at either end.
std::vector<float> expected(const std::vector<float>& x, const Devices& devices, std::size_t trim) {
  std::vector<std::vector<float>> updates;
  for (const auto& device : devices) updates.push_back(received_from(*device));
  std::vector<float> next(x.size());
  std::vector<float> column(updates.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t k = 0; k < updates.size(); ++k) column[k] = updates[k][i];
    std::sort(column.begin(), column.end());
    double sum = 0.0;
    for (std::size_t r = trim; r < column.size() - trim; ++r) sum += static_cast<double>(column[r]);
    const auto mean = static_cast<float>(sum / static_cast<double>(column.size() - 2 * trim));
    next[i] = static_cast<float>(static_cast<double>(x[i]) + static_cast<double>(mean));
  }
  return next;
}

struct Outcome {
  std::vector<float> base;
  std::vector<float> next;
  std::vector<float> expected;
};

Outcome played(const std::string& toml, const std::vector<std::string>& names, std::size_t trim) {
  Folder folder;
  Daemon daemon(folder.path());
  const auto job = daemon.submit(toml);
  Outcome outcome;
  outcome.base = parameters_of(daemon, job->row().current_version);
  const auto devices = join(daemon, names);
  EXPECT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(job->machine().job_phase(), JobPhase::finished);
  outcome.next = parameters_of(daemon, job->row().current_version);
  outcome.expected = expected(outcome.base, devices, trim);
  EXPECT_EQ(daemon.memory.granted(), 0U);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "journal" / "job"));
  return outcome;
}

TEST(RobustRounds, TheVersionIsTheMedianOfTheUpdates) {
  const Outcome three = played(robust_toml("median", 3), {"a", "b", "c"}, 1);
  EXPECT_EQ(three.next, three.expected);
  const Outcome four = played(robust_toml("median", 4), {"a", "b", "c", "d"}, 1);
  EXPECT_EQ(four.next, four.expected);
}

TEST(RobustRounds, TheVersionIsTheMeanWithoutTheExtremes) {
  const Outcome five = played(robust_toml("trimmed_mean", 5), {"a", "b", "c", "d", "e"}, 1);
  EXPECT_EQ(five.next, five.expected);
}

// Pieces of two codecs, one of them longer than what is looked at together, and what is not sent.
TEST(RobustRounds, CompressedUpdatesAreWhatTheyDecodeTo) {
  for (const std::string codec : {"uniform", "rotated", "f32"}) {
    const Outcome large = played(
        robust_toml("median",
                    4,
                    kLargeModel +
                        "[[model.layers]]\ntype = \"dense\"\nunits = 7\n[train]\nfrozen = "
                        "[\"dense1.bias\"]\n[compress]\ncodec = \"" +
                        codec +
                        "\"\n[[compress.tensors]]\ntensors = \"dense2.*\"\ncodec = \"f16\"\n"),
        {"a", "b", "c", "d"},
        1);
    EXPECT_TRUE(large.next == large.expected) << codec;
    EXPECT_FALSE(large.next == large.base);
  }
}

TEST(RobustRounds, NeitherThreadsNorTheOrderOfArrivalChangeABit) {
  const auto version = [](unsigned threads, const std::vector<std::string>& names) {
    Folder folder;
    Daemon daemon(folder.path());
    daemon.context.compute_threads = threads;
    const auto job = daemon.submit(
        robust_toml("trimmed_mean", 4, kLargeModel + "[compress]\ncodec = \"sign\"\n"));
    const auto devices = join(daemon, names);
    EXPECT_TRUE(daemon.run_until([&] { return daemon.over(); }));
    return job->row().current_version;
  };
  EXPECT_EQ(version(1, {"a", "b", "c", "d"}), version(3, {"d", "b", "a", "c"}));
}

// Of ten devices one says −100 times what it learned.
TEST(RobustRounds, ALiarMovesFedAvgAndNotThem) {
  const std::vector<std::string> names{"a", "b", "c", "d", "e", "f", "g", "h", "i", "liar"};
  const auto largest_step = [&names](const std::string& strategy) {
    const Outcome outcome = played(robust_toml(strategy, names.size()), names, 0);
    float most = 0.0F;
    for (std::size_t i = 0; i < outcome.base.size(); ++i) {
      most = std::max(most, std::abs(outcome.next[i] - outcome.base[i]));
    }
    return most;
  };
  // An honest element is at most 0.05 and a hundredth of the parameter.
  constexpr float kHonest = 0.07F;
  EXPECT_GT(largest_step("fedavg"), 4 * kHonest);
  EXPECT_LT(largest_step("median"), kHonest);
  EXPECT_LT(largest_step("trimmed_mean"), kHonest);
}

TEST(RobustRounds, AsksForTheMemoryItNeedsBeforeTheRoundOpens) {
  Folder folder;
  DaemonOptions options;
  // Tiles of two threads, their scratch, and a mean.
  options.memory = (2U << 20U) + 2 * 3 * 64 * sizeof(float) + 93 * sizeof(float);
  Daemon daemon(folder.path(), options);
  auto taken = daemon.memory.take(1);
  const auto job = daemon.submit(robust_toml("median", 3));
  const auto devices = join(daemon, {"a", "b", "c"});
  ASSERT_TRUE(daemon.run_until([&] { return job->machine().job_phase() == JobPhase::degraded; }));
  EXPECT_THAT(
      job->machine().why(),
      HasSubstr("a round of job 'job' needs 2099060 bytes for its updates side by side, and "
                "2099059 of limits.memory_budget are left: raise it, or pause another job"));
  EXPECT_TRUE(devices[0]->assigned.empty());
  taken = MemoryBudget::Grant();
  ASSERT_TRUE(job->control(JobVerb::resume));
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(job->machine().job_phase(), JobPhase::finished);
  EXPECT_EQ(daemon.memory.granted(), 0U);
}

TEST(RobustRounds, MemoryGoesFromRoundToRoundAndBackWhenAJobPauses) {
  Folder folder;
  Daemon daemon(folder.path());
  std::string toml = robust_toml("median", 3);
  const std::string rounds = "rounds = 1\n";
  toml.replace(toml.find(rounds), rounds.size(), "rounds = 1000000\n");
  const auto job = daemon.submit(toml);
  const auto devices = join(daemon, {"a", "b", "c"});
  ASSERT_TRUE(daemon.run_until([&] { return job->row().last_round.value >= 3; }));
  const std::uint64_t granted = daemon.memory.granted();
  EXPECT_GT(granted, 0U);
  ASSERT_TRUE(daemon.run_until([&] { return job->row().last_round.value >= 5; }));
  EXPECT_EQ(daemon.memory.granted(), granted);
  ASSERT_TRUE(job->control(JobVerb::pause));
  ASSERT_TRUE(daemon.run_until(
      [&] { return job->machine().job_phase() == JobPhase::paused && job->idle(); }));
  EXPECT_EQ(daemon.memory.granted(), 0U);
}

}  // namespace
}  // namespace chorus::server::test
