// Compressed updates between real processes: a function of the seed, whatever crashes; fewer bytes,
// and a model that has learned as much.
#include <algorithm>
#include <csignal>
#include <initializer_list>

#include "tests/e2e/digits.hpp"

namespace chorus::test {
namespace {

DigitsOptions options_with(const std::string& compress) {
  DigitsOptions options;
  options.compress = compress;
  return options;
}

struct Outcome {
  std::string version;
  double accuracy = 0.0;
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
};

Outcome outcome_of(Digits& digits) {
  Outcome outcome;
  outcome.version = digits.finish();
  digits.expect_complete();
  const auto rounds = digits.rounds();
  for (const auto& round : rounds) {
    outcome.bytes_up += round.at("bytes_up").get<std::uint64_t>();
    outcome.bytes_down += round.at("bytes_down").get<std::uint64_t>();
  }
  for (const auto& metric : rounds.back().at("metrics")) {
    if (metric.at("name") == "eval.accuracy") outcome.accuracy = metric.at("value").get<double>();
  }
  return outcome;
}

Outcome run(const DigitsOptions& options) {
  Digits digits(options);
  digits.submit();
  digits.start_agents();
  return outcome_of(digits);
}

/// A device that is killed after so many rounds comes back.
Outcome run_with_a_death(const DigitsOptions& options, std::size_t rounds) {
  Digits digits(options);
  digits.submit();
  digits.start_agents();
  EXPECT_TRUE(eventually([&] { return digits.rounds().size() >= rounds; }));
  digits.agent(1).kill_now();
  digits.start_agent(1);
  return outcome_of(digits);
}

/// A daemon killed at each of these places goes on to the same model.
void expect_after_crashes(const DigitsOptions& options,
                          const std::string& reference,
                          std::initializer_list<const char*> points) {
  for (const char* const point : points) {
    SCOPED_TRACE(point);
    Digits digits(options);
    digits.start_server(point);
    digits.submit();
    digits.start_agents();
    EXPECT_EQ(digits.federation().server().wait(std::chrono::seconds(60)), 128 + SIGKILL);
    digits.start_server("");
    EXPECT_EQ(outcome_of(digits).version, reference);
  }
}

TEST(Compression, SendsLessAndLearnsAsMuch) {
  DigitsOptions options;
  options.rounds = 12;  // what is left out needs a few to come
  const Outcome plain = run(options);
  EXPECT_GT(plain.accuracy, 0.85);
  struct Case {
    const char* compress;
    double times;  ///< fewer bytes
  };
  for (const auto& [compress, times] : {Case{"codec = \"uniform\"\n", 3.8},
                                        Case{"codec = \"rotated\"\nbits = 4\nbucket = 1024\n", 6.9},
                                        Case{"codec = \"top_k\"\ndensity = 0.1\n", 7.0},
                                        Case{"codec = \"low_rank\"\nrank = 2\n", 3.8},
                                        Case{"codec = \"subspace\"\nrank = 6\n", 2.3},
                                        Case{"codec = \"f32\"\nentropy = true\n", 1.05}}) {
    SCOPED_TRACE(compress);
    options.compress = compress;
    const Outcome outcome = run(options);
    EXPECT_GT(static_cast<double>(plain.bytes_up), times * static_cast<double>(outcome.bytes_up));
    EXPECT_GT(outcome.accuracy, plain.accuracy - 0.05);
  }
}

TEST(Compression, LosslessChangesNothing) {
  EXPECT_EQ(run(options_with("codec = \"f32\"\nentropy = true\n")).version,
            run(DigitsOptions{}).version);
}

TEST(Compression, SameSeedSameModelWhateverTheThreads) {
  DigitsOptions options = options_with("codec = \"rotated\"\nbits = 2\nbucket = 1024\n");
  const std::string reference = run(options).version;
  options.server_threads = 4;
  EXPECT_EQ(run(options).version, reference);
}

TEST(Compression, ACrashOfTheDaemonChangesNothing) {
  const DigitsOptions options = options_with("codec = \"uniform\"\nbits = 4\n");
  const std::string reference = run(options).version;
  expect_after_crashes(
      options,
      reference,
      {"upload.complete:5", "commit.after_journal:3", "fold.after:3", "publish.after_ledger:2"});
}

TEST(Compression, CodecsFollowWhatIsLearnedAlsoOverACrash) {
  DigitsOptions options =
      options_with("codec = \"uniform\"\nbits = 4\n[compress.adapt]\nevery = 2\nbudget = 1.0\n");
  options.rounds = 6;
  Digits digits(options);
  digits.submit();
  const auto plan = [&digits] { return digits.federation().admin({"job", "plan", "digits"}); };
  EXPECT_EQ(plan().at("first_round"), 0);
  digits.start_agents();
  const std::string reference = outcome_of(digits).version;
  const auto chosen = plan();
  EXPECT_EQ(chosen.at("first_round"), 5);
  EXPECT_EQ(chosen.at("every"), 2);
  ASSERT_EQ(chosen.at("lines").size(), 4U);
  for (const auto& line : chosen.at("lines")) {
    EXPECT_NE(line.at("codec").get<std::string>().find("uniform"), std::string::npos) << line;
    EXPECT_GT(line.at("error").get<double>(), 0.0) << line;
  }

  expect_after_crashes(options, reference, {"open.before_ledger:3", "commit.after_journal:7"});
}

// What devices share is in the ledger, and on the way to them.
TEST(Compression, ASubspaceSurvivesTheDeathOfADeviceAndOfTheDaemon) {
  const DigitsOptions options = options_with("codec = \"subspace\"\nrank = 3\n");
  const std::string reference = run(options).version;
  EXPECT_EQ(run_with_a_death(options, 1).version, reference);
  expect_after_crashes(options,
                       reference,
                       {"open.after_ledger:2",
                        "fold.after:4",
                        "finalise.after_commit:2",
                        "publish.before_ledger:2"});
}

// What the codec left out is on the device's disk, and counts once.
TEST(Compression, ErrorFeedbackSurvivesTheDeath) {
  const DigitsOptions options = options_with("codec = \"top_k\"\ndensity = 0.02\n");
  const std::string reference = run(options).version;
  EXPECT_NE(run(options_with("codec = \"top_k\"\ndensity = 0.02\nfeedback = \"none\"\n")).version,
            reference);
  EXPECT_EQ(run_with_a_death(options, 1).version, reference);
}

// Every device's difference is to what the server has of it: over deaths of both, and when a device
// has lost what it keeps.
constexpr const char* kDifferences =
    "codec = \"top_k\"\ndensity = 0.1\nfeedback = \"difference\"\n";

TEST(Differences, SurviveTheDeathOfADeviceAndOfTheDaemon) {
  DigitsOptions options = options_with(kDifferences);
  options.weighting = "uniform";
  options.rounds = 6;
  const Outcome reference = run(options);
  EXPECT_GT(reference.accuracy, 0.6);
  EXPECT_EQ(run_with_a_death(options, 2).version, reference.version);
  expect_after_crashes(
      options,
      reference.version,
      {"commit.after_journal:7", "finalise.before_change:3", "publish.after_ledger:3"});
}

TEST(Differences, BeginAnewWhenADeviceHasLostWhatItKeeps) {
  DigitsOptions options = options_with(kDifferences);
  options.weighting = "uniform";
  options.rounds = 8;
  Digits digits(options);
  digits.submit();
  digits.start_agents();
  ASSERT_TRUE(eventually([&] { return digits.rounds().size() >= 2; }));
  digits.agent(1).kill_now();
  digits.lose_state(1);
  digits.start_agent(1);
  digits.finish();
  const auto anew = [&digits] {
    const auto audit = digits.federation().admin({"audit", "--last", "200"});
    const auto& rows = audit.at("entries");
    return std::count_if(rows.begin(), rows.end(), [](const auto& row) {
      return row.at("what") == "differences_anew";
    });
  };
  EXPECT_TRUE(eventually([&] { return anew() > 0; }));
  EXPECT_EQ(anew(), 1);
  std::uint64_t accepted = 0;
  for (const auto& round : digits.rounds()) accepted += round.at("accepted").get<std::uint64_t>();
  EXPECT_EQ(accepted, 8 * 3 - 1U) << "the one that did not fit";
}

// ---- the way down ----

TEST(DownlinkCompression, SendsLessAndLearnsAsMuch) {
  DigitsOptions options;
  options.rounds = 12;
  const Outcome plain = run(options);
  struct Case {
    const char* down;
    double times;  ///< fewer bytes, the first version as it is among them
  };
  for (const auto& [down, times] : {Case{"codec = \"rotated\"\nbits = 4\nbucket = 1024\n", 3.0},
                                    Case{"codec = \"uniform\"\n", 2.2},
                                    Case{"sends = \"model\"\ncodec = \"uniform\"\n", 2.2},
                                    Case{"sends = \"model\"\ncodec = \"bf16\"\n", 1.5}}) {
    SCOPED_TRACE(down);
    options.compress = std::string("codec = \"f32\"\n[compress.down]\n") + down;
    const Outcome outcome = run(options);
    EXPECT_GT(static_cast<double>(plain.bytes_down),
              times * static_cast<double>(outcome.bytes_down));
    EXPECT_GT(outcome.accuracy, plain.accuracy - 0.05);
  }
}

constexpr const char* kBothWays =
    "codec = \"uniform\"\nbits = 4\n[compress.down]\ncodec = \"top_k\"\ndensity = 0.1\n";

TEST(DownlinkCompression, ACrashOfTheDaemonChangesNothing) {
  const DigitsOptions options = options_with(kBothWays);
  const std::string reference = run(options).version;
  EXPECT_NE(run(options_with("codec = \"uniform\"\nbits = 4\n")).version, reference);
  expect_after_crashes(options,
                       reference,
                       {"finalise.before_commit:2",
                        "finalise.before_change:2",
                        "finalise.after_commit:2",
                        "publish.before_ledger:2",
                        "publish.after_ledger:2"});
}

// It has what the next step begins with on its disk, or fetches the file.
TEST(DownlinkCompression, ADeviceThatDiedGoesOn) {
  const DigitsOptions options = options_with(kBothWays);
  const Outcome reference = run(options);
  const Outcome files = run(options_with("codec = \"uniform\"\nbits = 4\n"));
  const Outcome outcome = run_with_a_death(options, 1);
  EXPECT_EQ(outcome.version, reference.version);
  // Every device fetches the first version, and this one perhaps another.
  EXPECT_LT(outcome.bytes_down, files.bytes_down * 3 / 4);
}

}  // namespace
}  // namespace chorus::test
