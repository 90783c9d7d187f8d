// A step that is like the one before takes no memory. A program of its own: it counts what operator
// new is asked for.
#include <atomic>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "client/train/network.hpp"
#include "client/train/optimiser.hpp"
#include "tests/unit/client/train/examples.hpp"
#include "tests/unit/client/train/reference_models.hpp"

namespace {

std::atomic<std::size_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  void* const memory = std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) {
  return counted(bytes, alignof(std::max_align_t));
}
void* operator new[](std::size_t bytes) {
  return counted(bytes, alignof(std::max_align_t));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace chorus::train {
namespace {

class Allocations : public testing::TestWithParam<test::ReferenceModel> {
 protected:
  // Of one training step, the last batch of an epoch among them.
  static std::size_t of_steps(const test::ReferenceModel& reference, std::size_t steps) {
    const auto network = std::move(Network::create(reference.model)).value();
    const auto start = test::start_of(reference.model);
    std::copy(start.begin(), start.end(), network->parameters().begin());
    const client::Dataset data = examples_of(reference, network->scores());
    auto optimiser = std::move(OptimiserState::create({0.01, 0.9}, network->layout())).value();
    const auto rows = test::rows_up_to(data.size());
    const auto step = [&](std::size_t count) {
      const auto result = network->gradient_of(data, {std::span(rows).first(count), data.size()});
      EXPECT_TRUE(result) << result.error().to_string();
      optimiser.apply({0.01, network->parameters(), network->gradient()});
    };
    step(data.size());
    step(data.size());
    const std::size_t before = allocations;
    for (std::size_t i = 0; i < steps; ++i) step(data.size() - i % 3);
    return allocations - before;
  }

  static client::Dataset examples_of(const test::ReferenceModel& reference, std::size_t classes) {
    auto data =
        test::make_examples(reference.model.input_shape, 8, static_cast<std::uint32_t>(classes));
    if (reference.vocabulary == 0) return data;
    client::Dataset::Parts parts;
    parts.feature_shape = reference.model.input_shape;
    parts.labels = data.labels().value();
    parts.classes = static_cast<std::uint32_t>(classes);
    for (std::size_t i = 0; i < 8 * data.feature_count(); ++i) {
      parts.features.push_back(static_cast<float>(i * 7 % reference.vocabulary));
    }
    return client::Dataset::create(std::move(parts)).value();
  }
};

TEST(Counting, SeesWhatIsAllocated) {
  const std::size_t before = allocations;
  const auto memory = std::make_unique<int>(7);
  EXPECT_EQ(allocations - before, 1U);
}

TEST_P(Allocations, AreNoneAfterTheFirstStep) {
  EXPECT_EQ(of_steps(GetParam(), 6), 0U);
}

// oneDNN's primitives allocate while they run; what is ours to compute does not.
std::vector<test::ReferenceModel> models() {
  auto all = test::reference_models();
  std::erase_if(all, [](const test::ReferenceModel& one) {
    return one.name != "logistic" && one.name != "mlp" && one.name != "char_gru" &&
           one.name != "char_lstm";
  });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Models, Allocations, testing::ValuesIn(models()), [](const auto& one) {
  return one.param.name;
});

}  // namespace
}  // namespace chorus::train
