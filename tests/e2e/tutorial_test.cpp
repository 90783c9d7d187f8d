// docs/tutorial.md, executed: a PyTorch model, a federation, and back. Where PyTorch is not
// installed, what it exported is taken from tests/golden/onnx/digits.onnx.
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/onnx/onnx.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/safetensors.hpp"
#include "tests/e2e/digits.hpp"
#include "tests/unit/common/onnx/forward.hpp"

namespace chorus::test {
namespace {

namespace fs = std::filesystem;

const fs::path kExample = CHORUS_EXAMPLE;

struct Version {
  ModelSpec model;
  std::vector<float> parameters;
};

Version read_version(const fs::path& path) {
  auto file = tensor::read_safetensors(path);
  EXPECT_TRUE(file) << file.error().detail;
  Version version;
  version.model = tensor::model_from_json(file->metadata.at("chorus.model")).value();
  version.parameters.assign(file->data.begin(), file->data.end());
  return version;
}

std::vector<float> read_numbers(const fs::path& path) {
  std::vector<float> numbers(fs::file_size(path) / sizeof(float));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(numbers.data()),
            static_cast<std::streamsize>(numbers.size() * sizeof(float)));
  return numbers;
}

bool near(const std::vector<float>& a, const std::vector<float>& b) {
  double scale = 0.0;
  double error = a.size() == b.size() ? 0.0 : 1e9;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    scale = std::max(scale, std::abs(static_cast<double>(b[i])));
    error = std::max(error, std::abs(static_cast<double>(a[i]) - b[i]));
  }
  return error <= 1e-5 * scale;
}

class Tutorial : public testing::Test {
 protected:
  static Finished python(const std::string& script, std::vector<std::string> arguments) {
    std::vector<std::string> command{
        CHORUS_PYTHON, "-B", "-W", "ignore", (kExample / script).string()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run(command, std::chrono::seconds(120));
  }
  static bool has_torch() {
    return run({CHORUS_PYTHON, "-c", "import torch, numpy"}, std::chrono::seconds(60)).code == 0;
  }
  fs::path at(const std::string& name) const { return temp_.path() / name; }

  /// The network as ONNX, from PyTorch or from the golden file.
  void make_model(bool torch) {
    if (torch) {
      const auto exported = python("export.py", {at("digits.onnx")});
      ASSERT_EQ(exported.code, 0) << exported.err;
    } else {
      fs::copy(CHORUS_GOLDEN_DIR "/onnx/digits.onnx", at("digits.onnx"));
    }
    fs::copy(kExample / "job.toml", at("job.toml"));
  }

  TempFolder temp_;
};

TEST_F(Tutorial, FromPyTorchToAFederationAndBack) {
  const bool torch = has_torch();
  if (!torch)
    std::cout << "PyTorch is not installed: its export is tests/golden/onnx/digits.onnx\n";
  ASSERT_NO_FATAL_FAILURE(make_model(torch));
  Digits digits(DigitsOptions{});
  Federation& federation = digits.federation();

  const auto check = federation.admin({"model", "check", "--onnx", at("digits.onnx")});
  EXPECT_EQ(check.at("trains"), true);
  const auto costs = federation.admin({"model", "inspect", at("job.toml"), "--batch", "16"});
  EXPECT_EQ(costs.at("parameters"), 5'082);
  const auto& memory = costs.at("training_memory");
  EXPECT_EQ(memory.at("parameter_bytes"), 5'114 * 4);
  EXPECT_EQ(memory.at("optimiser_bytes"), 5'114 * 4) << "momentum, as the job says";
  EXPECT_GT(memory.at("total_bytes"), 3 * 5'114 * 4);
  const auto job = federation.admin({"job", "submit", at("job.toml")});
  const std::string first = job.at("summary").at("version_sha256");
  federation.admin(
      {"model", "export", "--job", "digits", "--version", first, "-o", at("first.safetensors")});
  digits.start_agents();
  const std::string last = digits.finish();
  for (const char* name : {"trained.safetensors", "trained.onnx"}) {
    federation.admin({"model", "export", "--job", "digits", "-o", at(name)});
  }

  // It began with the weights of the file.
  const auto import = onnx::load_model(at("digits.onnx"));
  ASSERT_TRUE(import) << import.error().detail;
  EXPECT_EQ(read_version(at("first.safetensors")).parameters, import->parameters);
  EXPECT_NE(first, last);

  const Version trained = read_version(at("trained.safetensors"));
  const auto back = onnx::load_model(at("trained.onnx"));
  ASSERT_TRUE(back) << back.error().detail;
  EXPECT_EQ(back->parameters, trained.parameters);
  if (!torch) return;
  const auto loaded = python("load.py", {at("trained.safetensors"), DIGITS_CSV, temp_.path()});
  ASSERT_EQ(loaded.code, 0) << loaded.err;
  ASSERT_EQ(loaded.out.rfind("accuracy ", 0), 0U) << loaded.out;
  EXPECT_GE(std::stod(loaded.out.substr(9)), 0.9) << loaded.out;
  const auto ours =
      outputs_of(trained.model, trained.parameters, read_numbers(at("inputs.f32")), 100);
  EXPECT_TRUE(near(ours, read_numbers(at("outputs.f32"))));
}

}  // namespace
}  // namespace chorus::test
