#include "admin/replies.hpp"

#include <chrono>
#include <fmt/format.h>
#include <limits>

#include "chorus/v1/admin.pb.h"

namespace chorus::admin {

Failure wrong_reply(std::string_view wanted) {
  return fail(errc::unexpected_message,
              fmt::format("the server answered with something else than {}; is it of another "
                          "version than this command? ('chorus status' shows it)",
                          wanted));
}

double metric_of(const v1::RoundSummary& round, std::string_view name) {
  double found = std::numeric_limits<double>::quiet_NaN();
  for (const auto& metric : round.metrics()) {
    const std::string_view full = metric.name();
    if (full.size() <= name.size() || !full.ends_with(name)) continue;
    const auto group = full.substr(0, full.size() - name.size());
    if (group == "eval.") return metric.value();
    if (group == "train.") found = metric.value();
  }
  return found;
}

double seconds_of(const v1::RoundSummary& round, std::int64_t now_ms) {
  const auto end = round.closed_ms() != 0 ? round.closed_ms() : now_ms;
  return static_cast<double>(end - round.opened_ms()) / 1000.0;
}

Table round_table() {
  using enum Table::Align;
  return Table({{"round", right},
                {"loss", right},
                {"accuracy", right},
                {"accepted", right},
                {"rejected", right},
                {"discarded", right},
                {"up", right},
                {"down", right},
                {"time", right},
                {"", left}});
}

void add_round(Table& table, const v1::RoundSummary& round, std::int64_t now_ms) {
  // A published round is what one expects: only the others say what they are.
  std::string note;
  if (round.state() != "published") note = round.state();
  if (!note.empty() && !round.why().empty()) note += ": " + round.why();
  table.add({std::to_string(round.round()),
             human_metric(metric_of(round, "loss")),
             human_metric(metric_of(round, "accuracy")),
             std::to_string(round.accepted()),
             std::to_string(round.rejected()),
             std::to_string(round.discarded()),
             human_bytes(round.bytes_up()),
             human_bytes(round.bytes_down()),
             human_time(seconds_of(round, now_ms)),
             note});
}

std::string fact(std::string_view name, std::string_view value) {
  return fmt::format("{:<13} {}", name, printable(value));
}

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace chorus::admin
