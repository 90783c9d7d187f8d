// Which codec each tensor of a job gets, made anew from time to time from what was learned.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/codec.hpp"
#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"

namespace chorus::server {

/// [compress.adapt] of a job.
struct AdaptOptions {
  std::uint32_t every = 10;  ///< rounds from plan to plan, >= 1
  std::uint32_t window = 5;  ///< published versions whose change is measured, 1..every
  double budget = 1.0;       ///< α: error allowed, times that of one codec for all; > 0

  bool operator==(const AdaptOptions&) const = default;
};

/// One line of a plan.
struct PlannedTensor {
  std::string name;
  std::uint64_t parameters = 0;
  Codec codec;
  std::uint64_t bytes = 0;  ///< of the tensor's payload, as measured
  double error = 0.0;  ///< ‖A − decode(encode(A))‖², relative to ‖A‖² of all planned tensors

  bool operator==(const PlannedTensor&) const = default;
};

/// What a tensor may get instead of the job's codec: its number of bits, or its density times
/// 2^(k/2), k = −4..4. Empty for codecs without such a parameter. The job's own is among them.
std::vector<Codec> choices_beside(const Codec& reference);

/// The tensors that a plan is for: sent, no buffers, and under no rule of the job.
/// @pre plan.compression
/// @errors as codec::UpdateForm::of
Result<std::vector<TensorSpec>> planned_tensors(const TrainPlan& plan, const TensorLayout& layout);

/// Reads the change of elements [first, first + into.size()) over the last rounds.
using ReadChange = std::function<Result<void>(std::uint64_t first, std::span<float> into)>;

/// The plan of fewest bytes whose squared error, measured on the change, is at most budget times
/// that of the job's codec for all (L-GreCo; layer_plan.hpp). Empty when nothing changed.
/// @pre choices_beside() of the job's codec is not empty
/// @errors of reading; not_finite; as cheapest_plan
/// @determinism  a function of the arguments
Result<std::vector<PlannedTensor>> plan_codecs(const TrainPlan& plan,
                                               const TensorLayout& layout,
                                               double budget,
                                               const ReadChange& change);

/// The job's compression with a plan's rules behind its own.
Compression with_plan(Compression compression,
                      std::span<const PlannedTensor> plan,
                      std::uint32_t table);

/// What people are shown of how an update travels: one line per tensor.
struct PlanLine {
  std::string name;
  std::uint64_t parameters = 0;
  std::optional<Codec> codec;   ///< none: it is not sent
  std::uint64_t bytes = 0;      ///< as measured, or at most
  std::optional<double> error;  ///< as PlannedTensor's, of those that were planned

  bool operator==(const PlanLine&) const = default;
};

/// @param plan      with the rules of with_plan(), or without compression
/// @param measured  the planned tensors
/// @errors as codec::UpdateForm::of
Result<std::vector<PlanLine>> plan_lines(const TrainPlan& plan,
                                         const TensorLayout& layout,
                                         std::span<const PlannedTensor> measured);

/// A plan as the ledger keeps it (JSON), and back.
std::string plan_text(std::span<const PlannedTensor> plan);
/// @errors corrupt_data
Result<std::vector<PlannedTensor>> plan_from_text(std::string_view text);

}  // namespace chorus::server
