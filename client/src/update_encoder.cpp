#include "client/src/update_encoder.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/codec/names.hpp"
#include "common/codec/update.hpp"

namespace chorus::client {
namespace {

/// What was kept under a name; zeros at first. A memory of another size belongs to another model.
Result<std::vector<float>> memory_of(LocalState& state,
                                     std::string_view name,
                                     std::size_t parameters) {
  CHORUS_TRY(auto memory, state.load(name));
  if (memory && memory->size() == parameters) return std::move(*memory);
  if (memory) spdlog::warn("{} begins anew: what is kept is of another model", name);
  return std::vector<float>(parameters);
}

}  // namespace

Result<std::vector<std::byte>> encode_update(const TrainPlan& plan,
                                             const TensorLayout& layout,
                                             std::span<const float> delta,
                                             LocalState* state) {
  CHORUS_TRY(const auto form, codec::UpdateForm::of(plan, layout));
  const bool feedback =
      plan.compression->feedback == Feedback::error &&
      std::any_of(form.pieces().begin(), form.pieces().end(), [](const codec::Piece& piece) {
        return codec::leaves_out(piece.codec);
      });
  if (feedback && state == nullptr) {
    return fail(errc::unsupported_feature,
                "error feedback needs a state that lasts from task to task; there is none");
  }
  std::vector<float> error;
  std::vector<float> velocity;
  codec::FeedbackMemory memory;
  memory.momentum = plan.compression->momentum;
  if (feedback) {
    CHORUS_TRY(error, memory_of(*state, kErrorMemory, delta.size()));
    memory.error = error;
  }
  if (feedback && memory.momentum > 0.0) {
    CHORUS_TRY(velocity, memory_of(*state, kVelocity, delta.size()));
    memory.velocity = velocity;
  }
  CHORUS_TRY(auto body, codec::encode_update(form, delta, memory));
  if (!error.empty()) CHORUS_OK(state->store(kErrorMemory, error));
  if (!velocity.empty()) CHORUS_OK(state->store(kVelocity, velocity));
  return body;
}

}  // namespace chorus::client
