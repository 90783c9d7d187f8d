// Counter-based random numbers: Philox 4x32-10. A draw is a pure function of (key, counter), so a
// test, a device and the server agree on every bit and no state has to be saved.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace chorus {

/// One Philox block: four random words for one counter.
/// @determinism  bit-exact everywhere
/// @source       Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", 10 rounds
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) noexcept;

/// A 64-bit key for one purpose: hashes the parts (XXH3-64) so that streams for
/// ("cohort", job, round) and ("shuffle", job, round, device) never overlap by construction.
std::uint64_t stream_key(std::uint64_t seed, std::span<const std::string_view> parts) noexcept;

/// A sequence of draws from one stream. Cheap to make and to copy.
/// Rule: one draw per statement; two draws in one argument list run in a different order on
/// different compilers.
class Rng {
 public:
  explicit Rng(std::uint64_t key) noexcept;

  std::uint32_t next_u32() noexcept;
  std::uint64_t next_u64() noexcept;
  /// Uniform in [0, bound), without bias (Lemire's rejection). @pre bound > 0
  std::uint64_t below(std::uint64_t bound) noexcept;
  /// Uniform in [0, 1), 53 bits.
  double uniform() noexcept;
  /// Standard normal (Box-Muller, one value per two draws kept simple on purpose).
  double normal() noexcept;
  /// Gamma(shape, 1), Marsaglia-Tsang 2000. @pre shape > 0
  double gamma(double shape) noexcept;

  /// Fisher-Yates, in place.
  template <class T>
  void shuffle(std::span<T> items) noexcept {
    for (std::size_t i = items.size(); i > 1; --i) {
      const auto j = static_cast<std::size_t>(below(i));
      using std::swap;
      swap(items[i - 1], items[j]);
    }
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  unsigned used_ = 4;
};

}  // namespace chorus
