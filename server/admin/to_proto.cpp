#include "server/admin/to_proto.hpp"

#include "common/codec/names.hpp"
#include "common/crypto/digest.hpp"

namespace chorus::server {
namespace {

std::int64_t ms(TimePoint when) {
  return when.time_since_epoch().count();
}

// One sentence on what the job does now.
std::string status_of(const JobRunner& runner) {
  const RoundMachine& machine = runner.machine();
  if (!machine.why().empty() && machine.job_phase() != JobPhase::running) return machine.why();
  if (machine.phase() == RoundPhase::waiting) {
    return "waiting for devices: " + std::to_string(machine.ready_count()) + " of " +
           std::to_string(machine.invited()) + " are free";
  }
  std::string text =
      std::string(to_string(machine.phase())) + " round " + std::to_string(machine.round().value);
  if (machine.phase() == RoundPhase::collecting) {
    text += ": " + std::to_string(machine.count(MemberState::accepted)) + " of " +
            std::to_string(machine.goal()) + " updates";
  }
  if (machine.pausing()) text += "; pauses when it ends";
  return text;
}

// The word for what a round is doing: a phase while it is open, its outcome afterwards.
std::string round_state(const RoundRow& row) {
  switch (row.state) {
    case RoundState::open:
      return row.why.empty() ? "open" : row.why;
    case RoundState::published:
      return "published";
    case RoundState::abandoned:
      return "abandoned";
  }
  return "unknown";
}

}  // namespace

void put(const std::vector<Metric>& metrics,
         google::protobuf::RepeatedPtrField<v1::MetricPoint>& out) {
  for (const Metric& metric : metrics) {
    v1::MetricPoint& point = *out.Add();
    point.set_name(metric.name);
    point.set_value(metric.value);
  }
}

void put(const JobRunner& runner, v1::JobSummary& out) {
  const RoundMachine& machine = runner.machine();
  out.set_job(runner.row().job.value);
  out.set_state(std::string(to_string(machine.job_phase())));
  out.set_strategy(runner.config().strategy);
  out.set_rounds_done(machine.rounds_done());
  out.set_rounds_total(runner.config().round.rounds);
  out.set_version_sha256(hex(runner.row().current_version));
  out.set_parameters(runner.parameters());
  out.set_status(status_of(runner));
  out.set_created_ms(ms(runner.row().created_at));
}

void put(const RoundRow& row, v1::RoundSummary& out) {
  out.set_round(row.round.value);
  out.set_state(round_state(row));
  if (row.state != RoundState::open) out.set_why(row.why);
  out.set_cohort(row.cohort.size());
  out.set_goal(row.goal);
  out.set_accepted(row.accepted);
  out.set_rejected(row.rejected);
  out.set_discarded(row.discarded);
  out.set_examples(row.examples.value);
  out.set_bytes_up(row.bytes_up);
  out.set_bytes_down(row.bytes_down);
  out.set_opened_ms(ms(row.opened_at));
  if (row.closed_at) out.set_closed_ms(ms(*row.closed_at));
  out.set_base_sha256(hex(row.base_version));
  if (row.version) out.set_version_sha256(hex(*row.version));
  put(row.metrics, *out.mutable_metrics());
  out.set_evaluated(row.evaluated);
}

void put(const ReceiptRow& row, v1::RoundDevice& out) {
  out.set_device(row.client.value);
  out.set_state(row.outcome);
  out.set_examples(row.examples.value);
  out.set_bytes(row.bytes);
  out.set_seconds(row.seconds);
  out.set_why(row.why);
}

void put(const DeviceRow& row, bool connected, v1::DeviceSummary& out) {
  out.set_device(row.client.value);
  out.set_state(row.state == DeviceState::revoked ? "revoked" : "enrolled");
  out.set_connected(connected);
  out.set_enrolled_ms(ms(row.enrolled_at));
  out.set_last_seen_ms(ms(row.last_seen_at));
  out.set_certificate_expires_ms(ms(row.certificate_expires_at));
  out.set_updates_accepted(row.updates_accepted);
  out.set_updates_rejected(row.updates_rejected);
  out.set_certificate_sha256(row.certificate_sha256);
}

void put(const VersionRow& row, const Sha256& current, v1::ModelSummary& out) {
  out.set_sha256(hex(row.sha256));
  out.set_job(row.job.value);
  out.set_round(row.round.value);
  out.set_bytes(row.bytes);
  out.set_parameters(row.parameters);
  out.set_created_ms(ms(row.created_at));
  out.set_current(row.sha256 == current);
  out.set_removed(!row.kept);
}

void put(const PlanLine& line, v1::PlanLine& out) {
  out.set_tensor(line.name);
  out.set_parameters(line.parameters);
  if (line.codec) out.set_codec(codec::describe(*line.codec));
  out.set_bytes(line.bytes);
  if (line.error) out.set_error(*line.error);
}

void put(const AuditRow& row, v1::AuditEntry& out) {
  out.set_at_ms(ms(row.at));
  out.set_who(row.who);
  out.set_what(row.what);
  out.set_detail(row.detail);
}

}  // namespace chorus::server
