// A round machine with its clock, and its actions as short lines that tests compare.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/round/round_machine.hpp"

namespace chorus::server::test {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

inline std::string kind_text(TaskKind kind) {
  return kind == TaskKind::train ? "train" : "evaluate";
}

struct Describe {
  static std::string round(RoundId id) { return std::to_string(id.value); }

  std::string operator()(const OpenRound& a) const {
    std::string text = "open " + round(a.round) + ":";
    for (const ClientId& client : a.cohort) text += " " + client.value;
    return text;
  }
  std::string operator()(const SendWork& a) const {
    return "work " + a.client.value + " " + kind_text(a.kind) + " " + round(a.round);
  }
  std::string operator()(const TakeUpload& a) const {
    return "take " + a.client.value + " " + round(a.round);
  }
  std::string operator()(const RefuseOffer& a) const {
    return "refuse " + a.client.value + " " + kind_text(a.kind) + " " + round(a.round) + " " +
           std::string(to_string(a.code));
  }
  std::string operator()(const ConfirmAccepted& a) const {
    return "accepted " + a.client.value + " " + kind_text(a.kind) + " " + round(a.round);
  }
  std::string operator()(const DiscardUpdate& a) const {
    return "discard " + a.client.value + " " + round(a.round);
  }
  std::string operator()(const CommitUpdate& a) const { return "commit " + a.client.value; }
  std::string operator()(const FoldUpdate& a) const { return "fold " + a.client.value; }
  std::string operator()(const CancelTask& a) const {
    return "cancel " + a.client.value + " " + kind_text(a.kind) + " " + round(a.round);
  }
  std::string operator()(const FinaliseRound& a) const { return "finalise " + round(a.round); }
  std::string operator()(const PublishRound& a) const { return "publish " + round(a.round); }
  std::string operator()(const AbandonRound& a) const {
    return "abandon " + round(a.round) + ": " + a.why;
  }
  std::string operator()(const RecordEvaluation& a) const {
    std::string text = "evaluation " + round(a.round) + " of " + std::to_string(a.evaluated);
    for (const Metric& m : a.metrics) text += " " + m.name + "=" + std::to_string(m.value);
    return text;
  }
  std::string operator()(const JobChanged& a) const {
    return "job " + std::string(to_string(a.phase)) + ": " + a.why;
  }
};

inline std::string describe(const Action& action) {
  return std::visit(Describe{}, action);
}

inline Lines describe(std::span<const Action> actions) {
  Lines lines;
  for (const Action& action : actions) lines.push_back(describe(action));
  return lines;
}

inline std::shared_ptr<const Selection> uniform() {
  return all_selections().front().make();
}

inline ClientId id(const std::string& name) {
  return ClientId{name};
}

/// Three devices a, b, c; all of them wanted; no deadlines; no evaluation; three rounds.
inline RoundConfig three_devices() {
  RoundConfig config;
  config.job = JobId{"job"};
  config.seed = 7;
  config.rounds = 3;
  config.pace = Pace{};
  config.pace.cohort = 3;
  config.pace.goal = 3;
  config.pace.min_reports = 2;
  config.evaluation.fraction = 0.0;
  return config;
}

class Bench {
 public:
  explicit Bench(RoundConfig config = three_devices(), const RestoredJob& found = {})
      : machine(std::move(config), uniform()) {
    first_actions = describe(machine.restore(found, now));
  }

  Lines step(const Event& event) { return describe(machine.step(event, now)); }
  void pass(Duration time) { now += time; }

  Lines ready(const std::string& name) { return step(DeviceReady{id(name)}); }
  Lines left(const std::string& name) { return step(DeviceLeft{id(name)}); }
  Lines offer(const std::string& name, std::uint64_t round = 1, std::uint64_t examples = 10) {
    return step(OfferMade{id(name), RoundId{round}, Examples{examples}});
  }
  Lines complete(const std::string& name, std::uint64_t round = 1) {
    return step(UploadComplete{id(name), RoundId{round}});
  }
  Lines failed(const std::string& name, bool rejected, std::uint64_t round = 1) {
    return step(UploadFailed{id(name), RoundId{round}, rejected, "why"});
  }
  Lines committed(std::initializer_list<std::string> names) {
    return step(UpdatesCommitted{ids(names)});
  }
  Lines folded(std::initializer_list<std::string> names) { return step(UpdatesFolded{ids(names)}); }
  Lines declined(const std::string& name, TaskKind kind = TaskKind::train) {
    return step(TaskDeclined{id(name), kind, machine.round(), "cannot"});
  }
  Lines report(const std::string& name, std::vector<Metric> metrics, std::uint64_t examples = 10) {
    return step(
        EvaluationReported{id(name), machine.round(), Examples{examples}, std::move(metrics)});
  }
  Lines opened() { return step(RoundOpened{machine.round()}); }
  Lines finalised() { return step(RoundFinalised{machine.round(), Sha256{}}); }
  Lines published() { return step(RoundPublished{machine.round()}); }
  Lines abandoned() { return step(RoundAbandoned{machine.round()}); }
  Lines store_failed() { return step(StoreFailed{"disk on fire"}); }
  Lines command(JobVerb verb) { return step(JobCommand{verb}); }
  Lines tick() { return step(Tick{}); }

  /// All three are invited and have their work.
  void collect() {
    for (const char* name : {"a", "b", "c"}) ready(name);
    opened();
    ASSERT_EQ(machine.phase(), RoundPhase::collecting);
  }
  /// From the offer to the lane.
  void accept(const std::string& name) {
    const std::uint64_t round = machine.round().value;
    ASSERT_EQ(offer(name, round).front(), "take " + name + " " + std::to_string(round));
    ASSERT_EQ(complete(name, round).front(), "commit " + name);
    committed({name});
    folded({name});
  }
  /// A whole round in which everybody takes part, up to the ledger's last word.
  void play_round() {
    collect();
    for (const char* name : {"a", "b", "c"}) accept(name);
    finalised();
    ASSERT_EQ(machine.phase(), RoundPhase::publishing);
  }

  MemberState state(const std::string& name) const { return machine.members().at(id(name)).state; }
  RoundPhase phase() const { return machine.phase(); }

  RoundMachine machine;
  TimePoint now{1h};
  Lines first_actions;  ///< of restore()

 private:
  static std::vector<ClientId> ids(std::initializer_list<std::string> names) {
    std::vector<ClientId> list;
    for (const std::string& name : names) list.push_back(id(name));
    return list;
  }
};

}  // namespace chorus::server::test
