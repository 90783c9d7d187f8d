#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "admin/commands.hpp"
#include "admin/message_json.hpp"
#include "admin/replies.hpp"
#include "chorus/v1/admin.pb.h"
#include "common/base/try.hpp"

namespace chorus::admin {
namespace {

Result<v1::RoundDetail> round_reply(AdminLink& link, const v1::AdminRequest& request) {
  CHORUS_TRY(auto reply, link.call(request));
  if (!reply.has_round()) return wrong_reply("a round");
  return std::move(*reply.mutable_round());
}

void print_round(Console& console, const v1::RoundDetail& detail) {
  const auto& round = detail.summary();
  console.line(fact("round", fmt::format("{} of job '{}'", round.round(), detail.job())));
  console.line(
      fact("state", round.why().empty() ? round.state() : round.state() + ": " + round.why()));
  console.line(fact("devices", fmt::format("{} invited, goal {}", round.cohort(), round.goal())));
  console.line(fact("updates",
                    fmt::format("{} accepted, {} rejected, {} discarded",
                                round.accepted(),
                                round.rejected(),
                                round.discarded())));
  console.line(fact("examples", human_count(round.examples())));
  console.line(
      fact("bytes",
           fmt::format(
               "{} up, {} down", human_bytes(round.bytes_up()), human_bytes(round.bytes_down()))));
  console.line(fact("opened", human_instant(round.opened_ms())));
  console.line(fact("time", human_time(seconds_of(round, now_ms()))));
  console.line(fact("from version", short_digest(round.base_sha256())));
  console.line(fact("to version", short_digest(round.version_sha256())));
  console.line(fact("evaluated", fmt::format("by {} devices", round.evaluated())));
  for (const auto& metric : round.metrics()) {
    console.line(fact(metric.name(), human_metric(metric.value())));
  }
}

}  // namespace

Result<void> round_list(Console& console,
                        AdminLink& link,
                        const std::string& job,
                        std::uint32_t last) {
  v1::AdminRequest request;
  request.mutable_list_rounds()->set_job(job);
  request.mutable_list_rounds()->set_last(last);
  CHORUS_TRY(const auto reply, link.call(request));
  if (!reply.has_rounds()) return wrong_reply("the list of rounds");
  if (console.json()) console.value(to_json(reply.rounds()));
  if (reply.rounds().rounds().empty()) {
    console.line(fmt::format(
        "Job '{}' has had no round yet. 'chorus watch {}' shows what it waits for.", job, job));
    return {};
  }
  auto table = round_table();
  const auto now = now_ms();
  for (const auto& round : reply.rounds().rounds()) add_round(table, round, now);
  for (const auto& line : table.lines()) console.line(line);
  return {};
}

Result<void> round_show(Console& console,
                        AdminLink& link,
                        const std::string& job,
                        std::uint64_t round) {
  v1::AdminRequest request;
  request.mutable_show_round()->set_job(job);
  request.mutable_show_round()->set_round(round);
  CHORUS_TRY(const auto detail, round_reply(link, request));
  if (console.json()) {
    console.value(to_json(detail));
    return {};
  }
  print_round(console, detail);
  if (detail.devices().empty()) return {};
  using enum Table::Align;
  Table table({{"device", left},
               {"state", left},
               {"examples", right},
               {"bytes", right},
               {"training", right},
               {"", left}});
  for (const auto& device : detail.devices()) {
    table.add({device.device(),
               device.state(),
               human_count(device.examples()),
               human_bytes(device.bytes()),
               human_time(device.seconds()),
               device.why()});
  }
  console.line();
  for (const auto& line : table.lines()) console.line(line);
  return {};
}

Result<void> round_control(Console& console,
                           AdminLink& link,
                           const std::string& job,
                           std::uint64_t round,
                           RoundAction action) {
  v1::AdminRequest request;
  auto& control = *request.mutable_control_round();
  control.set_job(job);
  control.set_round(round);
  control.set_verb(action == RoundAction::abort ? v1::ControlRound::VERB_ABORT
                                                : v1::ControlRound::VERB_FINISH);
  CHORUS_TRY(const auto detail, round_reply(link, request));
  if (console.json()) console.value(to_json(detail));
  console.line(fmt::format("Round {} of job '{}' {}; it has {} of {} updates.",
                           detail.summary().round(),
                           printable(detail.job()),
                           action == RoundAction::abort ? "is being aborted" : "is being finished",
                           detail.summary().accepted(),
                           detail.summary().goal()));
  return {};
}

}  // namespace chorus::admin
