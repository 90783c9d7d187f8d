// Drives the round machine of one job: performs its actions with stores, lanes and sessions, and
// tells it what happened. On the control executor, but for what blocks.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "chorus/result.hpp"
#include "common/net/timer.hpp"
#include "common/wire/messages.hpp"
#include "server/config/job_config.hpp"
#include "server/driver/context.hpp"
#include "server/driver/job_codecs.hpp"
#include "server/driver/job_differences.hpp"
#include "server/driver/job_downlink.hpp"
#include "server/driver/session_link.hpp"
#include "server/round/round_machine.hpp"
#include "server/strategy/strategy.hpp"

namespace chorus::server {

/// The answer to an offer.
struct OfferDecision {
  enum class Kind : std::uint8_t { take, refuse, accepted, wait };
  Kind kind = Kind::wait;
  std::shared_ptr<const UploadTarget> target;  ///< take
  wire::Refuse refuse;                         ///< refuse
};

class JobRunner : public std::enable_shared_from_this<JobRunner> {
 public:
  /// @pre the job's configuration was checked; `row` is its state in the ledger
  JobRunner(Context& context, DeviceDirectory& devices, JobConfig config, JobRow row);

  /// Reads ledger and journal and takes up where a former process stopped.
  boost::asio::awaitable<Result<void>> restore();

  // -- devices; see RoundMachine --
  void device_ready(const ClientId& client);
  void device_left(const ClientId& client);
  OfferDecision offer(const ClientId& client, const wire::Offer& offer);
  void upload_complete(const ClientId& client, RoundId round);
  /// The journal did not take the body; the device tries again.
  void upload_not_stored(const ClientId& client, RoundId round, const Failure& why);
  /// `rejected`: the body was at fault.
  void upload_failed(const ClientId& client, RoundId round, bool rejected, const Failure& why);
  void declined(const ClientId& client, const wire::Decline& decline);
  void device_revoked(const ClientId& client);

  // -- administrators --
  /// @errors wrong_state, saying what the job's state allows
  Result<void> control(JobVerb verb);
  /// Waits until revision() differs from `known`, at most `wait`.
  boost::asio::awaitable<void> changed(std::uint64_t known, Duration wait);

  const JobConfig& config() const noexcept { return config_; }
  const JobRow& row() const noexcept { return row_; }
  const RoundMachine& machine() const noexcept { return machine_; }
  std::uint64_t revision() const noexcept { return revision_; }
  std::uint64_t parameters() const noexcept { return layout_.parameters; }
  /// The round in progress as a row; empty between rounds.
  std::optional<RoundRow> current() const;
  std::vector<ReceiptRow> current_receipts() const;
  const JobCodecs& codecs() const noexcept { return codecs_; }
  const JobDownlink& downlink() const noexcept { return downlink_; }
  /// Nothing of this job is on its way to a disk.
  bool idle() const noexcept { return in_flight_ == 0; }

 private:
  /// Updates on their way into the lane. After a failure the same ones go on where it stopped:
  /// what is in the lane already must not be added again.
  struct FoldBatch {
    std::vector<ClientId> clients;
    std::vector<LaneRange> left;
  };

  /// Where a round's updates become one, and its share of the memory budget.
  struct Sums {
    MemoryBudget::Grant memory;
    std::optional<Lane> lane;  ///< none: the strategy combines all of them at the end (set_rule)
  };

  /// What belongs to one open round; kept alive by whatever still works on it.
  struct Work {
    RoundId round;
    Lane::Form form;  ///< of its updates
    std::shared_ptr<RoundJournal> journal;
    std::shared_ptr<RoundTraffic> traffic;
    std::optional<Sums> sums;
    std::map<ClientId, UpdateMeta> metas;       ///< offered; see the machine for their state
    std::map<ClientId, std::uint64_t> weights;  ///< of admitted offers
    std::map<ClientId, std::string> reasons;    ///< why rejected, declined or discarded
    std::vector<UpdateMeta> folded;             ///< in the lane, or counted without one
    ChangeInfo change;                          ///< of the finalised version
    std::optional<BodyDigest> sent;             ///< the same (JobDifferences)
    std::vector<std::byte> basis;               ///< of the next round; empty: none (JobCodecs)
    std::optional<FoldBatch> batch;             ///< being folded
    std::uint64_t kept_bytes = 0;               ///< of the journal, after the last checkpoint
    std::vector<ClientId> cohort;
    TimePoint opened_at{};
  };

