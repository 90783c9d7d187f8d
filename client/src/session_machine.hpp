// A device's side of the conversation as a pure state machine: told what happened, it answers what
// to do. No I/O, clock, thread, log, protobuf or tensor inside; random only by its seed.
//
// Two things live apart, because a task survives connections:
//   link:  offline ─► asking ─► connecting ─► greeting ─► online ─► offline …
//   task:  none ─► asking ─► ready ─► looking_up ─► fetching ─► verifying ─► working ─► offering
//            ▲                 │          └─────────────────────────▲          │          │  ▲
//            └── sleeping ◄────┘                                cancelling ◄───┘      uploading
// When the model is there, a round's basis is fetched and verified in the same way.
// A connection lost before the work began drops the task: the server gives it again after Ready, if
// it still stands, and the download goes on where it stopped. From `working` on the task stays.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/src/session_actions.hpp"
#include "client/src/session_events.hpp"
#include "common/base/rng.hpp"

namespace chorus::client {

struct SessionConfig {
  std::string software;
  std::vector<JobId> jobs;
  std::uint64_t tasks_max = 0;  ///< 0: no end
  Duration eligibility_interval{30'000};
  std::uint64_t seed = 0;  ///< of the jitter
};

class SessionMachine {
 public:
  enum class Link : std::uint8_t { offline, asking, connecting, greeting, online, closed };
  enum class Task : std::uint8_t {
    none,        ///< nothing to do, or not online
    asking,      ///< online, eligibility asked for
    ready,       ///< the server knows that the device is free
    sleeping,    ///< online; Ready at ready_at_
    looking_up,  ///< in the cache
    fetching,
    verifying,
    working,     ///< the trainer runs
    cancelling,  ///< the trainer was told to stop
    offering,    ///< an update waits for the server's word (or for a connection, or for offer_at_)
    uploading,
  };

  explicit SessionMachine(SessionConfig config);

  /// One event in, actions out (valid until the next call).
  std::span<const Action> step(const Event& event, TimePoint now);

  /// When a Tick is due, if nothing else happens before.
  std::optional<TimePoint> next_wakeup() const;

  Link link() const noexcept { return link_; }
  Task task() const noexcept { return task_; }
  /// The task in hand. @pre task() is between looking_up and cancelling
  const wire::Work& work() const;
  /// While fetching: what, and how much of it is there.
  const Download& download() const noexcept { return download_; }
  /// Counters; the driver adds the bytes.
  const RunSummary& summary() const noexcept { return summary_; }

 private:
  void on(const Started& event);
  void on(const EligibilityKnown& event);
  void on(const Connected& event);
  void on(const ConnectionLost& event);
  void on(const MessageReceived& event);
  void on(const WorkNotUnderstood& event);
  void on(const ModelLookedUp& event);
  void on(const ModelUnusable& event);
  void on(const ModelVerified& event);
  void on(const ModelBroken& event);
  void on(const TaskFinished& event);
  void on(const TaskFailed& event);
  void on(const BodyProgress& event);
  void on(const CertificateInUse& event);
  void on(const RenewalRequestMade& event);
  void on(const Tick& event);
  void on(const StopRequested& event);

  void receive(const wire::Welcome& welcome);
  void receive(const wire::Work& work);
  void receive(const wire::ComeBack& come_back);
  void receive_chunk(const wire::Chunk& chunk, std::uint32_t body_bytes);
  void receive(const wire::Take& take);
  void receive(const wire::Refuse& refuse);
  void receive(const wire::Accepted& accepted);
  void receive(const wire::Cancel& cancel);
  void receive(const wire::Error& error);
  void receive(const wire::Goodbye& goodbye);
  void receive(const wire::Enrolled& enrolled);

  // link (session_link.cpp)
  void go_offline(Duration at_least, std::string why);
  void leave(Duration until, const std::string& why);
  void break_off(const Failure& why);
  void connect_when_eligible();
  void become_ready();
  void keep_alive();
  void tick_offline();
  void tick_online();
  void finish(std::optional<Failure> why);
  Duration backoff(std::uint32_t attempt);
  void renew_if_due();

  // task
  void proceed();
  void pause(Duration at_least, const std::string& why);
  void begin(wire::Work work);
  void fetch();
  void model_is_there();
  void start_work();
  void make_offer();
  void settle(std::uint64_t& counter, std::optional<TaskRef> accepted = {});
  void postpone_offer(Duration at_least, const std::string& why);
  void refused(const Failure& why, Duration retry_after);
  void decline(const TaskRef& task, const Failure& why);
  void drop_task();
  bool is_current(const TaskRef& task) const;
  bool is_between_tasks() const {
    return task_ == Task::none || task_ == Task::asking || task_ == Task::ready ||
           task_ == Task::sleeping;
  }
  bool is_loading() const { return task_ == Task::looking_up || task_ == Task::verifying; }
  bool has_upload() const { return task_ == Task::offering || task_ == Task::uploading; }
  bool runs_trainer() const { return task_ == Task::working || task_ == Task::cancelling; }

  void send(wire::Message message);
  void report(State state, std::string detail = {});
  void report_bytes(State state, std::uint64_t done, std::uint64_t total);
  template <class A>
  void act(A action) {
    actions_.emplace_back(std::move(action));
  }

  SessionConfig config_;
  Rng rng_;
  TimePoint now_{};
  std::vector<Action> actions_;
  RunSummary summary_;
  bool stopping_ = false;
  std::optional<Failure> failure_;  ///< what run() ends with

  Link link_ = Link::offline;
  std::uint32_t link_failures_ = 0;
  std::optional<TimePoint> reconnect_at_;
  std::optional<TimePoint> greeting_until_;
  Duration heartbeat_{};
  TimePoint last_sent_{};
  TimePoint last_received_{};
  TimePoint last_ping_{};
  std::uint64_t pings_ = 0;
  bool welcomed_ = false;
  std::optional<TimePoint> renew_at_;  ///< the certificate
  TimePoint certificate_ends_at_{};
  std::optional<wire::Renew> renewal_;  ///< to be sent, or sent and not answered
  bool renewal_sent_ = false;           ///< on this connection

  Task task_ = Task::none;
  std::optional<wire::Work> work_;
  bool unwanted_ = false;  ///< cancelled before the work began: finish the download, then drop it
  bool link_changed_ = false;  ///< while the model was looked up or verified
  bool late_ = false;          ///< cancelled because the round takes no offer any more
  Download download_;
  std::uint32_t broken_downloads_ = 0;
  std::optional<TimePoint> work_until_;  ///< no offer is taken later
  std::optional<wire::Offer> offer_;
  bool offered_ = false;  ///< on this connection
  std::uint32_t offer_failures_ = 0;
  std::optional<TimePoint> offer_at_;
  std::optional<TimePoint> ready_at_;
  std::uint32_t task_failures_ = 0;
  std::optional<wire::Decline> decline_;  ///< to be sent when online
};

std::string_view to_string(SessionMachine::Link link) noexcept;
std::string_view to_string(SessionMachine::Task task) noexcept;

}  // namespace chorus::client
