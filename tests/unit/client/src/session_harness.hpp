// Drives a session machine by hand: event in, actions out, reports kept apart.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/src/session_machine.hpp"
#include "common/base/limits.hpp"
#include "tests/support/messages.hpp"

namespace chorus::client {

using Actions = std::vector<Action>;
using Link = SessionMachine::Link;
using Task = SessionMachine::Task;

// GoogleTest prints the kinds of action, which is what one wants to see.
inline void PrintTo(const Action& action, std::ostream* out) {
  static constexpr const char* kNames[] = {"AskEligibility",
                                           "Connect",
                                           "Disconnect",
                                           "Send",
                                           "LookUpModel",
                                           "ReceiveModel",
                                           "KeepChunk",
                                           "VerifyModel",
                                           "StartTask",
                                           "CancelTask",
                                           "SendBody",
                                           "StopBody",
                                           "DropUpload",
                                           "MakeRenewalRequest",
                                           "StoreCertificate",
                                           "RenewalRefused",
                                           "Report",
                                           "Finish"};
  *out << kNames[action.index()];
  if (const auto* send = std::get_if<Send>(&action)) {
    *out << "(" << wire::name_of(wire::kind_of(send->message)) << ")";
  }
}

class Harness {
 public:
  explicit Harness(SessionConfig config = {}) : machine(std::move(config)) {}

  /// Actions but for Report, which is collected.
  Actions step(const Event& event) {
    Actions others;
    for (const Action& action : machine.step(event, now)) {
      if (const auto* report = std::get_if<Report>(&action)) {
        reports.push_back(report->progress);
      } else {
        others.push_back(action);
      }
    }
    return others;
  }
  Actions receive(wire::Message message, std::uint32_t body_bytes = 0) {
    return step(MessageReceived{std::move(message), body_bytes});
  }
  /// To the next time the machine wants to be woken, and a Tick.
  Actions wake() {
    const auto at = machine.next_wakeup();
    EXPECT_TRUE(at.has_value());
    if (at) now = std::max(now, *at);
    return step(Tick{});
  }
  Actions tick_after(Duration pause) {
    now += pause;
    return step(Tick{});
  }
  Duration until_wakeup() const { return machine.next_wakeup().value() - now; }
  State last_state() const { return reports.empty() ? State::stopped : reports.back().state; }

  // ---- shortcuts to a state ----

  void connect(std::optional<wire::Offer> unfinished = std::nullopt) {
    step(Started{std::move(unfinished)});
    reconnect();
  }
  /// So many bytes of some_work()'s model are there.
  static ModelLookedUp looked_up(std::uint64_t there) {
    return {{test::some_work().model.bytes, there, 0}};
  }
  /// From `asking` to online.
  void reconnect() {
    step(EligibilityKnown{true});
    step(Connected{});
    receive(welcome());
  }
  void be_ready() {
    connect();
    step(EligibilityKnown{true});
    ASSERT_EQ(machine.task(), Task::ready);
  }
  void be_fetching(std::uint64_t held = 0) {
    be_ready();
    receive(test::some_work());
    step(looked_up(held));
    ASSERT_EQ(machine.task(), Task::fetching);
  }
  void be_working() {
    be_ready();
    receive(test::some_work());
    step(looked_up(4096));
    ASSERT_EQ(machine.task(), Task::working);
  }
  void be_offering() {
    be_working();
    step(TaskFinished{test::some_offer()});
    ASSERT_EQ(machine.task(), Task::offering);
  }
  void be_uploading() {
    be_offering();
    receive(wire::Take{test::some_task(), 0});
    ASSERT_EQ(machine.task(), Task::uploading);
  }
  Actions lose_connection(errc code = errc::connection_failed) {
    return step(ConnectionLost{fail(code, "gone")});
  }

  static wire::Welcome welcome() { return {1, "chorusd 0.1.0", "device-1", Duration(15'000)}; }
  static Send sent(wire::Message message) { return Send{std::move(message)}; }

  SessionMachine machine;
  TimePoint now{Duration(1'000'000)};
  std::vector<Progress> reports;
};

}  // namespace chorus::client
