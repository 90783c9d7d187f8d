// What must be true of every history: see docs/reliability.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/driver/job_runner.hpp"
#include "server/store/ledger.hpp"
#include "tests/sim/sim_device.hpp"
#include "tests/sim/sim_server.hpp"

namespace chorus::sim {

/// What was promised and does not hold.
struct Violation {
  std::string what;
};

/// Sees what devices say and hear, and what the ledger holds after each round.
/// @throws Violation, from all but its observers
class Checker final : public DeviceObserver {
 public:
  // DeviceObserver
  void offered(const std::string& device,
               const wire::Offer& offer,
               std::span<const std::byte> body) override;
  void acknowledged(const std::string& device, const wire::Offer& offer) override;

  /// After anything has happened: looks at rounds that were closed since.
  void look(SimServer& server);
  /// A new process has taken up the job: what was there before is there, and the same.
  void look_again(SimServer& server);
  /// The job is over.
  void finish(SimServer& server);

  std::uint64_t rounds_closed() const noexcept { return closed_.size(); }
  std::uint64_t rounds_published() const noexcept { return published_; }
  std::uint64_t updates_checked() const noexcept { return updates_; }

 private:
  struct Sent {
    std::vector<std::byte> body;
    std::uint64_t examples = 0;
  };
  struct Part {
    std::string client;
    std::uint64_t round = 0;
    std::string digest;  ///< hex
    auto operator<=>(const Part&) const = default;
  };
  struct Closed {
    server::RoundRow row;
    std::vector<server::ReceiptRow> receipts;
  };

  Closed read(SimServer& server, RoundId round);
  void check_round(SimServer& server, server::JobRunner& runner, const Closed& closed);
  void check_sums(SimServer& server, server::JobRunner& runner, const Closed& closed);
  void check_acknowledged(const Closed& closed) const;

  std::map<Part, Sent> sent_;
  std::vector<Part> acknowledged_;
  std::map<std::uint64_t, Closed> closed_;             ///< by round
  std::map<std::uint64_t, server::Lane::Form> forms_;  ///< of updates, by round
  Sha256 current_;
  bool begun_ = false;
  std::uint64_t published_ = 0;
  std::uint64_t updates_ = 0;
};

}  // namespace chorus::sim
