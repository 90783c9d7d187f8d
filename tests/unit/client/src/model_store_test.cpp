// The model store and the cache of versions under it.
#include "client/src/model_store.hpp"

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/tensor/safetensors.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::client {
namespace {

using ::testing::HasSubstr;

wire::Work work_of(const wire::ModelRef& ref, const ModelSpec& spec) {
  wire::Work work;
  work.model = ref;
  work.spec = spec;
  return work;
}

struct Version {
  explicit Version(float first, std::uint64_t units = 3) {
    spec.input_shape = {4};
    spec.layers = {Dense{"out", units}};
    layout = layout_of(spec).value();
    parameters.assign(layout.parameters, 0.25F);
    parameters[0] = first;
    file = tensor::build_header(layout, {}).value();
    const auto data = std::as_bytes(std::span(parameters));
    file.insert(file.end(), data.begin(), data.end());
    finish();
  }
  wire::Work work() const { return work_of(ref, spec); }
  void finish() { ref = {sha256(std::span<const std::byte>(file)), file.size()}; }

  ModelSpec spec;
  TensorLayout layout;
  std::vector<float> parameters;
  std::vector<std::byte> file;
  wire::ModelRef ref;
};

class ModelStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(versions_); }
  static void receive(ModelStore& store,
                      const Version& version,
                      std::uint64_t from,
                      std::uint64_t to,
                      std::size_t chunk = 7) {
    while (from < to) {
      const std::size_t bytes = std::min<std::uint64_t>(chunk, to - from);
      const auto place = store.place(from, bytes);
      std::copy_n(version.file.begin() + static_cast<std::ptrdiff_t>(from), bytes, place.begin());
      store.keep(from, bytes);
      from += bytes;
    }
  }
  // As a device does it; gives the bytes that were there already.
  std::uint64_t obtain(ModelStore& store, const Version& version) {
    const auto held = store.look_up(version.work());
    EXPECT_TRUE(held) << held.error().detail;
    if (held->there < version.file.size()) {
      receive(store, version, held->there, version.file.size());
      const auto verified = store.verify();
      EXPECT_TRUE(verified) << verified.error().detail;
    }
    const auto parameters = store.parameters();
    EXPECT_TRUE(std::equal(parameters.begin(),
                           parameters.end(),
                           version.parameters.begin(),
                           version.parameters.end()));
    return held->there;
  }
  std::size_t files(const std::string& suffix) const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(versions_)) {
      if (entry.path().extension() == suffix) ++count;
    }
    return count;
  }

  test::TempFolder folder_;
  std::filesystem::path versions_ = folder_.path() / "versions";
  VersionCache cache_{versions_};
};

TEST_F(ModelStoreTest, ReceivesOnceAndFindsItAgain) {
  const Version version(1.0F);
  ModelStore store(&cache_);
  EXPECT_EQ(obtain(store, version), 0U);
  EXPECT_EQ(files(".part"), 0U);
  EXPECT_EQ(files(".safetensors"), 1U);
  EXPECT_EQ(obtain(store, version), version.file.size());  // in memory
  VersionCache fresh_cache(versions_);
  ModelStore fresh(&fresh_cache);
  EXPECT_EQ(obtain(fresh, version), version.file.size());  // on disk
}

TEST_F(ModelStoreTest, WorksWithoutACache) {
  const Version version(1.0F);
  const Version other(2.0F);
  ModelStore store(nullptr);
  EXPECT_EQ(obtain(store, version), 0U);
  store.release();
  EXPECT_EQ(obtain(store, version), version.file.size());
  EXPECT_EQ(obtain(store, other), 0U);
  EXPECT_EQ(obtain(store, version), 0U);
}

TEST_F(ModelStoreTest, GoesOnWhereItStoppedEvenAfterARestart) {
  const Version version(1.0F);
  for (const std::uint64_t cut : {std::uint64_t{1}, std::uint64_t{100}, version.ref.bytes - 1}) {
    std::filesystem::remove_all(versions_);
    std::filesystem::create_directories(versions_);
    {
      ModelStore store(&cache_);
      ASSERT_EQ(store.look_up(version.work()).value().there, 0U);
      receive(store, version, 0, cut);
      EXPECT_EQ(store.look_up(version.work()).value().there, cut);  // same process
    }
    VersionCache fresh_cache(versions_);
    ModelStore fresh(&fresh_cache);
    EXPECT_EQ(obtain(fresh, version), cut);
  }
}

TEST_F(ModelStoreTest, AWholePartIsVerifiedWithoutTheNetwork) {
  const Version version(1.0F);
  {
    ModelStore store(&cache_);
    ASSERT_TRUE(store.look_up(version.work()));
    receive(store, version, 0, version.file.size());
  }
  VersionCache fresh_cache(versions_);
  ModelStore fresh(&fresh_cache);
  EXPECT_EQ(obtain(fresh, version), version.file.size());
}

