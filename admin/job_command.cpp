#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "admin/commands.hpp"
#include "admin/job_source.hpp"
#include "admin/message_json.hpp"
#include "admin/replies.hpp"
#include "chorus/v1/admin.pb.h"
#include "common/base/try.hpp"

namespace chorus::admin {
namespace {

Result<v1::JobDetail> job_reply(AdminLink& link, const v1::AdminRequest& request) {
  CHORUS_TRY(auto reply, link.call(request));
  if (!reply.has_job()) return wrong_reply("a job");
  return std::move(*reply.mutable_job());
}

std::string rounds_text(const v1::JobSummary& job) {
  return fmt::format("{} of {}", job.rounds_done(), job.rounds_total());
}

void print_summary(Console& console, const v1::JobSummary& job) {
  console.line(fact("job", job.job()));
  console.line(
      fact("state", job.status().empty() ? job.state() : job.state() + ": " + job.status()));
  console.line(fact("rounds", rounds_text(job)));
  console.line(fact("strategy", job.strategy()));
  console.line(fact("parameters", human_count(job.parameters())));
  console.line(fact("version", job.version_sha256()));
  console.line(fact("submitted", human_instant(job.created_ms())));
}

}  // namespace

Result<void> job_submit(Console& console, AdminLink& link, const std::filesystem::path& file) {
  CHORUS_TRY(const auto source, load_job(file));
  v1::AdminRequest request;
  request.mutable_submit_job()->set_job_toml(source.toml);
  request.mutable_submit_job()->set_file_name(file.filename().string());
  request.mutable_submit_job()->set_initial_bytes(source.parameters.size() * sizeof(float));
  for (const auto& note : source.notes) console.line(fact("note", printable(note)));
  CHORUS_TRY(
      const auto reply,
      source.parameters.empty() ? link.call(request) : link.call_with(request, source.parameters));
  if (!reply.has_job()) return wrong_reply("a job");
  const auto& job = reply.job();
  if (console.json()) console.value(to_json(job));
  console.line(fmt::format("Job '{}' is {}: {} rounds of {}, {} parameters.",
                           printable(job.summary().job()),
                           printable(job.summary().state()),
                           job.summary().rounds_total(),
                           printable(job.summary().strategy()),
                           human_count(job.summary().parameters())));
  if (!source.parameters.empty()) {
    console.line(fmt::format("It begins with the {} parameters that came with it.",
                             human_count(source.parameters.size())));
  }
  console.line(fmt::format("  chorus watch {}", printable(job.summary().job())));
  return {};
}

Result<void> job_list(Console& console, AdminLink& link) {
  v1::AdminRequest request;
  request.mutable_list_jobs();
  CHORUS_TRY(const auto reply, link.call(request));
  if (!reply.has_jobs()) return wrong_reply("the list of jobs");
  if (console.json()) console.value(to_json(reply.jobs()));
  if (reply.jobs().jobs().empty()) {
    console.line("No jobs yet. 'chorus job submit job.toml' starts one.");
    return {};
  }
  using enum Table::Align;
  Table table({{"job", left},
               {"state", left},
               {"rounds", right},
               {"strategy", left},
               {"parameters", right},
               {"version", left},
               {"", left}});
  for (const auto& job : reply.jobs().jobs()) {
    table.add({job.job(),
               job.state(),
               rounds_text(job),
               job.strategy(),
               human_count(job.parameters()),
               short_digest(job.version_sha256()),
               job.status()});
  }
  for (const auto& line : table.lines()) console.line(line);
  return {};
}

Result<void> job_show(Console& console, AdminLink& link, const std::string& job, bool as_toml) {
  v1::AdminRequest request;
  request.mutable_show_job()->set_job(job);
  CHORUS_TRY(const auto detail, job_reply(link, request));
  if (console.json()) {
    console.value(to_json(detail));
    return {};
  }
  if (as_toml) {
    console.raw(detail.job_toml());
    return {};
  }
  print_summary(console, detail.summary());
  if (detail.has_current()) {
    const auto& round = detail.current();
    console.line(fact("round",
                      fmt::format("{} is {}, {} of {} updates accepted",
                                  round.round(),
                                  round.state(),
                                  round.accepted(),
                                  round.goal())));
  }
  for (const auto& metric : detail.last_metrics()) {
    console.line(fact(metric.name(), human_metric(metric.value())));
  }
  console.line();
  console.line(fmt::format("'chorus job show {} --toml' prints the job as it was submitted.",
                           printable(detail.summary().job())));
  return {};
}

namespace {

std::string way_down(const std::string& sends) {
  if (sends.empty())
    return "Versions go as they are; [compress.down] of a job file compresses them.";
  if (sends == "model") return "Devices fetch a version in so many bytes, whatever they have.";
  return "Devices fetch so many bytes for each version since the one that they have, up to eight.";
}

}  // namespace

Result<void> job_plan(Console& console, AdminLink& link, const std::string& job, bool down) {
  v1::AdminRequest request;
  request.mutable_show_plan()->set_job(job);
  request.mutable_show_plan()->set_down(down);
  v1::JobPlan plan;
  do {
    request.mutable_show_plan()->set_first(static_cast<std::uint32_t>(plan.lines_size()));
    CHORUS_TRY(const auto reply, link.call(request));
    if (!reply.has_plan()) return wrong_reply("a plan of codecs");
    if (reply.plan().lines().empty()) break;
    plan.MergeFrom(reply.plan());
  } while (plan.lines_size() < static_cast<int>(plan.lines_total()));
  if (console.json()) console.value(to_json(plan));

  using enum Table::Align;
  Table table({{"tensor", left},
               {"parameters", right},
               {"codec", left},
               {"bits each", right},
               {"bytes", right},
               {"error", right}});
  const auto add = [&table](const v1::PlanLine& line) {
    const double bits = 8.0 * static_cast<double>(line.bytes()) /
                        std::max(1.0, static_cast<double>(line.parameters()));
    table.add({line.tensor(),
               human_count(line.parameters()),
               line.codec().empty() ? "not sent" : line.codec(),
               fmt::format("{:.2f}", bits),
               human_bytes(line.bytes()),
               line.has_error() ? fmt::format("{:.2e}", line.error()) : "–"});
  };
  v1::PlanLine total;
  total.set_tensor("all");
  for (const auto& line : plan.lines()) {
    add(line);
    total.set_parameters(total.parameters() + line.parameters());
    total.set_bytes(total.bytes() + line.bytes());
    if (line.has_error()) total.set_error(total.error() + line.error());
  }
  total.set_codec(fmt::format("{:.1f} times less than float32",
                              4.0 * static_cast<double>(total.parameters()) /
                                  std::max(1.0, static_cast<double>(total.bytes()))));
  table.rule();
  add(total);
  for (const auto& line : table.lines()) console.line(line);
  console.line();
  console.line(down ? way_down(plan.down())
               : plan.first_round() > 0
                   ? fmt::format("Codecs were chosen for round {}, from what was learned before.",
                                 plan.first_round())
                   : std::string("Codecs are as the job file says."));
  if (plan.every() > 0) console.line(fmt::format("They change every {} rounds.", plan.every()));
  return {};
}

Result<void> job_control(Console& console,
                         AdminLink& link,
                         const std::string& job,
                         JobAction action) {
  v1::AdminRequest request;
  auto& control = *request.mutable_control_job();
  control.set_job(job);
  switch (action) {
    case JobAction::pause:
      control.set_verb(v1::ControlJob::VERB_PAUSE);
      break;
    case JobAction::resume:
      control.set_verb(v1::ControlJob::VERB_RESUME);
      break;
    case JobAction::stop:
      control.set_verb(v1::ControlJob::VERB_STOP);
      break;
  }
  CHORUS_TRY(const auto detail, job_reply(link, request));
  if (console.json()) console.value(to_json(detail));
  const auto& summary = detail.summary();
  console.line(fmt::format("Job '{}' is {}{}{}",
                           printable(summary.job()),
                           printable(summary.state()),
                           summary.status().empty() ? "." : ": ",
                           printable(summary.status())));
  const bool at_work = detail.has_current() && summary.state() == "running";
  if (at_work && action != JobAction::resume) {
    console.line(
        fmt::format("Round {} is finished first ('chorus round abort {}' ends it at once).",
                    detail.current().round(),
                    printable(summary.job())));
  }
  return {};
}

}  // namespace chorus::admin
