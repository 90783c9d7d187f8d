// Greetings, keep-alive, errors and enrolment between protobuf and values.
#include <string>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/wire/convert.hpp"

namespace chorus::wire {

Result<Message> hello_from(const pb::Hello& proto) {
  Hello hello;
  hello.protocol_min = proto.protocol_min();
  hello.protocol_max = proto.protocol_max();
  if (hello.protocol_min == 0 || hello.protocol_min > hello.protocol_max) {
    return malformed(
        {"hello", "protocol"},
        std::to_string(hello.protocol_min) + " to " + std::to_string(hello.protocol_max),
        "a range from 1");
  }
  CHORUS_TRY(hello.software,
             text_from({"hello", "software"}, proto.software(), limits::kSoftwareBytesMax));
  const auto features = static_cast<std::size_t>(proto.features_size());
  if (features > limits::kFeaturesMax) {
    return malformed({"hello", "features"},
                     std::to_string(features) + " features",
                     "at most " + std::to_string(limits::kFeaturesMax));
  }
  for (const auto& from : proto.features()) {
    CHORUS_TRY(auto feature, name_from({"hello", "features"}, from));
    hello.features.push_back(std::move(feature));
  }
  const auto jobs = static_cast<std::size_t>(proto.jobs_size());
  if (jobs > limits::kJobsMax) {
    return malformed({"hello", "jobs"},
                     std::to_string(jobs) + " jobs",
                     "at most " + std::to_string(limits::kJobsMax));
  }
  for (const auto& from : proto.jobs()) {
    CHORUS_TRY(auto job, name_from({"hello", "jobs"}, from));
    hello.jobs.push_back(JobId{std::move(job)});
  }
  return Message(std::move(hello));
}

Result<Message> welcome_from(const pb::Welcome& proto) {
  Welcome welcome;
  welcome.protocol = proto.protocol();
  CHORUS_TRY(welcome.software,
             text_from({"welcome", "software"}, proto.software(), limits::kSoftwareBytesMax));
  CHORUS_TRY(welcome.name, optional_name_from({"welcome", "name"}, proto.name()));
  if (proto.heartbeat_ms() == 0) {
    return malformed({"welcome", "heartbeat_ms"}, "0", "1 or greater");
  }
  CHORUS_TRY(welcome.heartbeat, duration_from({"welcome", "heartbeat_ms"}, proto.heartbeat_ms()));
  return Message(std::move(welcome));
}

Result<Message> come_back_from(const pb::ComeBack& proto) {
  ComeBack come_back;
  CHORUS_TRY(come_back.after, duration_from({"come_back", "after_ms"}, proto.after_ms()));
  CHORUS_TRY(come_back.why, text_from({"come_back", "why"}, proto.why(), limits::kDetailBytesMax));
  return Message(std::move(come_back));
}

Result<Message> error_from(const pb::Error& proto) {
  Error error;
  CHORUS_TRY(error.code, code_from({"error", "code"}, proto.code()));
  CHORUS_TRY(error.detail, text_from({"error", "detail"}, proto.detail(), limits::kDetailBytesMax));
  CHORUS_TRY(error.retry_after, duration_from({"error", "retry_after_ms"}, proto.retry_after_ms()));
  error.fatal = proto.fatal();
  return Message(std::move(error));
}

Result<Message> goodbye_from(const pb::Goodbye& proto) {
  Goodbye goodbye;
  CHORUS_TRY(goodbye.why, text_from({"goodbye", "why"}, proto.why(), limits::kDetailBytesMax));
  CHORUS_TRY(goodbye.come_back_after,
             duration_from({"goodbye", "come_back_after_ms"}, proto.come_back_after_ms()));
  return Message(std::move(goodbye));
}

Result<Message> enroll_from(const pb::Enroll& proto) {
  Enroll enroll;
  if (proto.token().empty()) return malformed({"enroll", "token"}, "missing", "a join token");
  CHORUS_TRY(enroll.token, text_from({"enroll", "token"}, proto.token(), limits::kTokenBytesMax));
  CHORUS_TRY(enroll.csr, blob_from({"enroll", "csr"}, proto.csr(), limits::kCertificateBytesMax));
  CHORUS_TRY(enroll.name, optional_name_from({"enroll", "name"}, proto.name()));
  return Message(std::move(enroll));
}

Result<Message> enrolled_from(const pb::Enrolled& proto) {
  Enrolled enrolled;
  CHORUS_TRY(
      enrolled.certificate,
      blob_from({"enrolled", "certificate"}, proto.certificate(), limits::kCertificateBytesMax));
  CHORUS_TRY(
      enrolled.ca_certificate,
      blob_from(
          {"enrolled", "ca_certificate"}, proto.ca_certificate(), limits::kCertificateBytesMax));
  CHORUS_TRY(enrolled.name, name_from({"enrolled", "name"}, proto.name()));
  return Message(std::move(enrolled));
}

Result<Message> renew_from(const pb::Renew& proto) {
  Renew renew;
  CHORUS_TRY(renew.csr, blob_from({"renew", "csr"}, proto.csr(), limits::kCertificateBytesMax));
  return Message(std::move(renew));
}

pb::Hello to_proto(const Hello& hello) {
  pb::Hello proto;
  proto.set_protocol_min(hello.protocol_min);
  proto.set_protocol_max(hello.protocol_max);
  proto.set_software(text_to(hello.software, limits::kSoftwareBytesMax));
  for (const auto& feature : hello.features) proto.add_features(feature);
  for (const auto& job : hello.jobs) proto.add_jobs(job.value);
  return proto;
}

pb::Welcome to_proto(const Welcome& welcome) {
  pb::Welcome proto;
  proto.set_protocol(welcome.protocol);
  proto.set_software(text_to(welcome.software, limits::kSoftwareBytesMax));
  proto.set_name(welcome.name);
  proto.set_heartbeat_ms(static_cast<std::uint32_t>(duration_to(welcome.heartbeat)));
  return proto;
}

pb::ComeBack to_proto(const ComeBack& come_back) {
  pb::ComeBack proto;
  proto.set_after_ms(duration_to(come_back.after));
  proto.set_why(text_to(come_back.why, limits::kDetailBytesMax));
  return proto;
}

pb::Error to_proto(const Error& error) {
  pb::Error proto;
  proto.set_code(static_cast<std::uint32_t>(error.code));
  proto.set_detail(text_to(error.detail, limits::kDetailBytesMax));
  proto.set_retry_after_ms(duration_to(error.retry_after));
  proto.set_fatal(error.fatal);
  return proto;
}

pb::Goodbye to_proto(const Goodbye& goodbye) {
  pb::Goodbye proto;
  proto.set_why(text_to(goodbye.why, limits::kDetailBytesMax));
  proto.set_come_back_after_ms(duration_to(goodbye.come_back_after));
  return proto;
}

pb::Enroll to_proto(const Enroll& enroll) {
  pb::Enroll proto;
  proto.set_token(enroll.token);
  proto.set_csr(bytes_to(enroll.csr));
  proto.set_name(enroll.name);
  return proto;
}

pb::Enrolled to_proto(const Enrolled& enrolled) {
  pb::Enrolled proto;
  proto.set_certificate(bytes_to(enrolled.certificate));
  proto.set_ca_certificate(bytes_to(enrolled.ca_certificate));
  proto.set_name(enrolled.name);
  return proto;
}

pb::Renew to_proto(const Renew& renew) {
  pb::Renew proto;
  proto.set_csr(bytes_to(renew.csr));
  return proto;
}

}  // namespace chorus::wire
