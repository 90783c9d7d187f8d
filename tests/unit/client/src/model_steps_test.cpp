// Versions made here from the one before: by steps, from memory, cache or nothing, and what becomes
// of steps that do not come out right.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/src/model_store.hpp"
#include "common/base/rng.hpp"
#include "common/codec/update.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_metadata.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::client {
namespace {

/// A server's versions 0, 1, 2 …, each a step from the one before.
class Lineage {
 public:
  explicit Lineage(bool whole = false) : whole_(whole) {
    spec_.input_shape = {40};
    spec_.layers = {Dense{"body", 30}, Dense{"out", 5}};
    layout_ = layout_of(spec_).value();
    header_ = tensor::build_header(layout_, tensor::metadata_of(spec_, {}).value()).value();
    steps_.compression.codec = {.kind = CodecKind::uniform, .bits = 8, .bucket = 64};
    x_.resize(layout_.parameters);
    add_version();
    for (int i = 0; i < 4; ++i) advance();
  }

  /// The task of the newest but `back` versions, which offers so many steps.
  wire::Work work(std::size_t version, std::size_t steps) const {
    wire::Work work;
    work.spec = spec_;
    work.model = {sha256(std::span<const std::byte>(files_[version])), files_[version].size()};
    work.plan = TrainPlan{};
    if (steps == 0) return work;
    work.steps = steps_;
    work.steps->steps.assign(all_.begin() + static_cast<std::ptrdiff_t>(version - steps),
                             all_.begin() + static_cast<std::ptrdiff_t>(version));
    return work;
  }
  const std::vector<std::byte>& file(std::size_t version) const { return files_[version]; }
  std::span<const float> parameters(std::size_t version) const { return values_[version]; }
  /// The last `steps` bodies to a version, one after the other.
  std::vector<std::byte> bodies(std::size_t version, std::size_t steps) const {
    std::vector<std::byte> all;
    for (std::size_t v = version - steps; v < version; ++v) {
      all.insert(all.end(), bodies_[v].begin(), bodies_[v].end());
    }
    return all;
  }

 private:
  void advance() {
    Rng rng(files_.size());
    std::vector<float> delta(x_.size());
    for (float& value : delta) value = static_cast<float>(rng.normal());
    codec::VersionStep step;
    step.seed = files_.size();
    const auto form = codec::form_of(steps_, step.seed, layout_).value();
    bodies_.push_back(codec::encode_update(form, delta).value());
    if (whole_) {
      std::fill(x_.begin(), x_.end(), 0.0F);
    } else {
      step.base = sha256(std::span<const std::byte>(files_.back()));
    }
    EXPECT_TRUE(codec::add_update(form, bodies_.back(), x_));
    add_version();
    step.sha256 = sha256(std::span<const std::byte>(files_.back()));
    step.bytes = bodies_.back().size();
    all_.push_back(step);
  }
  void add_version() {
    values_.push_back(x_);
    std::vector<std::byte> file = header_;
    const auto data = std::as_bytes(std::span<const float>(x_));
    file.insert(file.end(), data.begin(), data.end());
    files_.push_back(std::move(file));
  }

