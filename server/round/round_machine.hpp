// The rounds of one job as a pure state machine: told what happened, it answers what to do. No
// I/O, clock, thread, log, protobuf or tensor inside; iteration over ordered containers only. The
// daemon drives it with sockets and disks, the simulator with a seeded world.
//
//   waiting ─► opening ─► collecting ─► folding ─► finalising ─► publishing ─► evaluating ─►
//   waiting
//                              └──────► abandoning ───────────────────────────────────────► waiting
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "server/round/round_types.hpp"
#include "server/selection/selection.hpp"

namespace chorus::server {

enum class RoundPhase : std::uint8_t {
  waiting,     ///< for enough free devices, for `resume`, or for good (see JobPhase)
  opening,     ///< the ledger is being told
  collecting,  ///< updates come in
  folding,     ///< closed; the last accepted updates go into the lane
  finalising,  ///< the new version is being written
  publishing,  ///< the ledger is being told
  abandoning,  ///< the ledger is being told
  evaluating,  ///< devices measure the new version
};

std::string_view to_string(RoundPhase phase) noexcept;
std::string_view to_string(JobPhase phase) noexcept;

class RoundMachine {
 public:
  /// @pre config is valid: 1 <= min_reports <= goal <= invited(), rounds >= 1
  RoundMachine(RoundConfig config, std::shared_ptr<const Selection> selection);

  /// Takes up what a former process left. Call once, before the first step. The deadline of an open
  /// round begins anew. Answers the actions to start with.
  std::span<const Action> restore(const RestoredJob& job, TimePoint now);

  /// One event in, actions out (valid until the next call). Checks every invariant afterwards.
  std::span<const Action> step(const Event& event, TimePoint now);

  /// When a Tick is due, if nothing else happens before.
  std::optional<TimePoint> next_wakeup() const;

  struct Member {
    MemberState state = MemberState::invited;
    Examples examples;
    bool folded = false;
    bool connected = false;
  };

  RoundPhase phase() const noexcept { return phase_; }
  JobPhase job_phase() const noexcept { return job_phase_; }
  const std::string& why() const noexcept { return why_; }
  RoundId round() const noexcept { return round_; }      ///< open, or the last closed one
  std::uint64_t rounds_done() const noexcept;            ///< closed, published or not
  std::uint64_t goal() const noexcept { return goal_; }  ///< of the open round
  const RoundConfig& config() const noexcept { return config_; }
  const std::map<ClientId, Member>& members() const noexcept { return members_; }
  std::size_t ready_count() const noexcept { return ready_.size(); }
  bool pausing() const noexcept { return pause_requested_; }
  std::uint32_t invited() const noexcept;
  std::uint64_t count(MemberState state) const noexcept;
  TimePoint opened_at() const noexcept { return opened_at_; }
  std::uint64_t evaluated() const noexcept { return reports_.size(); }
  /// True if the device holds a task of this job that it has not finished.
  bool holds_task(const ClientId& client) const;
  /// Length of a round as seen lately, for pace steering; 0 before the first.
  Duration typical_round() const noexcept { return typical_round_; }
  /// Whether the open round can still be abandoned: while it collects or folds, and while it is
  /// written if that fails, but not once it may have been published.
  bool can_abort() const noexcept;

 private:
  struct Report {
    Examples examples;
    std::vector<Metric> metrics;
  };

  void on(const DeviceReady& event);
  void on(const DeviceLeft& event);
  void on(const OfferMade& event);
  void on(const UploadComplete& event);
  void on(const UploadFailed& event);
  void on(const TaskDeclined& event);
  void on(const UpdatesCommitted& event);
  void on(const UpdatesFolded& event);
  void on(const EvaluationReported& event);
  void on(const RoundOpened& event);
  void on(const RoundFinalised& event);
  void on(const RoundPublished& event);
  void on(const RoundAbandoned& event);
  void on(const StoreFailed& event);
  void on(const Tick& event);
  void on(const JobCommand& event);

  void advance();  // what follows from the state alone
  void try_open();
  void open(std::size_t wanted);
  void try_close();
  void close_or_abandon(const std::string& why);
  void begin_folding(const std::string& why);
  void try_finalise();
  void abandon(const std::string& why);
  void begin_evaluation(const std::vector<ClientId>& candidates);
  void finish_evaluation();
  void end_round();
  void change_job(JobPhase phase, std::string why);
  void repeat_phase_action();
  void release_uncounted(const std::string& why);
  bool accepts_uploads() const;
  bool evaluation_due() const;
  Member* member_of(const ClientId& client, RoundId round);
  template <class A>
  void act(A action) {
    actions_.emplace_back(std::move(action));
  }
  void check() const;

  RoundConfig config_;
  std::shared_ptr<const Selection> selection_;
  TimePoint now_{};
  std::vector<Action> actions_;

  JobPhase job_phase_ = JobPhase::running;
  bool pause_requested_ = false;  ///< takes effect when the open round has ended
  bool stop_requested_ = false;
  std::string why_;
  RoundPhase phase_ = RoundPhase::waiting;
  RoundId round_;
  TimePoint waiting_since_{};
  TimePoint opened_at_{};
  Duration typical_round_{};
  std::uint64_t goal_ = 0;    ///< updates that close the open round
  std::set<ClientId> ready_;  ///< connected and free, for this job
  std::map<ClientId, Member> members_;
  std::set<ClientId> evaluators_;       ///< asked, not yet answered
  std::map<ClientId, Report> reports_;  ///< answered
  TimePoint evaluation_began_{};
  bool target_reached_ = false;
  bool publish_tried_ = false;     ///< of the open round: it may be in the ledger
  bool finish_requested_ = false;  ///< the open round closes as soon as nothing is being committed
  std::string abandon_why_;        ///< of the round being abandoned
};

}  // namespace chorus::server
