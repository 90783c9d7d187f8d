// Fetch, Chunk, Offer and the answers to them between protobuf and values.
#include <cstring>
#include <string>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/wire/convert.hpp"

namespace chorus::wire {
namespace {

Result<std::vector<Metric>> metrics_from(const pb::Offer& proto) {
  const auto count = static_cast<std::size_t>(proto.metrics_size());
  if (count > limits::kMetricsMax) {
    return malformed({"offer", "metrics"},
                     std::to_string(count) + " metrics",
                     "at most " + std::to_string(limits::kMetricsMax));
  }
  std::vector<Metric> metrics;
  metrics.reserve(count);
  for (const auto& from : proto.metrics()) {
    Metric metric;
    CHORUS_TRY(metric.name, name_from({"offer", "metrics.name"}, from.name()));
    CHORUS_TRY(metric.value, finite_from({"offer", "metrics.value"}, from.value()));
    metrics.push_back(std::move(metric));
  }
  return metrics;
}

Result<BodyDigest> digest_from(const pb::Offer& proto, TaskKind kind) {
  BodyDigest digest;
  const std::size_t expected = kind == TaskKind::train ? digest.bytes.size() : 0;
  if (proto.digest().size() != expected) {
    return malformed({"offer", "digest"},
                     std::to_string(proto.digest().size()) + " bytes",
                     std::to_string(expected) +
                         (kind == TaskKind::train ? " (XXH3-128)" : " for an evaluate task"));
  }
  std::memcpy(digest.bytes.data(), proto.digest().data(), expected);
  return digest;
}

Result<std::vector<ReportPart>> parts_from(const pb::Offer& proto) {
  const auto count = static_cast<std::size_t>(proto.parts_size());
  if (count > limits::kReportPartsMax) {
    return malformed({"offer", "parts"},
                     std::to_string(count) + " parts",
                     "at most " + std::to_string(limits::kReportPartsMax));
  }
  std::vector<ReportPart> parts;
  std::uint64_t bytes = 0;
  for (const auto& from : proto.parts()) {
    if (from.kind() < pb::REPORT_DELTA || from.kind() > pb::REPORT_REPRESENTATIONS) {
      return malformed({"offer", "parts.kind"}, std::to_string(from.kind()), "1 to 9");
    }
    if (from.count() == 0 || from.count() > limits::kModelBytesMax / sizeof(float)) {
      return malformed({"offer", "parts.count"},
                       std::to_string(from.count()),
                       "1 to " + std::to_string(limits::kModelBytesMax / sizeof(float)));
    }
    parts.push_back({static_cast<ReportKind>(from.kind()), from.count()});
    bytes += from.count() * sizeof(float);
  }
  if (!parts.empty() && bytes != proto.bytes()) {
    return malformed({"offer", "bytes"},
                     std::to_string(proto.bytes()),
                     "the " + std::to_string(bytes) + " bytes of its parts");
  }
  return parts;
}

// A device of the first version does not say: it can end in no other way.
Result<Ending> ending_from(pb::Ending ending) {
  if (ending == pb::ENDING_UNSPECIFIED) return Ending::budget;
  if (ending >= pb::ENDING_BUDGET && ending <= pb::ENDING_DEVICE) {
    return static_cast<Ending>(ending);
  }
  return malformed({"offer", "ending"}, std::to_string(ending), "1 to 3");
}

Result<double> not_negative_from(const Field& field, double value) {
  CHORUS_TRY(const double finite, finite_from(field, value));
  if (finite < 0.0) return malformed(field, std::to_string(finite), "0 or greater");
  return finite;
}

}  // namespace

Result<Message> fetch_from(const pb::Fetch& proto) {
  Fetch fetch;
  CHORUS_TRY(fetch.sha256, sha256_from({"fetch", "sha256"}, proto.sha256()));
  CHORUS_TRY(fetch.offset, offset_from({"fetch", "offset"}, proto.offset()));
  if (proto.steps() > limits::kVersionStepsMax) {
    return malformed({"fetch", "steps"},
                     std::to_string(proto.steps()),
                     "at most " + std::to_string(limits::kVersionStepsMax));
  }
  fetch.steps = proto.steps();
  return Message(fetch);
}

Result<Message> chunk_from(const pb::Chunk& proto) {
  Chunk chunk;
  CHORUS_TRY(chunk.offset, offset_from({"chunk", "offset"}, proto.offset()));
  return Message(chunk);
}

Result<Message> offer_from(const pb::Offer& proto) {
  Offer offer;
  CHORUS_TRY(offer.task, task_from("offer", proto.has_task(), proto.task()));
  CHORUS_TRY(offer.bytes, offset_from({"offer", "bytes"}, proto.bytes()));
  if (offer.task.kind == TaskKind::evaluate && offer.bytes != 0) {
    return malformed({"offer", "bytes"}, std::to_string(offer.bytes), "0 for an evaluate task");
  }
  CHORUS_TRY(offer.digest, digest_from(proto, offer.task.kind));
  CHORUS_TRY(offer.base, sha256_from({"offer", "base_sha256"}, proto.base_sha256()));
  offer.examples.value = proto.examples();
  offer.steps = proto.steps();
  CHORUS_TRY(offer.seconds, not_negative_from({"offer", "seconds"}, proto.seconds()));
  CHORUS_TRY(offer.metrics, metrics_from(proto));
  CHORUS_TRY(offer.parts, parts_from(proto));
  CHORUS_TRY(offer.epochs, not_negative_from({"offer", "epochs"}, proto.epochs()));
  CHORUS_TRY(offer.ending, ending_from(proto.ending()));
  if (proto.has_state_epoch()) offer.state_epoch = proto.state_epoch();
  return Message(std::move(offer));
}

Result<Message> take_from(const pb::Take& proto) {
  Take take;
  CHORUS_TRY(take.task, task_from("take", proto.has_task(), proto.task()));
  CHORUS_TRY(take.offset, offset_from({"take", "offset"}, proto.offset()));
  return Message(std::move(take));
}

Result<Message> refuse_from(const pb::Refuse& proto) {
  Refuse refuse;
  CHORUS_TRY(refuse.task, task_from("refuse", proto.has_task(), proto.task()));
  CHORUS_TRY(refuse.code, code_from({"refuse", "code"}, proto.code()));
  CHORUS_TRY(refuse.detail,
             text_from({"refuse", "detail"}, proto.detail(), limits::kDetailBytesMax));
  CHORUS_TRY(refuse.retry_after,
             duration_from({"refuse", "retry_after_ms"}, proto.retry_after_ms()));
  return Message(std::move(refuse));
}

Result<Message> accepted_from(const pb::Accepted& proto) {
  Accepted accepted;
  CHORUS_TRY(accepted.task, task_from("accepted", proto.has_task(), proto.task()));
  switch (proto.durability()) {
    case pb::Accepted::DURABILITY_FULL:
      accepted.durability = Durability::full;
      return Message(std::move(accepted));
    case pb::Accepted::DURABILITY_PROCESS:
      accepted.durability = Durability::process;
      return Message(std::move(accepted));
    default:
      return malformed({"accepted", "durability"},
                       std::to_string(static_cast<int>(proto.durability())),
                       "full (1) or process (2)");
  }
}

Result<Message> decline_from(const pb::Decline& proto) {
  Decline decline;
  CHORUS_TRY(decline.task, task_from("decline", proto.has_task(), proto.task()));
  CHORUS_TRY(decline.code, code_from({"decline", "code"}, proto.code()));
  CHORUS_TRY(decline.detail,
             text_from({"decline", "detail"}, proto.detail(), limits::kDetailBytesMax));
  return Message(std::move(decline));
}

Result<Message> cancel_from(const pb::Cancel& proto) {
  Cancel cancel;
  CHORUS_TRY(cancel.task, task_from("cancel", proto.has_task(), proto.task()));
  CHORUS_TRY(cancel.why, text_from({"cancel", "why"}, proto.why(), limits::kDetailBytesMax));
  return Message(std::move(cancel));
}

pb::Fetch to_proto(const Fetch& fetch) {
  pb::Fetch proto;
  proto.set_sha256(bytes_to(fetch.sha256.bytes));
  proto.set_offset(fetch.offset);
  if (fetch.steps > 0) proto.set_steps(fetch.steps);
  return proto;
}

pb::Chunk to_proto(const Chunk& chunk) {
  pb::Chunk proto;
  proto.set_offset(chunk.offset);
  return proto;
}

pb::Offer to_proto(const Offer& offer) {
  pb::Offer proto;
  task_to(offer.task, proto.mutable_task());
  proto.set_bytes(offer.bytes);
  if (offer.task.kind == TaskKind::train) proto.set_digest(bytes_to(offer.digest.bytes));
  proto.set_base_sha256(bytes_to(offer.base.bytes));
  proto.set_examples(offer.examples.value);
  proto.set_steps(offer.steps);
  proto.set_seconds(offer.seconds);
  for (const auto& metric : offer.metrics) {
    auto* to = proto.add_metrics();
    to->set_name(metric.name);
    to->set_value(metric.value);
  }
  for (const ReportPart& part : offer.parts) {
    auto* to = proto.add_parts();
    to->set_kind(static_cast<pb::ReportKind>(part.kind));
    to->set_count(part.count);
  }
  proto.set_epochs(offer.epochs);
  if (offer.ending != Ending::budget) proto.set_ending(static_cast<pb::Ending>(offer.ending));
  if (offer.state_epoch) proto.set_state_epoch(*offer.state_epoch);
  return proto;
}

pb::Take to_proto(const Take& take) {
  pb::Take proto;
  task_to(take.task, proto.mutable_task());
  proto.set_offset(take.offset);
  return proto;
}

pb::Refuse to_proto(const Refuse& refuse) {
  pb::Refuse proto;
  task_to(refuse.task, proto.mutable_task());
  proto.set_code(static_cast<std::uint32_t>(refuse.code));
  proto.set_detail(text_to(refuse.detail, limits::kDetailBytesMax));
  proto.set_retry_after_ms(duration_to(refuse.retry_after));
  return proto;
}

pb::Accepted to_proto(const Accepted& accepted) {
  pb::Accepted proto;
  task_to(accepted.task, proto.mutable_task());
  proto.set_durability(accepted.durability == Durability::full ? pb::Accepted::DURABILITY_FULL
                                                               : pb::Accepted::DURABILITY_PROCESS);
  return proto;
}

pb::Decline to_proto(const Decline& decline) {
  pb::Decline proto;
  task_to(decline.task, proto.mutable_task());
  proto.set_code(static_cast<std::uint32_t>(decline.code));
  proto.set_detail(text_to(decline.detail, limits::kDetailBytesMax));
  return proto;
}

pb::Cancel to_proto(const Cancel& cancel) {
  pb::Cancel proto;
  task_to(cancel.task, proto.mutable_task());
  proto.set_why(text_to(cancel.why, limits::kDetailBytesMax));
  return proto;
}

}  // namespace chorus::wire
