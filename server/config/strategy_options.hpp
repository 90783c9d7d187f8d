// [strategy] of job.toml: which keys it may hold is declared by the strategy itself.
#pragma once

#include <span>

#include "common/config/toml_reader.hpp"
#include "server/config/job_config.hpp"

namespace chorus::server {

/// Reads the strategy's name and its options; absent options get their defaults.
/// @return the chosen strategy, null when there is none of that name (a problem is noted)
const StrategyEntry* read_strategy(const config::TomlTable& table,
                                   std::span<const StrategyEntry> all,
                                   JobConfig& into);

}  // namespace chorus::server
