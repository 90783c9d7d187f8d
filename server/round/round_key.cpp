#include "server/round/round_key.hpp"

#include <array>
#include <string>

#include "common/base/rng.hpp"

namespace chorus::server {

std::uint64_t round_key(const RoundConfig& config, std::string_view purpose, RoundId round) {
  const std::string number = std::to_string(round.value);
  const std::array<std::string_view, 3> parts{purpose, config.job.value, number};
  return stream_key(config.seed, parts);
}

}  // namespace chorus::server
