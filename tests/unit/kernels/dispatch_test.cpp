#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/kernels/kernels.hpp"
#include "tests/unit/kernels/variants.hpp"

namespace chorus {
namespace {

using testing::ExitedWithCode;

TEST(Dispatch, OffersTheReferenceLast) {
  const auto variants = kernels::available_variants();
  ASSERT_FALSE(variants.empty());
  EXPECT_EQ(variants.back(), "ref");
  EXPECT_THAT(variants, testing::Each(testing::AnyOf("ref", "avx2", "avx512", "neon")));
}

TEST(Dispatch, SelectsByName) {
  for (const auto variant : kernels::available_variants()) {
    const test::WithVariant use(variant);
    EXPECT_EQ(kernels::active_variant(), variant);
  }
}

TEST(Dispatch, LeavesTheChoiceAloneWhenTheNameIsUnknown) {
  const test::WithVariant use("ref");
  for (const char* name : {"", "REF", "ref ", "sse9", "avx51"}) {
    EXPECT_FALSE(kernels::select_variant(name)) << name;
    EXPECT_EQ(kernels::active_variant(), "ref");
  }
}

// The environment is read on first use, hence a fresh process for each case.
class DispatchDeathTest : public testing::Test {
 protected:
  void SetUp() override { testing::GTEST_FLAG(death_test_style) = "threadsafe"; }

  [[noreturn]] static void first_use(const char* isa, std::string_view expected) {
    if (isa == nullptr) {
      ::unsetenv("CHORUS_ISA");
    } else {
      ::setenv("CHORUS_ISA", isa, 1);
    }
    std::exit(kernels::active_variant() == expected ? 0 : 1);
  }
  static std::string_view best() { return kernels::available_variants().front(); }
};

TEST_F(DispatchDeathTest, TakesTheBestUnlessTold) {
  EXPECT_EXIT(first_use(nullptr, best()), ExitedWithCode(0), "^$");
  EXPECT_EXIT(first_use("", best()), ExitedWithCode(0), "^$");
}

TEST_F(DispatchDeathTest, FollowsTheEnvironment) {
  for (const auto variant : kernels::available_variants()) {
    const std::string name(variant);
    EXPECT_EXIT(first_use(name.c_str(), variant), ExitedWithCode(0), "^$");
  }
}

TEST_F(DispatchDeathTest, SaysWhenTheEnvironmentAsksForTheImpossible) {
  EXPECT_EXIT(first_use("sse9", best()), ExitedWithCode(0), "CHORUS_ISA=sse9 is not available");
}

TEST_F(DispatchDeathTest, ChoosesOnceWhenThreadsArriveTogether) {
  const auto race = [] {
    ::setenv("CHORUS_ISA", "ref", 1);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        const std::vector<float> x(100, 2.0F);
        if (kernels::stats_f32(x).sum_squares != 400.0) std::abort();
        if (kernels::active_variant() != "ref") std::abort();
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::exit(0);
  };
  EXPECT_EXIT(race(), ExitedWithCode(0), "^$");
}

}  // namespace
}  // namespace chorus
