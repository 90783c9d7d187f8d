// What devices share from round to round: the same for all, made of the round before, also over
// restarts and rounds that come to nothing.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "common/codec/basis.hpp"
#include "common/crypto/digest.hpp"
#include "tests/unit/server/driver/daemon.hpp"

namespace chorus::server::test {
namespace {

constexpr const char* kSubspace = "[compress]\ncodec = \"subspace\"\nrank = 1\n";

std::string job_of(int rounds) {
  return job_toml(std::string("[evaluation]\nfraction = 0\n") + kSubspace, "job", rounds);
}

/// The tasks that ask for training.
std::vector<Assignment> trainings(const FakeDevice& device) {
  std::vector<Assignment> tasks;
  for (const Assignment& task : device.assigned) {
    if (task.work.task.kind == TaskKind::train) tasks.push_back(task);
  }
  return tasks;
}

/// What is shared in each of them: "-" nothing, "r" rows, "c" columns.
std::string sides(const FakeDevice& device) {
  std::string all;
  for (const Assignment& task : trainings(device)) {
    all += task.basis == nullptr ? '-' : task.basis->basis->shares_rows ? 'r' : 'c';
  }
  return all;
}

TEST(JobSubspace, AllShareTheSameAndOneSideAfterTheOther) {
  Folder folder;
  Daemon daemon(folder.path());
  daemon.submit(job_toml(kSubspace, "job", 4));
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(daemon.job()->machine().job_phase(), JobPhase::finished);
  for (const auto& device : devices) {
    EXPECT_EQ(sides(*device), "-rcr");
    for (const Assignment& task : device->assigned) {
      const bool has = task.work.task.kind == TaskKind::train && task.work.task.round.value > 1;
      EXPECT_EQ(task.basis != nullptr, has);
      EXPECT_EQ(task.work.basis.has_value(), has);
      if (!has) continue;
      EXPECT_EQ(*task.work.basis, task.basis->ref);
      EXPECT_EQ(task.basis->ref.sha256, sha256(task.basis->bytes));
      EXPECT_EQ(codec::basis_from(task.basis->bytes).value(), *task.basis->basis);
    }
  }
  for (std::size_t round = 1; round < 4; ++round) {
    EXPECT_EQ(trainings(*devices[0])[round].work.basis, trainings(*devices[1])[round].work.basis);
  }
}

TEST(JobSubspace, TheNextRoundSharesWhatThisOneHasLearned) {
  Folder folder;
  Daemon daemon(folder.path());
  daemon.submit(job_of(2));
  const auto devices = join_all(daemon);
  for (const auto& device : devices) device->trains = false;
  ASSERT_TRUE(daemon.run_until([&] { return devices[2]->assigned.size() == 1; }));
  const auto form = FakeDevice::form_of(devices[0]->assigned[0]);
  ASSERT_GT(form.basis_elements(), 0U);
  for (const auto& device : devices) device->offer(device->assigned[0]);
  ASSERT_TRUE(daemon.run_until([&] { return trainings(*devices[2]).size() == 2; }));
  // P of the mean is the mean of P: the mean update's factor, made orthonormal.
  std::vector<float> mean(form.parameters());
  double weights = 0.0;
  for (const auto& device : devices) {
    const auto& name = device->key().client.value;
    const auto values = FakeDevice::update_for(device->assigned[0], name);
    const auto weight =
        static_cast<double>(FakeDevice::offer_for(device->assigned[0], name).examples.value);
    weights += weight;
    for (std::size_t i = 0; i < mean.size(); ++i) {
      mean[i] += static_cast<float>(weight) * values[i];
    }
  }
  for (float& value : mean) value /= static_cast<float>(weights);
  std::vector<float> expected;
  for (std::size_t p = 0; p < form.pieces().size(); ++p) {
    const codec::Piece& piece = form.pieces()[p];
    if (codec::basis_elements(piece.codec, piece.count) == 0) continue;
    const auto x = std::span(mean).subspan(piece.first, piece.count);
    const auto payload = codec::encode(piece.codec, x, form.keys(p)).value();
    std::vector<float> factor(payload.size() / sizeof(float));
    std::memcpy(factor.data(), payload.data(), payload.size());
    const auto own = codec::next_basis(piece.codec, piece.count, factor, form.keys(p).round);
    expected.insert(expected.end(), own.begin(), own.end());
  }
  const auto& found = trainings(*devices[0])[1].basis->basis->values;
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5);
}

TEST(JobSubspace, SurvivesARestart) {
  Folder folder;
  std::optional<wire::ModelRef> before;
  {
    Daemon daemon(folder.path());
    daemon.submit(job_of(3));
    const auto devices = join_all(daemon);
    devices[0]->on_accepted = [&] { devices[0]->trains = false; };
    ASSERT_TRUE(daemon.run_until([&] { return trainings(*devices[0]).size() == 2; }));
    before = trainings(*devices[0])[1].work.basis;
  }
  Daemon daemon(folder.path());
  ASSERT_TRUE(daemon.recover());
  const auto devices = join_all(daemon);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(daemon.job()->machine().job_phase(), JobPhase::finished);
  EXPECT_EQ(trainings(*devices[0])[0].work.basis, before);
  EXPECT_EQ(sides(*devices[0]), "rc");
}

TEST(JobSubspace, ARoundThatCameToNothingLeavesItAsItIs) {
  Folder folder;
  Daemon daemon(folder.path());
  const auto job = daemon.submit(job_of(4));
  const auto devices = join_all(daemon);
  devices[0]->on_accepted = [&] { devices[0]->trains = false; };
  ASSERT_TRUE(daemon.run_until([&] { return trainings(*devices[0]).size() == 2; }));
  ASSERT_TRUE(job->control(JobVerb::abort_round));
  devices[0]->on_accepted = {};
  devices[0]->trains = true;
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(sides(*devices[1]), "-rrc");
  EXPECT_EQ(trainings(*devices[1])[1].work.basis, trainings(*devices[1])[2].work.basis);
}

TEST(JobSubspace, IsThatOfTheVersionThatWasPublished) {
  Folder folder;
  Daemon daemon(folder.path());
  daemon.ledger->failing.insert("publish_round");
  const auto job = daemon.submit(job_of(2));
  const auto devices = join_all(daemon);
  const auto stored = [&daemon] {
    return daemon.ask([&daemon] { return daemon.ledger->round_basis(JobId{"job"}); })->size();
  };
  ASSERT_TRUE(daemon.run_until([&] { return job->machine().job_phase() == JobPhase::degraded; }));
  EXPECT_EQ(stored(), 0U);
  ASSERT_TRUE(job->control(JobVerb::resume));
  ASSERT_TRUE(daemon.run_until([&] { return trainings(*devices[0]).size() == 2; }));
  EXPECT_EQ(stored(), trainings(*devices[0])[1].work.basis->bytes);
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over() && job->idle(); }));
  EXPECT_EQ(job->machine().job_phase(), JobPhase::finished);
  EXPECT_EQ(sides(*devices[0]), "-r");
  EXPECT_EQ(stored(), 0U) << "the job is over";
}

}  // namespace
}  // namespace chorus::server::test
