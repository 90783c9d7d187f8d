// The published model is a function of the seed: not of threads, not of who comes first.
#include "tests/e2e/digits.hpp"

namespace chorus::test {
namespace {

std::string run_with(unsigned server_threads, bool reversed) {
  DigitsOptions options;
  options.server_threads = server_threads;
  Digits digits(options);
  digits.submit();
  for (unsigned i = 0; i < options.agents; ++i) {
    digits.start_agent(reversed ? options.agents - 1 - i : i);
    if (!reversed) continue;
    // The next one only starts when this one is there: the order of arrival really is another.
    const bool arrived = eventually([&] {
      const auto status = digits.federation().admin({"status"});
      return status.at("sessions").get<unsigned>() >= i + 2;  // and the one that asks
    });
    EXPECT_TRUE(arrived);
  }
  const std::string version = digits.finish();
  digits.expect_complete();
  return version;
}

TEST(Determinism, SameSeedSameModelWhateverThreadsAndOrder) {
  const std::string reference = run_with(2, false);
  EXPECT_EQ(reference.size(), 64U);
  EXPECT_EQ(run_with(1, false), reference) << "with one server thread";
  EXPECT_EQ(run_with(4, true), reference) << "with four server threads, agents in reverse order";
}

}  // namespace
}  // namespace chorus::test
