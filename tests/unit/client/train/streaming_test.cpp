// Examples that are not all in memory.
#include <fstream>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/audio.hpp"
#include "chorus/client/builtin_trainer.hpp"
#include "chorus/client/dataset.hpp"
#include "chorus/client/text.hpp"
#include "common/base/try.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/client/train/examples.hpp"
#include "tests/unit/client/train/gzip.hpp"

namespace chorus::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Counts how often features are read; example i has the feature i.
class Counted : public ExampleSource {
 public:
  explicit Counted(std::size_t size) : reads(size) {}
  ExampleFormat format() const override { return {{1}, 2, 1, "counted"}; }
  std::size_t size() const override { return reads.size(); }
  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    for (std::size_t i = 0; i < examples.size(); ++i) {
      if (broken && examples[i] == 3) return fail(errc::io_failed, "no example 3");
      if (!into.features.empty()) {
        into.features[i] = static_cast<float>(examples[i]);
        ++reads[examples[i]];
      }
      if (!into.labels.empty()) into.labels[i] = examples[i] % 2;
      if (!into.targets.empty()) into.targets[i] = -static_cast<float>(examples[i]);
    }
    return {};
  }
  mutable std::vector<int> reads;
  bool broken = false;
};

TEST(CachedDataset, KeepsWhatCameFirstAsFarAsThereIsRoom) {
  const auto source = std::make_shared<Counted>(6);
  const auto data = Dataset::of(source)->cached(3 * sizeof(float) + 1);
  ASSERT_TRUE(data);
  const std::vector<std::uint32_t> order = {5, 0, 5, 2, 1, 4, 3};
  for (int pass = 0; pass < 3; ++pass) {
    std::vector<float> features(7);
    std::vector<std::uint32_t> labels(7);
    std::vector<float> targets(7);
    ASSERT_TRUE(data->read(order, {features, labels, targets}));
    EXPECT_THAT(features, ElementsAre(5, 0, 5, 2, 1, 4, 3));
    EXPECT_THAT(labels, ElementsAre(1, 0, 1, 0, 1, 0, 1));
    EXPECT_THAT(targets, ElementsAre(-5, 0, -5, -2, -1, -4, -3));
  }
  EXPECT_THAT(source->reads, ElementsAre(1, 3, 1, 3, 3, 1));
}

TEST(CachedDataset, WithoutRoomReadsEveryTime) {
  const auto source = std::make_shared<Counted>(2);
  const auto data = Dataset::of(source)->cached(0);
  ASSERT_TRUE(data->example(1) && data->example(1));
  EXPECT_THAT(source->reads, ElementsAre(0, 2));
}

TEST(CachedDataset, HandsFailuresOnAndKeepsNothingOfThem) {
  const auto source = std::make_shared<Counted>(5);
  source->broken = true;
  const auto data = Dataset::of(source)->cached(1U << 20U);
  EXPECT_THAT(data->example(3).error().detail, HasSubstr("no example 3"));
  source->broken = false;
  EXPECT_THAT(data->example(3)->features, ElementsAre(3));
}

