#include "admin/watch_view.hpp"

#include <cmath>
#include <fmt/format.h>

#include "admin/replies.hpp"
#include "chorus/v1/admin.pb.h"

namespace chorus::admin {
namespace {

constexpr unsigned kBarWidth = 30;

// The rounds to come at the pace of those shown; empty before the first.
std::string time_left(const v1::JobProgress& progress) {
  const auto& rounds = progress.rounds();
  const auto& job = progress.summary();
  if (rounds.size() < 2 || job.state() != "running" || job.rounds_done() >= job.rounds_total()) {
    return "";
  }
  const auto first = rounds.Get(0).closed_ms();
  const auto last = rounds.Get(rounds.size() - 1).closed_ms();
  const auto per_round = static_cast<double>(last - first) / (1000.0 * (rounds.size() - 1));
  const auto left = static_cast<double>(job.rounds_total() - job.rounds_done());
  return per_round > 0 ? "about " + human_time(std::ceil(per_round * left)) + " left" : "";
}

std::string current_text(const v1::JobProgress& progress, std::int64_t now_ms) {
  if (!progress.has_current()) return "";
  const auto& round = progress.current();
  auto text = fmt::format("round {}: {}", round.round(), round.state());
  if (round.state() == "evaluating") {
    text += fmt::format(", {} devices have answered", round.evaluated());
  } else if (round.goal() > 0) {
    text += fmt::format(", {} of {} updates", round.accepted(), round.goal());
  }
  if (round.opened_ms() != 0) {
    text += "  " + human_time(static_cast<double>(now_ms - round.opened_ms()) / 1000.0);
  }
  return text;
}

}  // namespace

bool has_ended(const v1::JobProgress& progress) {
  const auto& state = progress.summary().state();
  return state == "finished" || state == "stopped" || state == "degraded";
}

bool is_complete(const v1::RoundSummary& round, const v1::JobProgress& progress) {
  if (round.state() != "published" && round.state() != "abandoned") return false;
  return has_ended(progress) || !progress.has_current() ||
         progress.current().round() != round.round();
}

std::vector<std::string> picture(const v1::JobProgress& progress, std::int64_t now_ms) {
  const auto& job = progress.summary();
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{} · {} · {} · {} parameters · {} devices connected",
                              printable(job.job()),
                              printable(job.state()),
                              printable(job.strategy()),
                              human_count(job.parameters()),
                              progress.devices_connected()));
  const double part = job.rounds_total() == 0 ? 0.0
                                              : static_cast<double>(job.rounds_done()) /
                                                    static_cast<double>(job.rounds_total());
  lines.push_back(fmt::format("[{}]  {} of {} rounds  {}",
                              bar(part, kBarWidth),
                              job.rounds_done(),
                              job.rounds_total(),
                              time_left(progress)));
  auto now = current_text(progress, now_ms);
  if (now.empty()) now = job.status();
  lines.push_back(printable(now));
  lines.emplace_back();
  auto table = round_table();
  for (const auto& round : progress.rounds()) add_round(table, round, now_ms);
  for (auto& line : table.lines()) lines.push_back(std::move(line));
  return lines;
}

std::string round_line(const v1::RoundSummary& round, std::uint64_t rounds_total) {
  auto text = fmt::format("round {}/{}", round.round(), rounds_total);
  if (round.state() != "published") {
    text += fmt::format("  {}: {}", printable(round.state()), printable(round.why()));
  }
  return text +
         fmt::format(
             "  loss {}  accuracy {}  {} accepted  {} rejected  {} discarded  up {}  down {}  "
             "{}",
             human_metric(metric_of(round, "loss")),
             human_metric(metric_of(round, "accuracy")),
             round.accepted(),
             round.rejected(),
             round.discarded(),
             human_bytes(round.bytes_up()),
             human_bytes(round.bytes_down()),
             human_time(seconds_of(round, round.closed_ms())));
}

std::string ending(const v1::JobProgress& progress) {
  const auto& job = progress.summary();
  auto text = fmt::format("Job '{}' is {} after {} rounds",
                          printable(job.job()),
                          printable(job.state()),
                          job.rounds_done());
  if (!job.status().empty()) text += ": " + printable(job.status());
  if (job.state() == "degraded") {
    text += fmt::format("\nWhen the cause is gone: chorus job resume {}", printable(job.job()));
  } else {
    text += fmt::format("\nIts model: chorus model export --job {} --output {}.safetensors",
                        printable(job.job()),
                        printable(job.job()));
  }
  return text;
}

}  // namespace chorus::admin