  bool whole_;
  ModelSpec spec_;
  TensorLayout layout_;
  std::vector<std::byte> header_;
  codec::VersionSteps steps_;
  std::vector<codec::VersionStep> all_;
  std::vector<float> x_;
  std::vector<std::vector<float>> values_;
  std::vector<std::vector<std::byte>> files_;
  std::vector<std::vector<std::byte>> bodies_;
};

class ModelStepsTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(versions_); }

  static void receive(ModelStore& store, std::span<const std::byte> bytes, std::size_t from = 0) {
    constexpr std::size_t kChunk = 701;
    for (std::size_t at = from; at < bytes.size(); at += kChunk) {
      const auto part = bytes.subspan(at, std::min(kChunk, bytes.size() - at));
      std::copy(part.begin(), part.end(), store.place(at, part.size()).begin());
      store.keep(at, part.size());
    }
  }
  /// As a device does it. @returns how many steps it took; 0: the file
  std::uint32_t obtain(ModelStore& store, std::size_t version, std::size_t steps) {
    const auto download = store.look_up(lineage_.work(version, steps)).value();
    EXPECT_EQ(download.there, 0U);
    if (download.steps == 0) {
      store.restart();
      receive(store, lineage_.file(version));
    } else {
      const auto bodies = lineage_.bodies(version, download.steps);
      EXPECT_EQ(download.total, bodies.size());
      receive(store, bodies);
    }
    const auto verified = store.verify();
    EXPECT_TRUE(verified) << verified.error().detail;
    expect_version(store, version);
    return download.steps;
  }
  void expect_version(const ModelStore& store, std::size_t version) const {
    const auto expected = lineage_.parameters(version);
    const auto found = store.parameters();
    EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin(), expected.end()));
  }
  std::filesystem::path path_of(std::size_t version) const {
    return versions_ /
           (hex(sha256(std::span<const std::byte>(lineage_.file(version)))) + ".safetensors");
  }

  test::TempFolder folder_;
  std::filesystem::path versions_ = folder_.path() / "versions";
  VersionCache cache_{versions_};
  Lineage lineage_;
};

TEST_F(ModelStepsTest, TheFewestFromWhatIsInMemory) {
  ModelStore store(nullptr);
  EXPECT_EQ(obtain(store, 0, 0), 0U);
  EXPECT_EQ(obtain(store, 1, 1), 1U);
  EXPECT_EQ(obtain(store, 2, 2), 1U);
  EXPECT_EQ(obtain(store, 4, 3), 2U);  // was away for a round
}

TEST_F(ModelStepsTest, FromTheCacheAfterARestart) {
  {
    ModelStore store(&cache_);
    obtain(store, 0, 0);
    obtain(store, 1, 1);
  }
  VersionCache fresh_cache(versions_);
  ModelStore fresh(&fresh_cache);
  EXPECT_EQ(obtain(fresh, 2, 2), 1U);
  VersionCache last_cache(versions_);
  ModelStore last(&last_cache);  // what was made is in the cache, too
  EXPECT_EQ(last.look_up(lineage_.work(2, 2)).value(),
            (Download{lineage_.file(2).size(), lineage_.file(2).size(), 0}));
  expect_version(last, 2);
}

TEST_F(ModelStepsTest, TheFileWhenNoStepBeginsHere) {
  ModelStore store(&cache_);
  EXPECT_EQ(obtain(store, 0, 0), 0U);
  EXPECT_EQ(obtain(store, 3, 2), 0U);
}

TEST_F(ModelStepsTest, TheFileWhenTheStepsAreAsManyBytes) {
  ModelStore store(nullptr);
  obtain(store, 0, 0);
  EXPECT_EQ(lineage_.bodies(3, 3).size() < lineage_.file(3).size(), true);
  EXPECT_EQ(lineage_.bodies(4, 4).size() >= lineage_.file(4).size(), true);
  EXPECT_EQ(store.look_up(lineage_.work(4, 4)).value().steps, 0U);
}

TEST_F(ModelStepsTest, AStepThatSaysAllNeedsNothing) {
  lineage_ = Lineage(true);
  ModelStore store(&cache_);
  EXPECT_EQ(obtain(store, 2, 1), 1U);
  EXPECT_EQ(obtain(store, 4, 1), 1U);
}

TEST_F(ModelStepsTest, GoOnWhereTheyStopped) {
  ModelStore store(&cache_);
  obtain(store, 0, 0);
  const auto bodies = lineage_.bodies(2, 2);
  ASSERT_EQ(store.look_up(lineage_.work(2, 2)).value(), (Download{bodies.size(), 0, 2}));
  receive(store, std::span(bodies).first(1000));
  ASSERT_EQ(store.look_up(lineage_.work(2, 2)).value(), (Download{bodies.size(), 1000, 2}));
  receive(store, bodies, 1000);
  ASSERT_TRUE(store.verify());
  expect_version(store, 2);
}