TEST_F(ModelStoreTest, ADamagedPartBeginsAnew) {
  const Version version(1.0F);
  const auto part = versions_ / (hex(version.ref.sha256) + ".part");
  // Whole, but wrong; and longer than the version.
  for (const std::size_t bytes : {version.file.size(), version.file.size() + 1}) {
    std::vector<std::byte> wrong(bytes, std::byte{1});
    ASSERT_TRUE(write_durably(part, std::span<const std::byte>(wrong)));
    VersionCache fresh_cache(versions_);
    ModelStore fresh(&fresh_cache);
    EXPECT_EQ(obtain(fresh, version), 0U);
    std::filesystem::remove(versions_ / (hex(version.ref.sha256) + ".safetensors"));
  }
}

TEST_F(ModelStoreTest, ADamagedVersionIsRemoved) {
  const Version version(1.0F);
  ModelStore store(&cache_);
  obtain(store, version);
  const auto path = versions_ / (hex(version.ref.sha256) + ".safetensors");
  auto bytes = version.file;
  bytes.back() ^= std::byte{1};
  ASSERT_TRUE(write_durably(path, std::span<const std::byte>(bytes)));
  VersionCache fresh_cache(versions_);
  ModelStore fresh(&fresh_cache);
  EXPECT_EQ(fresh.look_up(version.work()).value().there, 0U);
  EXPECT_FALSE(std::filesystem::exists(path));
  std::filesystem::resize_file(versions_ / (hex(version.ref.sha256) + ".part"), 0);
  EXPECT_EQ(obtain(fresh, version), 0U);
}

TEST_F(ModelStoreTest, RefusesOtherBytesThanAnnounced) {
  Version version(1.0F);
  ModelStore store(&cache_);
  ASSERT_TRUE(store.look_up(version.work()));
  version.file[version.file.size() - 2] ^= std::byte{4};
  receive(store, version, 0, version.file.size());
  EXPECT_EQ(store.verify().error().code, errc::digest_mismatch);
  EXPECT_EQ(files(".safetensors"), 0U);
  version.file[version.file.size() - 2] ^= std::byte{4};
  EXPECT_EQ(obtain(store, version), 0U);  // nothing of it was kept
}

TEST_F(ModelStoreTest, RefusesAVersionOfAnotherLayout) {
  Version version(1.0F, 3);
  const ModelSpec renamed = [&] {
    ModelSpec spec = version.spec;
    std::get<Dense>(spec.layers[0]).name = "other";
    return spec;
  }();
  ModelStore store(&cache_);
  ASSERT_TRUE(store.look_up(work_of(version.ref, renamed)));
  receive(store, version, 0, version.file.size());
  EXPECT_EQ(store.verify().error().code, errc::shape_mismatch);
}

TEST_F(ModelStoreTest, RefusesWhatIsNoSafetensorsFile) {
  Version version(1.0F);
  version.file.assign(version.file.size(), std::byte{0});
  version.finish();
  ModelStore store(&cache_);
  ASSERT_TRUE(store.look_up(version.work()));
  receive(store, version, 0, version.file.size());
  EXPECT_EQ(store.verify().error().code, errc::malformed_file);
}

TEST_F(ModelStoreTest, RefusesSizesThatCannotBe) {
  const Version version(1.0F);
  ModelStore store(&cache_);
  wire::ModelRef ref = version.ref;
  ref.bytes = version.layout.parameters * sizeof(float);
  EXPECT_EQ(store.look_up(work_of(ref, version.spec)).error().code, errc::shape_mismatch);
  ref.bytes = limits::kModelBytesMax;
  EXPECT_EQ(store.look_up(work_of(ref, version.spec)).error().code, errc::shape_mismatch);
  ModelSpec nonsense = version.spec;
  nonsense.layers.push_back(Conv2d{"c", 1, 3, 1, 0});
  EXPECT_EQ(store.look_up(work_of(version.ref, nonsense)).error().code, errc::invalid_argument);
}

TEST_F(ModelStoreTest, KeepsOnlyTheNewestVersionsAndOnePart) {
  ModelStore store(&cache_);
  for (int i = 0; i < 5; ++i) obtain(store, Version(static_cast<float>(i)));
  EXPECT_EQ(files(".safetensors"), limits::kCachedVersionsMax);
  const Version a(10.0F);
  const Version b(11.0F);
  ASSERT_TRUE(store.look_up(a.work()));
  receive(store, a, 0, 10);
  ASSERT_TRUE(store.look_up(b.work()));
  receive(store, b, 0, 10);
  EXPECT_EQ(files(".part"), 1U);
}

TEST_F(ModelStoreTest, WorksWhenTheCacheCannotBeWritten) {
  std::filesystem::remove_all(versions_);
  const Version version(1.0F);
  ModelStore store(&cache_);
  EXPECT_EQ(obtain(store, version), 0U);
}

}  // namespace
}  // namespace chorus::client
