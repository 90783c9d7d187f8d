// The entry of FedAvg; see fedavg.cpp.
#pragma once

#include "server/strategy/strategy.hpp"

namespace chorus::server {

const StrategyEntry& fedavg_entry() noexcept;

}  // namespace chorus::server
