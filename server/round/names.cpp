// The words people read for states and phases.
#include "server/round/round_machine.hpp"

namespace chorus::server {

std::string_view to_string(MemberState state) noexcept {
  switch (state) {
    case MemberState::invited:
      return "invited";
    case MemberState::uploading:
      return "uploading";
    case MemberState::committing:
      return "committing";
    case MemberState::accepted:
      return "accepted";
    case MemberState::rejected:
      return "rejected";
    case MemberState::discarded:
      return "discarded";
    case MemberState::declined:
      return "declined";
  }
  return "unknown";
}

std::string_view to_string(RoundPhase phase) noexcept {
  switch (phase) {
    case RoundPhase::waiting:
      return "waiting";
    case RoundPhase::opening:
      return "opening";
    case RoundPhase::collecting:
      return "collecting";
    case RoundPhase::folding:
      return "folding";
    case RoundPhase::finalising:
      return "finalising";
    case RoundPhase::publishing:
      return "publishing";
    case RoundPhase::abandoning:
      return "abandoning";
    case RoundPhase::evaluating:
      return "evaluating";
  }
  return "unknown";
}

std::string_view to_string(JobPhase phase) noexcept {
  switch (phase) {
    case JobPhase::running:
      return "running";
    case JobPhase::paused:
      return "paused";
    case JobPhase::finished:
      return "finished";
    case JobPhase::stopped:
      return "stopped";
    case JobPhase::degraded:
      return "degraded";
  }
  return "unknown";
}

}  // namespace chorus::server
