// One run of a TrainPlan, from the received model to the report.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "chorus/client/trainer.hpp"
#include "chorus/result.hpp"
#include "client/train/optimiser.hpp"
#include "client/train/plan/budget.hpp"
#include "client/train/plan/corrections.hpp"
#include "client/train/plan/order.hpp"
#include "client/train/plan/passes.hpp"
#include "client/train/plan/probes.hpp"
#include "client/train/plan/sources.hpp"
#include "client/train/plan_runner.hpp"

namespace chorus::train {

class Training {
 public:
  Training(Network& network,
           const client::Dataset& data,
           const TrainPlan& plan,
           const TrainInputs& inputs);
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;
  ~Training() { network_.set_teacher(nullptr, {}); }

  /// network.parameters() becomes what the plan makes of it. @errors as run_plan()
  Result<client::TaskReport> run();

 private:
  Result<void> prepare();
  Result<void> prepare_vectors();
  Result<void> prepare_state();
  Result<void> prepare_steps();
  Result<void> prepare_teacher();
  Result<void> choose_candidate();
  Result<std::span<const float>> vector(std::string_view name) const;

  Result<void> train();
  Result<void> run_pass(std::span<const std::uint32_t> rows);
  Result<bool> may_go_on();
  Result<void> make_step(std::span<const std::uint32_t> rows);
  Result<void> fused_step(std::span<const std::uint32_t> rows);
  Result<void> step(std::span<const std::uint32_t> rows);
  std::size_t rows_per_step() const noexcept;
  void begin_inner();
  void end_inner();
  void stop(Ending why);

  Result<client::TaskReport> finish();
  Result<void> finish_state(client::TaskReport& report);
  Result<void> check_finite() const;

  Network& network_;
  const TrainPlan& plan_;
  const TrainInputs& inputs_;
  Passes passes_;
  Remaining remaining_;
  StopRules rules_;
  Arrangement arrangement_;
  Measured measured_;
  std::optional<OptimiserState> optimiser_;
  std::unique_ptr<DirectionSource> source_;
  std::optional<WholeGradient> whole_;
  ZerothOrder zeroth_;
  std::optional<Corrections> corrections_;
  std::optional<LocalTensors> local_;
  std::optional<std::uint64_t> state_epoch_;
  std::span<const float> mask_;
  std::vector<float> received_;  // what is trained from, where something asks for it
  std::vector<float> before_;    // the weights before reptile's inner steps
  std::optional<std::size_t> candidate_;
  Ending ending_ = Ending::budget;
  bool ended_ = false;
  bool fuses_ = false;
};

}  // namespace chorus::train
