// How fast the built-in trainer trains the reference models. Reads one order per line,
//
//   MODEL BATCH SECONDS      train for so long, after a warm-up
//   MODEL BATCH SECONDS bf16 the same with rounded factors; {} where this CPU gains nothing by it
//   peak                     what products of matrices in the first-level cache reach
//
// and answers each with one line of JSON, so that deploy/bench/trainer can take turns with
// tests/bench/peer_pytorch.py, which speaks the same. `--threads N` says on how many.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/kernels/products.hpp"
#include "chorus/kernels/training.hpp"
#include "client/train/plan_runner.hpp"
#include "client/train/tape/tape.hpp"
#include "common/tensor/model_costs.hpp"
#include "tests/unit/client/train/reference_models.hpp"

namespace chorus {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void stop(const std::string& why) {
  std::cerr << "bench_trainer: " << why << '\n';
  std::exit(1);
}

double product(const std::vector<std::uint64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), 1.0, [](double a, std::uint64_t b) {
    return a * static_cast<double>(b);
  });
}

// What a step cannot do without, per example of its batch.
struct Needs {
  double flops = 0.0;
  double bytes = 0.0;  // weights: read forwards, backwards and by the step, written; values: three
                       // times
  double working_set = 0.0;  // bytes that a step touches
};

Needs needs_of(const ModelSpec& model, double batch) {
  const auto costs = tensor::costs_of(model);
  if (!costs) stop(costs.error().to_string());
  double parameters = 0;
  double values = 0;
  for (const tensor::LayerCost& cost : *costs) {
    parameters += sizeof(float) * static_cast<double>(cost.parameters);
    values += static_cast<double>(cost.activation_bytes);
  }
  return {tensor::training_flops(*costs),
          4 * parameters / batch + 3 * values,
          parameters + values * batch};
}

// Bytes per second of w ← w − rate·g over so much memory: from the cache where it fits, else from
// beyond.
double bandwidth(double working_set) {
  const auto count = static_cast<std::size_t>(std::clamp(working_set, 4096.0, 256e6) / 8);
  std::vector<float> w(count, 1.0F);
  std::vector<float> g(count, 0.5F);
  const auto rounds = static_cast<int>(std::max(1.0, 4e6 / static_cast<double>(count)));
  double best = 0;
  for (int repetition = 0; repetition < 10; ++repetition) {
    const auto begin = Clock::now();
    for (int i = 0; i < rounds; ++i) kernels::sgd_step_f32(1e-3F, 0.0F, {w, g, {}, {}});
    const std::chrono::duration<double> spent = Clock::now() - begin;
    best = std::max(best, 12.0 * static_cast<double>(count) * rounds / spent.count());
  }
  return best;
}

client::Dataset examples(const test::ReferenceModel& reference, std::size_t count) {
  client::Dataset::Parts parts;
  parts.feature_shape = reference.model.input_shape;
  const auto numbers = static_cast<std::size_t>(product(parts.feature_shape)) * count;
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < numbers; ++i) {
    state = state * 1664525U + 1013904223U;
    parts.features.push_back(reference.vocabulary > 0
                                 ? static_cast<float>((state >> 8U) % reference.vocabulary)
                                 : static_cast<float>(state >> 8U) * 0x1.0p-23F - 1.0F);
  }
  for (std::size_t i = 0; i < count; ++i) parts.labels.push_back(static_cast<std::uint32_t>(i % 5));
  auto data = client::Dataset::create(std::move(parts));
  if (!data) stop(data.error().to_string());
  return std::move(data).value();
}

void measure(const test::ReferenceModel& reference,
             std::uint32_t batch,
             double seconds,
             Precision precision,
             unsigned threads) {
  auto network = train::Network::create(reference.model, threads);
  if (!network) stop(network.error().to_string());
  const auto start = initial_parameters(reference.model, 1);
  if (!start) stop(start.error().to_string());
  std::copy(start->begin(), start->end(), (*network)->parameters().begin());
  const client::Dataset data = examples(reference, std::size_t{batch} * 8);
  const client::CancelToken never{};
  TrainPlan plan;
  plan.batch_size = batch;
  plan.optimiser.learning_rate = 1e-4;
  plan.precision = precision;
  plan.budget = {Budget::Unit::steps, 5};
  if (const auto warm = train::run_plan(**network, data, plan, {&never}); !warm) {
    stop(warm.error().to_string());
  }
  plan.budget = {Budget::Unit::seconds, seconds};
  const auto begin = Clock::now();
  const auto report = train::run_plan(**network, data, plan, {&never});
  const std::chrono::duration<double> spent = Clock::now() - begin;
  if (!report) stop(report.error().to_string());
  const Needs needs = needs_of(reference.model, batch);
  std::cout << "{\"samples_per_s\": " << static_cast<double>(report->steps) * batch / spent.count()
            << ", \"flops\": " << needs.flops << ", \"bytes\": " << needs.bytes
            << ", \"bytes_per_s\": " << bandwidth(needs.working_set)
            << ", \"arena_bytes\": " << (*network)->arena_bytes() << "}" << std::endl;
}

void measure_peak() {
  constexpr std::size_t kRows = 30;
  constexpr std::size_t kColumns = 64;
  constexpr std::size_t kDepth = 64;
  std::vector<float> a(kRows * kDepth, 0.5F);
  std::vector<float> b(kDepth * kColumns, 0.25F);
  std::vector<float> c(kRows * kColumns);
  double best = 0;
  for (int repetition = 0; repetition < 20; ++repetition) {
    constexpr int kRounds = 2000;
    const auto begin = Clock::now();
    for (int i = 0; i < kRounds; ++i) {
      kernels::product_nn_f32(
          {kRows, kColumns, kDepth, a.data(), kDepth, b.data(), kColumns, c.data(), kColumns});
    }
    const std::chrono::duration<double> spent = Clock::now() - begin;
    best = std::max(best, 2.0 * kRows * kColumns * kDepth * kRounds / spent.count());
  }
  std::cout << "{\"flops_per_s\": " << best << "}" << std::endl;
}

}  // namespace
}  // namespace chorus

int main(int argc, char** argv) {
  unsigned threads = 1;
  if (argc == 3 && std::string_view(argv[1]) == "--threads") {
    threads = static_cast<unsigned>(std::atoi(argv[2]));
  } else if (argc != 1) {
    chorus::stop("usage: bench_trainer [--threads N], then orders on standard input");
  }
  const auto models = chorus::test::reference_models();
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream order(line);
    std::string name;
    std::uint32_t batch = 0;
    double seconds = 0;
    std::string precision;
    order >> name >> batch >> seconds >> precision;
    if (name == "peak") {
      chorus::measure_peak();
      continue;
    }
    const bool rounded = precision == "bf16";
    if (rounded && !chorus::train::multiplies_bf16()) {
      std::cout << "{}" << std::endl;
      continue;
    }
    bool known = false;
    for (const auto& model : models) {
      if (model.name != name || batch == 0 || !(seconds > 0)) continue;
      const auto asked = rounded ? chorus::Precision::bf16 : chorus::Precision::f32;
      chorus::measure(model, batch, seconds, asked, threads);
      known = true;
    }
    if (!known || (!precision.empty() && !rounded))
      chorus::stop("there is no order '" + line + "'");
  }
}
