// Random numbers of a round: functions of the job's seed, the job and the round.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/round/round_types.hpp"

namespace chorus::server {

/// The key of what is drawn for one purpose ("cohort") in one round, the same on every run.
std::uint64_t round_key(const RoundConfig& config, std::string_view purpose, RoundId round);

}  // namespace chorus::server
