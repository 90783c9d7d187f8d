// kill -9 at every step of a round: the job finishes, nothing is lost or counted twice, and the
// final model is the one of the undisturbed run.
#include <csignal>
#include <fstream>

#include "tests/e2e/digits.hpp"

namespace chorus::test {
namespace {

std::string undisturbed(const DigitsOptions& options = {}) {
  Digits digits(options);
  digits.submit();
  digits.start_agents();
  return digits.finish();
}

std::string killed_at(const std::string& point, const DigitsOptions& options = {}) {
  Digits digits(options);
  digits.start_server(point);
  digits.submit();
  digits.start_agents();
  const auto code = digits.federation().server().wait(std::chrono::seconds(60));
  EXPECT_EQ(code, 128 + SIGKILL) << "the daemon did not reach " << point << "\n"
                                 << digits.federation().log();
  digits.start_server("");
  const std::string version = digits.finish();
  digits.expect_complete();
  return version;
}

TEST(Crash, OfTheDaemonAtAnyStepChangesNothing) {
  // One fail point in the second round each: three updates a round, so the fourth upload is its
  // first.
  const std::vector<std::string> points{
      "open.before_ledger:2",
      "open.after_ledger:2",
      "upload.before_append:5",
      "upload.complete:5",
      "commit.before_journal:3",
      "commit.after_journal:3",
      "commit.after_acknowledge:3",
      "fold.after:3",
      "finalise.before_commit:2",
      "finalise.after_commit:2",
      "publish.before_ledger:2",
      "publish.after_ledger:2",
  };
  const std::string reference = undisturbed();
  for (const std::string& point : points) {
    SCOPED_TRACE(point);
    EXPECT_EQ(killed_at(point), reference);
  }
}

// Nothing is kept of updates but themselves, from their commit to the round's end.
TEST(Crash, OfTheDaemonBetweenCommitAndPublishingAMedianChangesNothing) {
  DigitsOptions options;
  options.strategy = "median";
  options.rounds = 2;
  options.pace = "min_reports = 3";
  const std::string reference = undisturbed(options);
  DigitsOptions mean = options;
  mean.strategy = "fedavg";
  EXPECT_NE(reference, undisturbed(mean));
  for (const std::string point : {"commit.after_journal:2",
                                  "fold.after:2",
                                  "finalise.before_commit:2",
                                  "finalise.after_commit:1",
                                  "publish.before_ledger:2"}) {
    SCOPED_TRACE(point);
    EXPECT_EQ(killed_at(point, options), reference);
  }
}

TEST(Crash, OfTheDaemonBetweenCheckpointsChangesNothing) {
  const std::string reference = undisturbed();
  Digits digits(DigitsOptions{});
  const auto config = digits.federation().folder() / "server.toml";
  std::string text = read_file(config);
  const std::string key = "checkpoint_after = ";
  text.replace(text.find(key) + key.size(),
               text.find('\n', text.find(key)) - text.find(key) - key.size(),
               "\"8KiB\"");
  std::ofstream(config) << text;
  digits.start_server("commit.after_journal:5");
  digits.submit();
  digits.start_agents();
  EXPECT_EQ(digits.federation().server().wait(std::chrono::seconds(60)), 128 + SIGKILL);
  digits.start_server("checkpoint.before:2");
  EXPECT_EQ(digits.federation().server().wait(std::chrono::seconds(60)), 128 + SIGKILL);
  digits.start_server("");
  EXPECT_EQ(digits.finish(), reference);
  digits.expect_complete();
}

TEST(Crash, OfAnAgentLetsTheRoundGoOnAndItRejoins) {
  DigitsOptions options;
  options.rounds = 1'000'000;  // the test ends it
  options.pace = "min_reports = 2\ndeadline = \"2s\"\nselection_deadline = \"1s\"";
  options.evaluation = "fraction = 0.0";
  Digits digits(options);
  digits.submit();
  digits.start_agents();
  const auto newest_with = [&](unsigned accepted) {
    const auto list = digits.rounds();
    for (auto round = list.rbegin(); round != list.rend(); ++round) {
      if (round->at("state") == "published") return round->at("accepted") == accepted;
    }
    return false;
  };
  ASSERT_TRUE(eventually([&] { return newest_with(3); }));
  digits.agent(0).kill_now();
  ASSERT_TRUE(eventually([&] { return newest_with(2); })) << digits.federation().log();
  digits.start_agent(0);
  EXPECT_TRUE(eventually([&] { return newest_with(3); })) << digits.federation().log();
}

TEST(Stop, InTheMiddleOfARoundLosesNothing) {
  const std::string reference = undisturbed();
  Digits digits(DigitsOptions{});
  digits.submit();
  digits.start_agents();
  ASSERT_TRUE(eventually([&] { return !digits.rounds().empty(); }));
  digits.federation().server().signal(SIGTERM);
  EXPECT_EQ(digits.federation().server().wait(std::chrono::seconds(30)), 0)
      << digits.federation().log();
  digits.start_server("");
  EXPECT_EQ(digits.finish(), reference);
  digits.expect_complete();
}

}  // namespace
}  // namespace chorus::test
