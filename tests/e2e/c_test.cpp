// Devices in C take part in a real federation: examples/c, one with the built-in trainer, one with
// its own.
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/federation.hpp"

namespace chorus::test {
namespace {

constexpr const char* kJob = R"([job]
name = "digits"
seed = 7
rounds = 5
[model]
input_shape = [64]
[[model.layers]]
type = "dense"
units = 10
[train]
epochs = 2
batch_size = 16
learning_rate = 0.1
[pace]
cohort = 2
[evaluation]
fraction = 1.0
)";

class CDevices : public testing::Test {
 protected:
  // Every other line of the digits, for each of the two.
  void SetUp() override {
    const Finished unpacked = run({"gzip", "-dc", DIGITS_CSV});
    ASSERT_EQ(unpacked.code, 0) << unpacked.err;
    std::istringstream lines(unpacked.out);
    std::ofstream parts[] = {std::ofstream(data(0)), std::ofstream(data(1))};
    int number = 0;
    for (std::string line; std::getline(lines, line); ++number) parts[number % 2] << line << "\n";
    ASSERT_GT(number, 1000);
  }
  std::filesystem::path data(int part) { return temp_.path() / (std::to_string(part) + ".csv"); }

  Process device(const std::string& program, int part) {
    const std::string name = "device-" + std::to_string(part);
    const std::string token = federation_.admin({"enroll", "--name", name}).at("token");
    ProcessOptions process;
    process.command = {program, (temp_.path() / name).string(), data(part).string(), "16", token};
    process.output = temp_.path() / (name + ".log");
    return Process(process);
  }

  TempFolder temp_;
  Federation federation_{{CHORUS_BINARY, CHORUSD_BINARY, AGENT_BINARY}};
};

TEST_F(CDevices, EnrolTrainEvaluateAndLearn) {
  federation_.start_server();
  federation_.submit(kJob);
  Process builtin = device(C_BUILTIN, 0);
  Process own = device(C_LOGISTIC, 1);
  const auto ended = [&] {
    const std::string state =
        federation_.admin({"job", "show", "digits"}).at("summary").at("state");
    return state == "finished" || !builtin.running() || !own.running();
  };
  ASSERT_TRUE(eventually(ended)) << federation_.log();
  ASSERT_TRUE(builtin.running()) << read_file(temp_.path() / "device-0.log");
  ASSERT_TRUE(own.running()) << read_file(temp_.path() / "device-1.log");
  const auto summary = federation_.wait_for_state("digits", {"finished", "stopped", "degraded"});
  ASSERT_EQ(summary.at("state"), "finished") << summary.dump() << federation_.log();
  const auto rounds = federation_.admin({"round", "list", "digits"}).at("rounds");
  ASSERT_EQ(rounds.size(), 5U);
  for (const auto& round : rounds) {
    EXPECT_EQ(round.at("state"), "published");
    EXPECT_EQ(round.at("accepted"), 2);
  }
  const auto version = temp_.path() / "digits.safetensors";
  federation_.admin({"model", "export", "--job", "digits", "-o", version.string()});
  const Finished measured = run({AGENT_BINARY,
                                 "evaluate",
                                 "--model",
                                 version.string(),
                                 "--data",
                                 DIGITS_CSV,
                                 "--scale",
                                 "16",
                                 "--json"});
  ASSERT_EQ(measured.code, 0) << measured.err;
  EXPECT_GT(nlohmann::json::parse(measured.out).at("accuracy"), 0.9) << measured.out;

  // A device that is shut out ends by itself and says why.
  federation_.admin({"device", "revoke", "device-1"});
  EXPECT_EQ(own.wait(std::chrono::seconds(60)), 1);
  EXPECT_NE(read_file(temp_.path() / "device-1.log").find("taking part: "), std::string::npos);
}

}  // namespace
}  // namespace chorus::test