TEST(CachedDataset, IsSharedBetweenThreads) {
  const auto data = Dataset::of(std::make_shared<Counted>(400))->cached(200 * sizeof(float));
  std::vector<std::thread> threads;
  std::vector<double> sums(4);
  // Labels and targets of the source are plain; features are counted, so each thread has its own.
  for (std::size_t t = 0; t < sums.size(); ++t) {
    threads.emplace_back([&, t] {
      for (auto i = static_cast<std::uint32_t>(t); i < 400; i += 4) {
        sums[t] += data->example(i)->features[0];
        sums[t] += data->example(i)->features[0];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(sums[0] + sums[1] + sums[2] + sums[3], 399.0 * 400);
}

TEST(LoadedDataset, IsReadOnceAndThenInMemory) {
  const auto source = std::make_shared<Counted>(6);
  const auto part = Dataset::of(source)->subset(std::vector<std::uint32_t>{4, 2});
  const auto data = part->loaded(2 * 3 * sizeof(float));
  ASSERT_TRUE(data) << data.error().detail;
  EXPECT_TRUE(data->in_memory());
  EXPECT_THAT(data->example(0)->features, ElementsAre(4));
  EXPECT_THAT(data->example(1)->targets, ElementsAre(-2));
  EXPECT_THAT(data->labels().value(), ElementsAre(0, 0));
  EXPECT_THAT(source->reads, ElementsAre(0, 0, 1, 0, 1, 0));
  const auto refused = part->loaded(2 * 3 * sizeof(float) - 1);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail,
              HasSubstr("counted: 2 examples of 1 features need more than 23 bytes of memory"));
}

TEST(WavStream, GivesTheClipsOfMemory) {
  const test::TempFolder folder;
  WavFolderOptions options;
  options.folder = folder.path();
  options.features.sample_rate = 8000;
  options.features.window = 200;
  options.features.fft = 256;
  options.features.mels = 20;
  const auto golden = std::filesystem::path(CHORUS_GOLDEN_DIR) / "wav";
  for (const char* name : {"a", "b"}) {
    std::filesystem::create_directory(folder.path() / name);
    std::filesystem::copy(golden / "tone.wav", folder.path() / name / "1.wav");
  }
  const auto held = load_wav_folder(options);
  options.stream = true;
  const auto streamed = load_wav_folder(options);
  ASSERT_TRUE(held && streamed);
  EXPECT_EQ(streamed->dataset.example(1)->features, held->dataset.example(1)->features);
  std::filesystem::copy(golden / "i16.wav", folder.path() / "b" / "2.wav");
  const auto late = load_wav_folder(options);
  ASSERT_TRUE(late);
  EXPECT_THAT(late->dataset.example(2).error().detail,
              HasSubstr("2.wav' has 4 samples; expected 1000 as '"));
}

// Windows of a text overlap: cut out, they would take 4 · window bytes per character.
TEST(TextStream, MemoryDoesNotDependOnTheWindow) {
  const test::TempFolder folder;
  TextOptions options;
  options.path = folder.path() / "text";
  options.window = 100'000;
  options.sequence = true;
  options.bytes_max = 1U << 20U;
  std::string text(1U << 20U, 'a');
  for (std::size_t i = 0; i < text.size(); i += 3) text[i] = 'b';
  test::write_plain(options.path, text);
  const auto data = load_text(options);  // 850 GB of features and targets
  ASSERT_TRUE(data) << data.error().detail;
  EXPECT_EQ(data->dataset.size(), text.size() - options.window);
  const Example last = data->dataset.example(data->dataset.size() - 1).value();
  EXPECT_EQ(options.vocabulary[static_cast<std::size_t>(last.targets.back())], text.back());
  EXPECT_EQ(options.vocabulary[last.label], text.back());
  EXPECT_EQ(last.targets[0], last.features[1]);
}

std::uint64_t peak_bytes() {
  rusage usage{};
  EXPECT_EQ(::getrusage(RUSAGE_SELF, &usage), 0);
  return static_cast<std::uint64_t>(usage.ru_maxrss) << 10U;
}

#ifdef __SANITIZE_ADDRESS__  // keeps what was freed for a while
constexpr std::uint64_t kPeakMax = 1ULL << 30U;
#else
constexpr std::uint64_t kPeakMax = 256ULL << 20U;
#endif

// 200,000 pictures of 64 KiB in a file with holes: 13 GB on disk, 52 GB as features.
TEST(Streaming, ADatasetLargerThanMemoryTrains) {
  constexpr std::uint32_t kExamples = 200'000;
  const test::TempFolder folder;
  IdxOptions options;
  options.images = folder.path() / "images";
  options.labels = folder.path() / "labels";
  const std::string count("\x00\x03\x0D\x40", 4);
  test::write_plain(options.labels, std::string("\x00\x00\x08\x01", 4) + count);
  std::filesystem::resize_file(options.labels, 8 + kExamples);
  test::write_plain(options.images,
                    std::string("\x00\x00\x08\x03", 4) + count +
                        std::string("\x00\x00\x01\x00\x00\x00\x01\x00", 8));
  std::filesystem::resize_file(options.images, 16 + (std::uint64_t{kExamples} << 16U));
  options.classes = 2;
  EXPECT_THAT(load_idx(options).error().detail, HasSubstr("at most"));
  options.stream = true;
  const std::uint64_t before = peak_bytes();
  const auto data = load_idx(options);
  ASSERT_TRUE(data) << data.error().detail;
  ASSERT_EQ(data->size(), kExamples);

  const ModelSpec model{{1, 256, 256}, {AvgPool2d{32, 32}, Flatten{}, Dense{"", 2}}};
  const auto layout = layout_of(model);
  ASSERT_TRUE(layout) << layout.error().detail;
  BuiltinTrainerOptions trainer;
  trainer.train = *data;
  const CancelToken never{};
  TrainTask task;
  task.plan.budget = {Budget::Unit::steps, 40};
  task.plan.batch_size = 16;
  task.model = &model;
  task.layout = &*layout;
  task.cancel = &never;
  auto parameters = test::start_of(model);
  const auto report = make_builtin_trainer(std::move(trainer))->train(task, parameters);
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_EQ(report->steps, 40U);
  // A batch of features, its pooling, row numbers and labels.
  EXPECT_LT(peak_bytes() - before, kPeakMax);
}

}  // namespace
}  // namespace chorus::client
