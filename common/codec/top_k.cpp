// The largest elements and where they are.
//
//   payload   u32 k; u8 coding of the indices; u8 Rice parameter, or 0; u16 0; u32 bytes of the
//             indices; the indices; then
//             f32 value[k], in their order
//   coding    1: a bit for each element, from the lowest of each byte; 2: Golomb-Rice codes of the
//             gaps index − previous − 1, previous −1 at first. The device takes the shorter one
//   error     biased, to be used with error feedback: ‖C(x) − x‖² <= (1 − k/d)·‖x‖²
//   source    Stich et al. 2018, "Sparsified SGD with memory"
#include <string>

#include "common/base/try.hpp"
#include "common/codec/bit_stream.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/indices.hpp"
#include "common/codec/methods.hpp"
#include "common/codec/sparse.hpp"

namespace chorus::codec {
namespace {

class TopK final : public Sparse {
  std::uint64_t bytes_max(const Codec& codec, std::uint64_t count) const final {
    return index_bytes_max(count) + 4ULL * kept_of(codec, count);
  }

  void encode(const Codec& codec,
              std::span<const float> x,
              const Keys& /*keys*/,
              std::vector<std::byte>& payload) const final {
    const Chosen chosen = largest(x, x.empty() ? 0 : kept_of(codec, x.size()));
    put_indices(chosen.indices, x.size(), payload);
    const auto values = std::as_bytes(std::span(chosen.values));
    payload.insert(payload.end(), values.begin(), values.end());
  }

  Result<Chosen> read(const Codec& codec,
                      std::uint64_t count,
                      std::span<const std::byte> payload,
                      const Keys& /*keys*/) const final {
    Chosen chosen;
    const std::uint32_t most = count == 0 ? 0 : kept_of(codec, count);
    CHORUS_TRY(const std::size_t used, take_indices(payload, count, most, chosen.indices));
    chosen.values.resize(chosen.indices.size());
    if (payload.size() - used != 4 * chosen.values.size()) {
      return fail(errc::shape_mismatch,
                  std::to_string(payload.size() - used) + " bytes of values for " +
                      std::to_string(chosen.values.size()) + " chosen elements");
    }
    load_all(payload.subspan(used), std::span(chosen.values));
    return chosen;
  }
};

}  // namespace

const Method& top_k() {
  static const TopK method;
  return method;
}

}  // namespace chorus::codec
