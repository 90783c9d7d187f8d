// FedAvg: the mean of the devices' updates, weighted by their examples.
//
//   x' = x + η · Σ_i w_i Δ_i / Σ_i w_i      over the devices whose update was accepted,
//   Δ_i = y_i − x,  w_i = n_i (weighting = "examples") or 1 (weighting = "uniform")
//
//   server_learning_rate  η, (0, 10], default 1
//
// @source McMahan et al. 2017, arXiv:1602.05629, Algorithm 1. The sum runs over the reporting
//         devices, so that drop-outs do not shrink the model.
#include "server/strategy/fedavg.hpp"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "chorus/kernels/kernels.hpp"
#include "common/base/try.hpp"

namespace chorus::server {
namespace {

class FedAvg final : public Strategy {
 public:
  explicit FedAvg(const StrategySetup& setup)
      : plan_(setup.plan),
        examples_max_(setup.examples_max),
        learning_rate_(std::get<double>(setup.options.at("server_learning_rate"))),
        by_examples_(std::get<std::string>(setup.options.at("weighting")) == "examples") {}

  std::uint64_t weight_max() const override { return by_examples_ ? examples_max_ : 1; }

  TrainPlan plan(const RoundContext& round, const ClientId& client) const override {
    TrainPlan plan = plan_;
    plan.seed = task_seed(round, client);
    return plan;
  }

  Result<std::uint64_t> admit(const UpdateMeta& update) const override {
    CHORUS_OK(check_examples(update, examples_max_));
    return by_examples_ ? update.examples.value : std::uint64_t{1};
  }

  void finalise(std::span<const float> mean, std::span<float> x) const override {
    kernels::add_scaled_f32(x, learning_rate_, mean, x);
  }

 private:
  TrainPlan plan_;
  std::uint64_t examples_max_;
  double learning_rate_;
  bool by_examples_;
};

constexpr std::array<std::string_view, 2> kWeightings{"examples", "uniform"};

std::unique_ptr<Strategy> make(const StrategySetup& setup) {
  return std::make_unique<FedAvg>(setup);
}

}  // namespace

const StrategyEntry& fedavg_entry() noexcept {
  static const std::array options{
      OptionSpec{"server_learning_rate", 1.0, 1e-6, 10.0, {}, "step along the mean update"},
      OptionSpec{"weighting",
                 std::string("examples"),
                 0,
                 0,
                 kWeightings,
                 "by training examples, or every device alike"},
  };
  static const StrategyEntry entry{
      "fedavg", "mean of the updates, weighted by examples", options, make};
  return entry;
}

}  // namespace chorus::server
