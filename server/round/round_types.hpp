// What the round machine is told (events) and what it asks for (actions). Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "chorus/errc.hpp"
#include "chorus/plan.hpp"
#include "common/base/types.hpp"

namespace chorus::server {

/// When rounds open and close. Durations of 0 mean: no such deadline.
struct Pace {
  std::uint32_t cohort = 10;       ///< devices whose updates are wanted
  double over_select = 1.0;        ///< invite ceil(cohort * over_select)
  std::uint32_t goal = 10;         ///< updates that close the round, <= invited
  std::uint32_t min_reports = 10;  ///< fewer at the deadline: nothing is published
  Duration deadline{};             ///< of a round, from its opening
  Duration grace{};                ///< uploads begun before the deadline may take this much longer
  Duration selection_deadline{};   ///< after this, open with fewer devices (at least min_reports)
};

/// Who measures a new version, and how long that may take.
struct EvaluationPace {
  double fraction = 1.0;    ///< of the round's accepted devices; 0: no evaluation
  std::uint32_t every = 1;  ///< rounds; the last round is always evaluated
  Duration deadline = std::chrono::seconds(60);
};

/// Ends a job early: metric of the evaluation at or beyond a value.
struct Target {
  std::string metric;
  double at_least = 0.0;
};

struct RoundConfig {
  JobId job;
  std::uint64_t seed = 0;
  std::uint64_t rounds = 1;
  Pace pace;
  EvaluationPace evaluation;
  std::optional<Target> target;
};

// ---- events: what happened ----

/// The device is connected and free.
struct DeviceReady {
  ClientId client;
};
/// The device's connection is gone, or another job has taken the device.
struct DeviceLeft {
  ClientId client;
};
/// A device says it has finished a training task.
struct OfferMade {
  ClientId client;
  RoundId round;
  Examples examples;
};
/// The body is stored and valid, not yet durable.
struct UploadComplete {
  ClientId client;
  RoundId round;
};
/// The upload ended otherwise. `rejected`: the body was at fault, the device is out of this round;
/// else the connection was, and the device may offer again.
struct UploadFailed {
  ClientId client;
  RoundId round;
  bool rejected = false;
  std::string why;
};
/// The device cannot execute the task.
struct TaskDeclined {
  ClientId client;
  TaskKind kind = TaskKind::train;
  RoundId round;
  std::string why;
};
/// Updates are durable.
struct UpdatesCommitted {
  std::vector<ClientId> clients;
};
/// Updates are in the lane.
struct UpdatesFolded {
  std::vector<ClientId> clients;
};
struct EvaluationReported {
  ClientId client;
  RoundId round;
  Examples examples;
  std::vector<Metric> metrics;
};
/// The ledger knows the open round.
struct RoundOpened {
  RoundId round;
};
/// The new version's file is durable.
struct RoundFinalised {
  RoundId round;
  Sha256 version;
};
/// The ledger names the new version.
struct RoundPublished {
  RoundId round;
};
/// The ledger knows the round as abandoned.
struct RoundAbandoned {
  RoundId round;
};
/// The store failed; the job stands until somebody resumes it.
struct StoreFailed {
  std::string why;
};
/// A wake-up asked for by next_wakeup(), or nothing in particular.
struct Tick {};
enum class JobVerb : std::uint8_t {
  pause = 1,
  resume = 2,
  stop = 3,
  abort_round = 4,
  finish_round = 5
};
struct JobCommand {
  JobVerb verb = JobVerb::pause;
};

using Event = std::variant<DeviceReady,
                           DeviceLeft,
                           OfferMade,
                           UploadComplete,
                           UploadFailed,
                           TaskDeclined,
                           UpdatesCommitted,
                           UpdatesFolded,
                           EvaluationReported,
                           RoundOpened,
                           RoundFinalised,
                           RoundPublished,
                           RoundAbandoned,
                           StoreFailed,
                           Tick,
                           JobCommand>;

// ---- actions: what is to be done ----

/// Write the open round to the ledger; answer RoundOpened.
struct OpenRound {
  RoundId round;
  std::vector<ClientId> cohort;
};
/// Give the device its task.
struct SendWork {
  ClientId client;
  TaskKind kind = TaskKind::train;
  RoundId round;
};
/// The body is wanted: begin or resume the upload.
struct TakeUpload {
  ClientId client;
  RoundId round;
};
struct RefuseOffer {
  ClientId client;
  TaskKind kind = TaskKind::train;
  RoundId round;
  errc code = errc::task_closed;
  std::string why;
};
/// The update (or report) counts and is durable: tell the device. Also answers a repeated offer.
struct ConfirmAccepted {
  ClientId client;
  TaskKind kind = TaskKind::train;
  RoundId round;
};
/// The update is complete but no longer needed: drop it, tell the device.
struct DiscardUpdate {
  ClientId client;
  RoundId round;
  std::string why;
};
/// Make it durable; answer UpdatesCommitted.
struct CommitUpdate {
  ClientId client;
};
/// Add it to the lane; answer UpdatesFolded.
struct FoldUpdate {
  ClientId client;
};
/// The device may stop working on this.
struct CancelTask {
  ClientId client;
  TaskKind kind = TaskKind::train;
  RoundId round;
  std::string why;
};
/// Turn the lane into a new version; answer RoundFinalised.
struct FinaliseRound {
  RoundId round;
};
/// Commit it to the ledger; answer RoundPublished.
struct PublishRound {
  RoundId round;
  Sha256 version;
};
/// Write the round to the ledger as abandoned; answer RoundAbandoned.
struct AbandonRound {
  RoundId round;
  std::string why;
};
/// Store the metrics of the evaluation.
struct RecordEvaluation {
  RoundId round;
  std::uint64_t evaluated = 0;
  std::vector<Metric> metrics;
};
enum class JobPhase : std::uint8_t { running, paused, finished, stopped, degraded };
/// The job's state changed: store it, show it. A pause or stop that has to wait for the open round
/// is announced at once, so that a restart meanwhile does not forget it.
struct JobChanged {
  JobPhase phase = JobPhase::running;
  std::string why;
};

using Action = std::variant<OpenRound,
                            SendWork,
                            TakeUpload,
                            RefuseOffer,
                            ConfirmAccepted,
                            DiscardUpdate,
                            CommitUpdate,
                            FoldUpdate,
                            CancelTask,
                            FinaliseRound,
                            PublishRound,
                            AbandonRound,
                            RecordEvaluation,
                            JobChanged>;

/// One device's part in the open round.
enum class MemberState : std::uint8_t {
  invited,     ///< has, or will get, the task
  uploading,   ///< its body is on the way
  committing,  ///< complete, being made durable
  accepted,
  rejected,
  discarded,
  declined,
};

std::string_view to_string(MemberState state) noexcept;

/// What a fresh process knows of a job, from ledger and journal.
struct RestoredRound {
  RoundId round;                          ///< the open round
  std::vector<ClientId> cohort;           ///< sorted
  std::vector<ClientId> accepted;         ///< durable in the journal
  std::vector<ClientId> folded;           ///< of these, already in the restored lane
  std::map<ClientId, Examples> examples;  ///< of every accepted update
};
struct RestoredJob {
  JobPhase phase = JobPhase::running;
  std::string why;
  RoundId last_round;  ///< closed; 0: none
  std::optional<RestoredRound> open;
  std::vector<ClientId>
      to_evaluate;  ///< accepted devices of last_round if its evaluation is missing
};

}  // namespace chorus::server
