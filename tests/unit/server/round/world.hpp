// A small seeded world around a round machine: devices that train, leave, repeat themselves and
// lie; a store that is slow, fails and loses the process. It answers the machine's actions and
// checks on every one of them what must never happen.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/server/round/machine_fixture.hpp"

namespace chorus::server::test {

class World {
 public:
  explicit World(std::uint64_t seed);

  /// Until the job is over, or `limit_` has passed. True if it is over.
  bool run();

  const std::vector<std::string>& trace() const { return trace_; }
  const std::vector<std::string>& violations() const { return violations_; }
  const std::map<std::uint64_t, std::set<ClientId>>& published() const { return published_; }
  std::uint64_t events() const { return events_; }
  std::uint64_t crashes() const { return crashes_; }
  std::uint64_t failures() const { return failures_; }
  const RoundMachine& machine() const { return *machine_; }

 private:
  struct Device {
    bool connected = false;
    std::uint64_t turn = 0;               ///< what was planned in an earlier turn is void
    std::optional<std::uint64_t> result;  ///< trained for this round, not yet answered
    std::optional<std::uint64_t> uploading;
  };
  struct Open {
    std::uint64_t round = 0;
    std::vector<ClientId> cohort;
  };

  // -- chance and time --
  bool chance(double probability) { return rng_.uniform() < probability; }
  bool fault(double probability) { return faulty() && chance(probability); }
  bool faulty() const { return now_ < calm_; }
  Duration delay(std::uint64_t ms_max) {
    return Duration(static_cast<std::int64_t>(rng_.below(ms_max + 1)));
  }
  void plan(Duration after, std::function<void()> what);
  void plan_for(const ClientId& client, Duration after, std::function<void()> what);
  void require(bool holds, const std::string& what);

  // -- devices --
  void connect(const ClientId& client);
  void disconnect(const ClientId& client);
  void set_free(const ClientId& client);
  void make_offer(const ClientId& client);
  void end_upload(const ClientId& client, std::uint64_t round);

  // -- the store --
  void store(Duration after, const std::function<void()>& effect, const Event& answer);
  void crash();
  void operate();

  void feed(const Event& event);
  void perform(const OpenRound& action);
  void perform(const SendWork& action);
  void perform(const TakeUpload& action);
  void perform(const RefuseOffer& action) { set_free(action.client); }
  void perform(const ConfirmAccepted& action);
  void perform(const DiscardUpdate& action) { set_free(action.client); }
  void perform(const CommitUpdate& action);
  void perform(const FoldUpdate& action);
  void perform(const CancelTask& action);
  void perform(const FinaliseRound& action);
  void perform(const PublishRound& action);
  void perform(const AbandonRound& action);
  void perform(const RecordEvaluation& action);
  void perform(const JobChanged& action);
  void perform_all(std::span<const Action> actions);
  void try_abandon(const AbandonRound& action);
  static RoundConfig draw_config(Rng& rng);

  Rng rng_;
  RoundConfig config_;
  std::optional<RoundMachine> machine_;
  TimePoint now_{};
  TimePoint calm_{};  ///< no faults from here on
  TimePoint limit_{};
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> queue_;
  std::uint64_t sequence_ = 0;
  std::map<ClientId, Device> devices_;

  // What survives a crash.
  JobPhase stored_phase_ = JobPhase::running;
  std::uint64_t last_round_ = 0;
  std::optional<Open> open_;
  std::map<ClientId, Examples> journal_;  ///< committed in the open round
  std::set<ClientId> checkpoint_;
  std::map<std::uint64_t, std::set<ClientId>> published_;
  std::set<std::uint64_t> abandoned_;
  bool evaluated_ = true;  ///< the last published round

  // What does not.
  std::set<ClientId> lane_;
  std::set<ClientId> committing_;
  std::set<ClientId> folding_;
  std::optional<std::uint64_t> finalised_;
  bool abandoning_ = false;

  std::vector<std::string> trace_;
  std::vector<std::string> violations_;
  std::uint64_t events_ = 0;
  std::uint64_t crashes_ = 0;
  std::uint64_t failures_ = 0;
};

}  // namespace chorus::server::test
