#include "common/codec/feedback.hpp"

#include <string>
#include <utility>

#include "chorus/kernels/kernels.hpp"
#include "common/base/assert.hpp"
#include "common/base/try.hpp"
#include "common/codec/names.hpp"

namespace chorus::codec {
namespace {

Result<void> check_memory(std::span<const float> x, std::span<const float> memory) {
  if (memory.empty() || memory.size() == x.size()) return {};
  return fail(errc::shape_mismatch,
              "an error-feedback memory of " + std::to_string(memory.size()) +
                  " elements for an update of " + std::to_string(x.size()));
}

// x + sign·memory.
std::vector<float> combined(std::span<const float> x, double sign, std::span<const float> memory) {
  std::vector<float> sum(x.begin(), x.end());
  if (!memory.empty()) kernels::add_scaled_f32(x, sign, memory, sum);
  return sum;
}

/// A payload and what it decodes to.
struct Sent {
  std::vector<std::byte> payload;
  std::vector<float> values;
};

Result<Sent> send(const Codec& codec, std::span<const float> x, const Keys& keys) {
  Sent sent{.payload = {}, .values = std::vector<float>(x.size())};
  CHORUS_TRY(sent.payload, encode(codec, x, keys));
  method_of(codec).decode(codec, sent.payload, keys, sent.values);
  return sent;
}

}  // namespace

Result<WithMemory> encode_with_error(const Codec& codec,
                                     std::span<const float> x,
                                     std::span<const float> memory,
                                     const Keys& keys) {
  CHORUS_OK(check_memory(x, memory));
  std::vector<float> wanted = combined(x, 1.0, memory);
  CHORUS_TRY(Sent sent, send(codec, wanted, keys));
  kernels::subtract_f32(wanted, sent.values, wanted);
  return WithMemory{std::move(sent.payload), std::move(wanted)};
}

Result<WithMemory> encode_with_momentum(const Codec& codec,
                                        std::span<const float> x,
                                        std::span<const float> memory,
                                        double momentum,
                                        std::span<float> velocity,
                                        const Keys& keys) {
  CHORUS_ASSERT(chooses_elements(codec) && velocity.size() == x.size());
  CHORUS_OK(check_memory(x, memory));
  kernels::add_scaled_f32(x, momentum, velocity, velocity);
  std::vector<float> wanted = combined(velocity, 1.0, memory);
  CHORUS_TRY(Sent sent, send(codec, wanted, keys));
  kernels::subtract_f32(wanted, sent.values, wanted);
  for (std::size_t i = 0; i < velocity.size(); ++i) {
    if (sent.values[i] != 0.0F) velocity[i] = 0.0F;
  }
  return WithMemory{std::move(sent.payload), std::move(wanted)};
}

Result<WithMemory> encode_difference(const Codec& codec,
                                     std::span<const float> x,
                                     std::span<const float> memory,
                                     const Keys& keys) {
  CHORUS_OK(check_memory(x, memory));
  CHORUS_TRY(Sent sent, send(codec, combined(x, -1.0, memory), keys));
  std::vector<float> kept = combined(sent.values, 1.0, memory);
  return WithMemory{std::move(sent.payload), std::move(kept)};
}

}  // namespace chorus::codec
