// job.toml: one model, how it is trained, by whom, until when.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "common/base/types.hpp"
#include "server/compress/codec_plan.hpp"
#include "server/compress/downlink.hpp"
#include "server/round/round_types.hpp"
#include "server/selection/selection.hpp"
#include "server/strategy/strategy.hpp"

namespace chorus::server {

/// Bounds that every update is held to; they fix the scale of the exact sums.
struct UpdateLimits {
  std::uint64_t examples_max = 1'000'000;  ///< examples one device may claim
  double value_max = 100.0;                ///< largest |element| of an update

  bool operator==(const UpdateLimits&) const = default;
};

struct JobConfig {
  std::string description;
  RoundConfig round;  ///< name, seed, rounds, pace, evaluation pace, target
  ModelSpec model;    ///< checked: layout_of() succeeds
  TrainPlan train;    ///< its seed is 0: the strategy sets it per device
  EvaluatePlan evaluate;
  std::optional<AdaptOptions> adapt;  ///< codecs are chosen anew from time to time
  std::optional<Downlink> down;       ///< versions travel compressed
  UpdateLimits limits;
  std::string strategy = "fedavg";
  StrategyOptions strategy_options;  ///< complete and checked
  std::string selection = "uniform";
  std::uint64_t keep_versions = 0;  ///< newest published versions whose files stay; 0: all
};

/// What a job may name. The daemon passes all_strategies() and all_selections().
struct JobVocabulary {
  std::span<const StrategyEntry> strategies;
  std::span<const SelectionEntry> selections;
};

/// Reads a job, fills defaults, checks every value and how they fit together: after it,
/// RoundMachine, Lane and Strategy can be made from it without failing.
/// @errors malformed_file: every problem with line, key, value and what was expected;
/// frame_too_large
///         when the text is longer than limits::kJobFileBytesMax
Result<JobConfig> parse_job(std::string_view text,
                            const std::string& file_name,
                            const JobVocabulary& vocabulary);

}  // namespace chorus::server
