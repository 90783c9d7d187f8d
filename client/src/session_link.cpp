// The link of the session machine: connecting, greeting, staying alive, leaving.
#include <algorithm>
#include <string>
#include <utility>

#include "client/src/session_machine.hpp"
#include "common/base/assert.hpp"
#include "common/base/limits.hpp"

namespace chorus::client {
namespace {

// Between one attempt at renewing the certificate and the next.
constexpr Duration kRenewalPauseMin = std::chrono::minutes(1);
constexpr Duration kRenewalPauseMax = std::chrono::hours(24);

// What nobody but a person can change: the device stops instead of trying for ever.
bool is_permanent(errc code) noexcept {
  switch (code) {
    case errc::unsupported_version:
    case errc::unauthenticated:
    case errc::certificate_expired:
    case errc::revoked:
      return true;
    default:
      return false;
  }
}

}  // namespace

// Full jitter: uniform in [0, first * 2^attempt], capped. Thousands of devices that lost the same
// server must not come back in step.
// @source  "Exponential Backoff And Jitter", AWS Architecture Blog 2015
Duration SessionMachine::backoff(std::uint32_t attempt) {
  constexpr Duration kFirst = limits::kReconnectFirst;
  constexpr Duration kMax = limits::kReconnectMax;
  const auto doublings = std::min<std::uint32_t>(attempt, 20);
  const Duration ceiling = std::min<Duration>(kMax, kFirst * (1L << doublings));
  const double draw = rng_.uniform();
  return Duration(static_cast<Duration::rep>(draw * static_cast<double>(ceiling.count())));
}

void SessionMachine::on(const Started& event) {
  if (link_ == Link::closed) return;  // stopped before it began
  CHORUS_ASSERT(link_ == Link::offline && task_ == Task::none && !offer_);
  if (event.unfinished) {
    offer_ = event.unfinished;
    task_ = Task::offering;
  }
  connect_when_eligible();
}

void SessionMachine::connect_when_eligible() {
  reconnect_at_.reset();
  link_ = Link::asking;
  act(AskEligibility{});
}

void SessionMachine::on(const EligibilityKnown& event) {
  if (stopping_) return;
  if (link_ == Link::asking) {
    if (event.eligible) {
      link_ = Link::connecting;
      report(State::connecting);
      act(Connect{});
      return;
    }
    link_ = Link::offline;
    reconnect_at_ = now_ + config_.eligibility_interval;
    if (!runs_trainer()) report(State::sleeping, "the device is not eligible now");
    return;
  }
  if (task_ != Task::asking) return;
  if (event.eligible) {
    become_ready();
  } else {
    leave(config_.eligibility_interval, "the device is not eligible now");
  }
}

void SessionMachine::become_ready() {
  task_ = Task::ready;
  send(wire::Ready{});
  report(State::waiting);
}

void SessionMachine::on(const Connected&) {
  if (link_ != Link::connecting) return;
  link_ = Link::greeting;
  last_received_ = now_;
  greeting_until_ = now_ + Duration(limits::kHelloDeadline);
  wire::Hello hello;
  hello.software = config_.software;
  hello.jobs = config_.jobs;
  send(std::move(hello));
}

void SessionMachine::receive(const wire::Welcome& welcome) {
  if (link_ != Link::greeting) {
    break_off(fail(errc::unexpected_message, "the server sent a second welcome"));
    return;
  }
  if (welcome.protocol < wire::kProtocolMin || welcome.protocol > wire::kProtocolMax) {
    finish(fail(errc::unsupported_version,
                "the server (" + welcome.software + ") wants protocol " +
                    std::to_string(welcome.protocol) + "; this build speaks " +
                    std::to_string(wire::kProtocolMin) + " to " +
                    std::to_string(wire::kProtocolMax)));
    return;
  }
  link_ = Link::online;
  greeting_until_.reset();
  if (welcomed_) ++summary_.reconnects;
  welcomed_ = true;
  heartbeat_ = welcome.heartbeat;
  if (decline_) send(*std::exchange(decline_, std::nullopt));
  if (task_ == Task::none) {
    proceed();
  } else if (task_ == Task::offering) {
    make_offer();
  } else if (runs_trainer()) {
    report(work_->task.kind == TaskKind::train ? State::training : State::evaluating);
  }
}

void SessionMachine::receive(const wire::Goodbye& goodbye) {
  leave(goodbye.come_back_after, goodbye.why.empty() ? "the server closes" : goodbye.why);
}

void SessionMachine::receive(const wire::Enrolled& enrolled) {
  if (!renewal_sent_) return;
  renewal_sent_ = false;
  renewal_.reset();
  act(StoreCertificate{enrolled});
}

void SessionMachine::on(const CertificateInUse& event) {
  renew_at_ = event.renew_at;
  certificate_ends_at_ = event.ends_at;
  renew_if_due();
}

void SessionMachine::on(const RenewalRequestMade& event) {
  renewal_ = wire::Renew{event.csr};
  renew_if_due();
}

// Between tasks only: while an update is offered or sent, any other message gives it up.
void SessionMachine::renew_if_due() {
  if (link_ != Link::online || !is_between_tasks() || renewal_sent_) return;
  if (renewal_) {
    renewal_sent_ = true;
    send(*renewal_);
  } else if (renew_at_ && now_ >= *renew_at_) {
    // If nothing comes of it, the next attempts follow closer as the end comes near.
    const Duration left = certificate_ends_at_ - now_;
    renew_at_ = now_ + std::clamp<Duration>(left / 8, kRenewalPauseMin, kRenewalPauseMax);
    act(MakeRenewalRequest{});
  }
}

void SessionMachine::receive(const wire::Error& error) {
  Failure why = fail(error.code, "the server says: " + error.detail);
  // Requests are answered in their order: this is the word on the renewal, unless it is final.
  if (std::exchange(renewal_sent_, false)) {
    renewal_.reset();
    act(RenewalRefused{why});
    if (!error.fatal && link_ == Link::online) return;
  }
  if (is_permanent(error.code)) {
    finish(std::move(why));
    return;
  }
  if (error.fatal || link_ != Link::online) {
    // The update itself may be what the server cannot read: offering it again would never end.
    if (has_upload() && offered_ && !may_retry(error.code)) settle(summary_.rejected);
    act(Disconnect{});
    go_offline(error.retry_after, why.to_string());
    return;
  }
  if (has_upload() && offered_) {
    refused(why, error.retry_after);
  } else if (task_ == Task::fetching || task_ == Task::ready) {
    drop_task();
    pause(error.retry_after, why.to_string());
  }
}

void SessionMachine::on(const ConnectionLost& event) {
  const bool had_link =
      link_ == Link::connecting || link_ == Link::greeting || link_ == Link::online;
  if (!had_link) return;
  // Before the handshake is over it is the server's certificate that does not do. One that has
  // expired will be renewed; another authority's means a wrong address or folder, unless the right
  // server has answered before: then something stands in its place for now (a Wi-Fi portal, say).
  const bool servers_fault = link_ == Link::connecting;
  const bool passes = servers_fault && (event.why.code == errc::certificate_expired ||
                                        (event.why.code == errc::unauthenticated && welcomed_));
  if (is_permanent(event.why.code) && !passes) {
    finish(event.why);
    return;
  }
  go_offline(Duration::zero(), event.why.to_string());
}

// What the peer sent makes no sense: close and begin again.
void SessionMachine::break_off(const Failure& why) {
  act(Disconnect{});
  go_offline(Duration::zero(), why.to_string());
}

void SessionMachine::leave(Duration until, const std::string& why) {
  send(wire::Goodbye{"", Duration::zero()});
  act(Disconnect{});
  link_failures_ = 0;
  go_offline(until, why);
}

void SessionMachine::go_offline(Duration at_least, std::string why) {
  link_ = Link::offline;
  greeting_until_.reset();
  renewal_sent_ = false;
  offered_ = false;
  offer_at_.reset();
  ready_at_.reset();
  if (task_ == Task::uploading) {
    act(StopBody{});
    task_ = Task::offering;
  }
  if (is_loading()) {
    link_changed_ = true;
  } else if (!has_upload() && !runs_trainer()) {
    drop_task();
  }
  reconnect_at_ = now_ + at_least + backoff(link_failures_);
  ++link_failures_;
  if (runs_trainer()) return;  // it goes on: for the owner nothing has changed
  report(at_least > Duration::zero() ? State::sleeping : State::connecting, std::move(why));
}

void SessionMachine::tick_offline() {
  if (reconnect_at_ && now_ >= *reconnect_at_) connect_when_eligible();
  if (greeting_until_ && now_ >= *greeting_until_) {
    break_off(fail(errc::timed_out, "the server did not answer the greeting"));
  }
}

void SessionMachine::tick_online() {
  keep_alive();
  if (link_ != Link::online) return;
  renew_if_due();
  if (ready_at_ && now_ >= *ready_at_) {
    ready_at_.reset();
    proceed();
  }
  if (offer_at_ && now_ >= *offer_at_) {
    offer_at_.reset();
    make_offer();
  }
}

// One side may be busy sending for a long time; the ping asks for a sign of the other.
void SessionMachine::keep_alive() {
  const Duration silence = now_ - last_received_;
  const Duration most = std::max<Duration>(limits::kIdleDeadline, 4 * heartbeat_) + heartbeat_;
  if (silence >= most) {
    break_off(fail(errc::timed_out,
                   "no sign of the server for " + std::to_string(silence.count()) + " ms"));
    return;
  }
  const TimePoint due = std::min(last_sent_, std::max(last_received_, last_ping_)) + heartbeat_;
  if (now_ < due) return;
  last_ping_ = now_;
  send(wire::Ping{++pings_});
}

void SessionMachine::on(const Tick&) {
  if (link_ == Link::closed) return;
  if (task_ == Task::working && work_until_ && now_ >= *work_until_) {
    work_until_.reset();
    late_ = true;
    task_ = Task::cancelling;
    act(CancelTask{});
  }
  if (link_ == Link::online) {
    tick_online();
  } else {
    tick_offline();
  }
}

std::optional<TimePoint> SessionMachine::next_wakeup() const {
  if (link_ == Link::closed) return std::nullopt;
  std::optional<TimePoint> first;
  const auto consider = [&first](const std::optional<TimePoint>& at) {
    if (at && (!first || *at < *first)) first = at;
  };
  consider(reconnect_at_);
  consider(greeting_until_);
  if (task_ == Task::working) consider(work_until_);
  if (link_ == Link::online) {
    consider(ready_at_);
    consider(offer_at_);
    if (is_between_tasks() && !renewal_) consider(renew_at_);
    consider(std::min(last_sent_, std::max(last_received_, last_ping_)) + heartbeat_);
  }
  return first;
}

void SessionMachine::on(const StopRequested&) {
  if (stopping_ || link_ == Link::closed) return;
  if (link_ == Link::online || link_ == Link::greeting) {
    send(wire::Goodbye{"the device stops", Duration::zero()});
  }
  finish(std::nullopt);
}

// Ends now, or when trainer and cache have let go of the owner's memory.
void SessionMachine::finish(std::optional<Failure> why) {
  if (link_ == Link::closed) return;
  stopping_ = true;
  if (!failure_) failure_ = std::move(why);
  if (task_ == Task::working) {
    task_ = Task::cancelling;
    act(CancelTask{});
  }
  if (task_ == Task::uploading) {
    act(StopBody{});
    task_ = Task::offering;
  }
  if (link_ != Link::offline && link_ != Link::asking) act(Disconnect{});
  link_ = Link::offline;
  reconnect_at_.reset();
  greeting_until_.reset();
  if (runs_trainer() || is_loading()) return;
  link_ = Link::closed;
  report(State::stopped, failure_ ? failure_->to_string() : "");
  act(Finish{failure_});
}

}  // namespace chorus::client