TEST_F(ModelStepsTest, ThatWereBegunDoNotSpoilWhatTheyBeginWith) {
  ModelStore store(nullptr);
  obtain(store, 0, 0);
  ASSERT_EQ(store.look_up(lineage_.work(1, 1)).value().steps, 1U);
  receive(store, std::span<const std::byte>(lineage_.bodies(1, 1)).first(500));
  EXPECT_EQ(obtain(store, 2, 2), 2U);  // another round meanwhile
}

TEST_F(ModelStepsTest, ThatDoNotComeOutRightGiveWayToTheFile) {
  ModelStore store(&cache_);
  obtain(store, 0, 0);
  auto bodies = lineage_.bodies(1, 1);
  bodies.back() ^= std::byte{1};
  ASSERT_EQ(store.look_up(lineage_.work(1, 1)).value().steps, 1U);
  receive(store, bodies);
  EXPECT_EQ(store.verify().error().code, errc::digest_mismatch);
  store.restart();
  receive(store, lineage_.file(1));
  ASSERT_TRUE(store.verify());
  expect_version(store, 1);
  EXPECT_EQ(obtain(store, 2, 1), 1U) << "once is an accident";
}

// A whole download that nobody had verified, of the version that steps lead to as well.
TEST_F(ModelStepsTest, APartOfTheFileIsNotInTheirWay) {
  {
    ModelStore store(&cache_);
    obtain(store, 0, 0);
    ASSERT_TRUE(store.look_up(lineage_.work(1, 0)));
    receive(store, lineage_.file(1));
  }
  VersionCache fresh_cache(versions_);
  ModelStore fresh(&fresh_cache);
  ASSERT_EQ(fresh.look_up(lineage_.work(1, 1)).value().steps, 1U);
  receive(fresh, std::vector<std::byte>(lineage_.bodies(1, 1).size()));
  EXPECT_FALSE(fresh.verify());
  fresh.restart();
  receive(fresh, lineage_.file(1));
  ASSERT_TRUE(fresh.verify());
  expect_version(fresh, 1);
}

TEST_F(ModelStepsTest, ThatTheServerCannotReadGiveWayToTheFile) {
  ModelStore store(&cache_);
  obtain(store, 0, 0);
  ASSERT_EQ(store.look_up(lineage_.work(1, 1)).value().steps, 1U);
  EXPECT_EQ(obtain(store, 1, 1), 0U) << "nothing came of them";
  EXPECT_EQ(obtain(store, 2, 1), 1U) << "which says nothing of others";
}

TEST_F(ModelStepsTest, ThatNeverComeOutRightAreAskedForRarely) {
  ModelStore store(&cache_);
  obtain(store, 0, 0);
  for (std::size_t version = 1; version <= 2; ++version) {
    ASSERT_EQ(store.look_up(lineage_.work(version, 1)).value().steps, 1U);
    receive(store, std::vector<std::byte>(lineage_.bodies(version, 1).size()));
    EXPECT_FALSE(store.verify());
    EXPECT_EQ(obtain(store, version, 0), 0U);
  }
  EXPECT_EQ(obtain(store, 3, 1), 0U);
}

TEST_F(ModelStepsTest, ADamagedVersionInTheCacheIsFoundAndRemoved) {
  {
    ModelStore store(&cache_);
    obtain(store, 0, 0);
  }
  std::fstream file(path_of(0), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x3F');  // a number that adding does not round away
  file.close();
  VersionCache fresh_cache(versions_);
  ModelStore fresh(&fresh_cache);
  ASSERT_EQ(fresh.look_up(lineage_.work(1, 1)).value().steps, 1U);
  receive(fresh, lineage_.bodies(1, 1));
  EXPECT_EQ(fresh.verify().error().code, errc::digest_mismatch);
  EXPECT_FALSE(std::filesystem::exists(path_of(0)));
  receive(fresh, lineage_.file(1));
  EXPECT_TRUE(fresh.verify());
}

}  // namespace
}  // namespace chorus::client