  void feed(const Event& event);
  void perform(const Action& action);
  void perform(const OpenRound& action);
  void perform(const SendWork& action);
  void perform(const TakeUpload& action);
  void perform(const RefuseOffer& action);
  void perform(const ConfirmAccepted& action);
  void perform(const DiscardUpdate& action);
  void perform(const CommitUpdate& action);
  void perform(const FoldUpdate& action);
  void perform(const CancelTask& action);
  void perform(const FinaliseRound& action);
  void perform(const PublishRound& action);
  void perform(const AbandonRound& action);
  void perform(const RecordEvaluation& action);
  void perform(const JobChanged& action);

  boost::asio::awaitable<void> open_round(OpenRound action);
  boost::asio::awaitable<void> commit_updates();
  boost::asio::awaitable<void> fold_updates();
  boost::asio::awaitable<Result<void>> fold_batch();
  void choose_batch();
  boost::asio::awaitable<Result<void>> checkpoint_if_large();
  boost::asio::awaitable<void> finalise_round(FinaliseRound action);
  boost::asio::awaitable<Result<VersionInfo>> write_version();
  boost::asio::awaitable<void> publish_round(PublishRound action);
  /// Beyond the job's keep_versions. @pre on the store thread
  Result<void> remove_old_versions() const;
  boost::asio::awaitable<void> abandon_round(AbandonRound action);
  boost::asio::awaitable<void> begin_differences();
  boost::asio::awaitable<void> record_evaluation(RecordEvaluation action);
  boost::asio::awaitable<void> store_job_state(JobState state, std::string why);
  boost::asio::awaitable<Result<void>> restore_open_round(RoundRow row, RestoredJob& job);
  boost::asio::awaitable<Result<void>> load_base(Sha256 version);
  /// Starts a coroutine that keeps this job alive; counted in in_flight_ until it has ended,
  /// however it does. An exception is trouble_, and takes `busy` (the flag that says it runs) back.
  void spawn(boost::asio::awaitable<void> work, const char* what, bool JobRunner::*busy = nullptr);
  /// After an exception: what the machine asks for again is not taken for being under way.
  void forget_busy(bool JobRunner::*busy);
  /// Degrades the job for trouble_, if nothing is on its way that would end after a resume.
  void degrade_if_troubled();
  /// Gives `work` its lane: the checkpoint's, or the last round's begun anew, or a new one, within
  /// the memory budget. Of a set rule: the memory that it needs.
  Result<void> make_lane(Work& work, std::optional<LaneCheckpoint> checkpoint);
  LaneBounds lane_bounds(const codec::UpdateForm& form) const;
  RoundRow round_row(RoundState state, std::string why) const;
  std::vector<ReceiptRow> receipts() const;
  std::vector<Metric> train_metrics() const;
  wire::Work work_message(const ClientId& client, TaskKind kind, RoundId round) const;
  bool expects(const SendWork& work) const;
  OfferDecision offer_update(const ClientId& client, const wire::Offer& offer);
  bool counts_another(const ClientId& client, const wire::Offer& offer) const;
  Result<void> check_kept(const ClientId& client, const wire::Offer& offer);
  Result<std::uint64_t> check_offer(const codec::UpdateForm& form, const UpdateMeta& meta) const;
  void arm_timer();
  void tell_watchers();
  /// @pre on the store thread
  Result<std::unique_ptr<RoundJournal>> open_journal(RoundId round,
                                                     RoundJournal::Recovered& found) const;

  Context& context_;
  DeviceDirectory& devices_;
  JobConfig config_;
  JobRow row_;
  std::unique_ptr<Strategy> strategy_;
  RoundMachine machine_;
  TensorLayout layout_;
  JobCodecs codecs_;
  JobDownlink downlink_;
  JobDifferences differences_;
  std::shared_ptr<const VersionReader> base_;  ///< the current version
  std::shared_ptr<Work> work_;                 ///< the open round, or the one just published
  std::optional<Sums> spare_sums_;             ///< between the rounds of a running job
  std::shared_ptr<RoundTraffic> traffic_;      ///< since the last closed round
  std::vector<ClientId> to_commit_;
  std::vector<ClientId> to_fold_;
  std::set<ClientId> commit_asked_;  ///< in to_commit_, or on their way
  std::set<ClientId> fold_asked_;    ///< in to_fold_, or on their way
  bool committing_ = false;
  bool folding_ = false;
  bool abandoning_ = false;
  OfferDecision decision_;  ///< of the offer being fed
  net::Timer wakeup_;
  std::set<net::Timer*> watchers_;  ///< each ends one changed()
  std::uint64_t revision_ = 1;
  unsigned in_flight_ = 0;
  std::optional<Failure> trouble_;  ///< what went wrong where the machine waits for no answer
};

}  // namespace chorus::server
