#include "client/src/update_encoder.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "common/base/limits.hpp"
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

/// Whether the plan keeps anything of what its codecs do.
bool keeps(const TrainPlan& plan, const codec::UpdateForm& form) {
  if (plan.compression->feedback != Feedback::error)
    return plan.compression->feedback != Feedback::none;
  const auto pieces = form.pieces();
  return std::any_of(pieces.begin(), pieces.end(), [](const codec::Piece& piece) {
    return codec::leaves_out(piece.codec);
  });
}

// The numbers of rounds are stored as floats.
static_assert(limits::kRoundsMax < 1ULL << 24U);

/// What was sent since a round, and how many times; zeros if it was sent before.
struct Sent {
  std::vector<float> sum;
  std::uint64_t updates = 0;
};
Result<Sent> sent_since(LocalState& state, std::uint64_t round, std::size_t parameters) {
  Sent sent;
  CHORUS_TRY(const auto since, state.load(kSentSince));
  CHORUS_TRY(auto sum, state.load(kSent));
  const bool counts = since && since->size() == 2 && since->front() == static_cast<float>(round);
  if (!counts || !sum || sum->size() != parameters) {
    sent.sum.assign(parameters, 0.0F);
    return sent;
  }
  sent.sum = std::move(*sum);
  sent.updates = static_cast<std::uint64_t>(since->back());
  return sent;
}

// A device that is absent goes on contributing what it has sent, along which running values must
// not be moved again and again.
void forget_buffers(const TensorLayout& layout, std::span<float> sum) {
  for (const TensorSpec& tensor : layout.tensors) {
    if (!tensor.buffer) continue;
    const auto part = sum.subspan(static_cast<std::size_t>(tensor.offset),
                                  static_cast<std::size_t>(tensor.count));
    std::fill(part.begin(), part.end(), 0.0F);
  }
}

Result<EncodedUpdate> encode_difference(const TrainPlan& plan,
                                        const TensorLayout& layout,
                                        const codec::UpdateForm& form,
                                        std::span<const float> delta,
                                        LocalState& state) {
  const std::uint64_t round = plan.compression->since;
  CHORUS_TRY(Sent sent, sent_since(state, round, delta.size()));
  codec::FeedbackMemory memory;
  memory.sent = sent.sum;
  CHORUS_TRY(auto body, codec::encode_update(form, delta, memory));
  forget_buffers(layout, sent.sum);
  CHORUS_OK(state.store(kSent, sent.sum));
  const std::array<float, 2> since{static_cast<float>(round), static_cast<float>(sent.updates + 1)};
  CHORUS_OK(state.store(kSentSince, since));
  return EncodedUpdate{std::move(body), sent.updates};
}

}  // namespace

Result<EncodedUpdate> encode_update(const TrainPlan& plan,
                                    const TensorLayout& layout,
                                    std::span<const float> delta,
                                    LocalState* state,
                                    std::shared_ptr<const codec::Basis> basis) {
  CHORUS_TRY(const auto form, codec::UpdateForm::of(plan, layout, std::move(basis)));
  if (!keeps(plan, form)) {
    CHORUS_TRY(auto body, codec::encode_update(form, delta));
    return EncodedUpdate{std::move(body), std::nullopt};
  }
  if (state == nullptr) {
    return fail(errc::unsupported_feature,
                "feedback needs a state that lasts from task to task; there is none");
  }
  if (plan.compression->feedback == Feedback::difference) {
    return encode_difference(plan, layout, form, delta, *state);
  }
  std::vector<float> velocity;
  codec::FeedbackMemory memory;
  memory.momentum = plan.compression->momentum;
  CHORUS_TRY(auto error, memory_of(*state, kErrorMemory, delta.size()));
  memory.error = error;
  if (memory.momentum > 0.0) {
    CHORUS_TRY(velocity, memory_of(*state, kVelocity, delta.size()));
    memory.velocity = velocity;
  }
  CHORUS_TRY(auto body, codec::encode_update(form, delta, memory));
  CHORUS_OK(state->store(kErrorMemory, error));
  if (!velocity.empty()) CHORUS_OK(state->store(kVelocity, velocity));
  return EncodedUpdate{std::move(body), state->epoch()};
}

}  // namespace chorus::client
