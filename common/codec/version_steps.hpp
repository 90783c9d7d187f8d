// How versions reach devices in fewer bytes than their file: by steps, each the body of a
// compressed update (update_form.hpp) that is added to the version before. Server and device make
// the next version by the same function (add_payload() in update.hpp), so that they cannot drift
// apart; the version's SHA-256 says whether they have.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chorus/codec.hpp"
#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "common/base/types.hpp"
#include "common/codec/update_form.hpp"

namespace chorus::codec {

/// From one version to the next.
struct VersionStep {
  std::optional<Sha256> base;  ///< the version that it is added to; none: zeros
  Sha256 sha256;               ///< the version that it makes
  std::uint64_t bytes = 0;     ///< of its body
  std::uint64_t seed = 0;      ///< of its rotations and rounding
  bool operator==(const VersionStep&) const = default;
};

/// Steps with the same codecs, the last of which makes the version that is wanted.
struct VersionSteps {
  Compression compression{};         ///< codecs by tensor; nothing else of it counts
  Trainable trainable{};             ///< with `local`, what changes from version to version, as in
  std::vector<std::string> local{};  ///< a TrainPlan; the rest stays as it is in the base
  std::vector<VersionStep> steps{};  ///< in order, each from where the one before ended
  bool operator==(const VersionSteps&) const = default;
};

/// Of their bodies, one after the other.
std::uint64_t bytes_of(std::span<const VersionStep> steps) noexcept;

/// The plan whose compressed update has the form of a step.
TrainPlan plan_of(const VersionSteps& all, std::uint64_t seed);

/// What the body of a step consists of.
/// @errors as UpdateForm::of
Result<UpdateForm> form_of(const VersionSteps& all, std::uint64_t seed, const TensorLayout& layout);

}  // namespace chorus::codec
