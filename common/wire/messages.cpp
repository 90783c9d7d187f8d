#include "common/wire/messages.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <google/protobuf/stubs/logging.h>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/wire/convert.hpp"

namespace chorus::wire {
namespace {

struct KindOf {
  FrameKind operator()(const Hello&) const { return FrameKind::hello; }
  FrameKind operator()(const Welcome&) const { return FrameKind::welcome; }
  FrameKind operator()(const Ready&) const { return FrameKind::ready; }
  FrameKind operator()(const Work&) const { return FrameKind::work; }
  FrameKind operator()(const ComeBack&) const { return FrameKind::come_back; }
  FrameKind operator()(const Fetch&) const { return FrameKind::fetch; }
  FrameKind operator()(const Chunk&) const { return FrameKind::chunk; }
  FrameKind operator()(const Offer&) const { return FrameKind::offer; }
  FrameKind operator()(const Take&) const { return FrameKind::take; }
  FrameKind operator()(const Refuse&) const { return FrameKind::refuse; }
  FrameKind operator()(const Accepted&) const { return FrameKind::accepted; }
  FrameKind operator()(const Decline&) const { return FrameKind::decline; }
  FrameKind operator()(const Cancel&) const { return FrameKind::cancel; }
  FrameKind operator()(const Ping&) const { return FrameKind::ping; }
  FrameKind operator()(const Pong&) const { return FrameKind::pong; }
  FrameKind operator()(const Error&) const { return FrameKind::error; }
  FrameKind operator()(const Goodbye&) const { return FrameKind::goodbye; }
  FrameKind operator()(const Enroll&) const { return FrameKind::enroll; }
  FrameKind operator()(const Enrolled&) const { return FrameKind::enrolled; }
  FrameKind operator()(const Renew&) const { return FrameKind::renew; }
  FrameKind operator()(const AdminRequest&) const { return FrameKind::admin_request; }
  FrameKind operator()(const AdminReply&) const { return FrameKind::admin_reply; }
};

pb::Ready to_proto(const Ready& /*ready*/) {
  return {};
}

pb::Ping to_proto(const Ping& ping) {
  pb::Ping proto;
  proto.set_number(ping.number);
  return proto;
}

pb::Pong to_proto(const Pong& pong) {
  pb::Pong proto;
  proto.set_number(pong.number);
  return proto;
}

Result<Message> ready_from(const pb::Ready& /*proto*/) {
  return Message(Ready{});
}
Result<Message> ping_from(const pb::Ping& proto) {
  return Message(Ping{proto.number()});
}
Result<Message> pong_from(const pb::Pong& proto) {
  return Message(Pong{proto.number()});
}

// Appends the serialised message behind the header's place.
struct Serialise {
  std::vector<std::byte>& into;

  template <class Value>
  bool operator()(const Value& value) const {
    const auto proto = to_proto(value);
    const std::size_t bytes = proto.ByteSizeLong();
    if (!fits(bytes)) return false;
    into.resize(kHeaderBytes + bytes);
    return proto.SerializeToArray(into.data() + kHeaderBytes, static_cast<int>(bytes));
  }
  bool operator()(const AdminRequest& request) const { return append(request.bytes); }
  bool operator()(const AdminReply& reply) const { return append(reply.bytes); }

  bool append(const std::string& bytes) const {
    if (!fits(bytes.size())) return false;
    const auto view = std::as_bytes(std::span(bytes));
    into.insert(into.end(), view.begin(), view.end());
    return true;
  }
  static bool fits(std::size_t bytes) { return bytes <= limits::kMessageBytesMax; }
};

template <class Proto>
Result<Message> parse(FrameKind kind,
                      std::span<const std::byte> bytes,
                      Result<Message> (*convert)(const Proto&)) {
  // Protobuf would write a line to standard error for text that is not UTF-8: a peer must not be
  // able to fill our logs, and the caller says it better.
  const google::protobuf::LogSilencer silence;
  Proto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return fail(errc::malformed_message,
                std::string(name_of(kind)) + ": " + std::to_string(bytes.size()) +
                    " bytes that are not a protobuf message of this kind");
  }
  return convert(proto);
}

std::string text_of(std::span<const std::byte> bytes) {
  return bytes_to(bytes);
}

Result<Message> decode_task(FrameKind kind, std::span<const std::byte> bytes) {
  switch (kind) {
    case FrameKind::work:
      return parse<pb::Work>(kind, bytes, work_from);
    case FrameKind::fetch:
      return parse<pb::Fetch>(kind, bytes, fetch_from);
    case FrameKind::chunk:
      return parse<pb::Chunk>(kind, bytes, chunk_from);
    case FrameKind::offer:
      return parse<pb::Offer>(kind, bytes, offer_from);
    case FrameKind::take:
      return parse<pb::Take>(kind, bytes, take_from);
    case FrameKind::refuse:
      return parse<pb::Refuse>(kind, bytes, refuse_from);
    case FrameKind::accepted:
      return parse<pb::Accepted>(kind, bytes, accepted_from);
    case FrameKind::decline:
      return parse<pb::Decline>(kind, bytes, decline_from);
    case FrameKind::cancel:
      return parse<pb::Cancel>(kind, bytes, cancel_from);
    default:
      return fail(errc::malformed_frame,
                  "frame of unknown kind " + std::to_string(static_cast<int>(kind)));
  }
}

}  // namespace

Message::Message() = default;
Message::Message(const Message& other) = default;
Message::Message(Message&& other) noexcept = default;
Message& Message::operator=(const Message& other) = default;
Message& Message::operator=(Message&& other) noexcept = default;
Message::~Message() = default;

bool operator==(const Message& a, const Message& b) {
  return static_cast<const MessageKinds&>(a) == static_cast<const MessageKinds&>(b);
}

FrameKind kind_of(const Message& message) noexcept {
  return std::visit(KindOf{}, message);
}

std::string_view name_of(FrameKind kind) noexcept {
  switch (kind) {
    case FrameKind::hello:
      return "hello";
    case FrameKind::welcome:
      return "welcome";
    case FrameKind::ready:
      return "ready";
    case FrameKind::work:
      return "work";
    case FrameKind::come_back:
      return "come_back";
    case FrameKind::fetch:
      return "fetch";
    case FrameKind::chunk:
      return "chunk";
    case FrameKind::offer:
      return "offer";
    case FrameKind::take:
      return "take";
    case FrameKind::refuse:
      return "refuse";
    case FrameKind::accepted:
      return "accepted";
    case FrameKind::decline:
      return "decline";
    case FrameKind::cancel:
      return "cancel";
    case FrameKind::ping:
      return "ping";
    case FrameKind::pong:
      return "pong";
    case FrameKind::error:
      return "error";
    case FrameKind::goodbye:
      return "goodbye";
    case FrameKind::enroll:
      return "enroll";
    case FrameKind::enrolled:
      return "enrolled";
    case FrameKind::renew:
      return "renew";
    case FrameKind::admin_request:
      return "admin_request";
    case FrameKind::admin_reply:
      return "admin_reply";
  }
  return "";
}

Result<std::vector<std::byte>> encode(const Message& message, std::uint32_t body_bytes) {
  const FrameKind kind = kind_of(message);
  if (body_bytes > limits::kChunkBytesMax || (body_bytes != 0 && kind != FrameKind::chunk)) {
    return fail(errc::frame_too_large,
                std::string(name_of(kind)) + " frame with a body of " + std::to_string(body_bytes) +
                    " bytes; only a chunk has one, of at most " +
                    std::to_string(limits::kChunkBytesMax));
  }
  std::vector<std::byte> bytes(kHeaderBytes);
  if (!std::visit(Serialise{bytes}, message)) {
    return fail(errc::frame_too_large,
                std::string(name_of(kind)) + " does not fit the " +
                    std::to_string(limits::kMessageBytesMax) + " bytes of one message");
  }
  const auto header =
      encode_header({kind, static_cast<std::uint32_t>(bytes.size() - kHeaderBytes), body_bytes});
  std::copy(header.begin(), header.end(), bytes.begin());
  return bytes;
}

Result<Message> decode(FrameKind kind, std::span<const std::byte> bytes) {
  if (bytes.size() > limits::kMessageBytesMax) {
    return fail(errc::frame_too_large,
                std::string(name_of(kind)) + " message of " + std::to_string(bytes.size()) +
                    " bytes; at most " + std::to_string(limits::kMessageBytesMax));
  }
  switch (kind) {
    case FrameKind::hello:
      return parse<pb::Hello>(kind, bytes, hello_from);
    case FrameKind::welcome:
      return parse<pb::Welcome>(kind, bytes, welcome_from);
    case FrameKind::ready:
      return parse<pb::Ready>(kind, bytes, ready_from);
    case FrameKind::come_back:
      return parse<pb::ComeBack>(kind, bytes, come_back_from);
    case FrameKind::ping:
      return parse<pb::Ping>(kind, bytes, ping_from);
    case FrameKind::pong:
      return parse<pb::Pong>(kind, bytes, pong_from);
    case FrameKind::error:
      return parse<pb::Error>(kind, bytes, error_from);
    case FrameKind::goodbye:
      return parse<pb::Goodbye>(kind, bytes, goodbye_from);
    case FrameKind::enroll:
      return parse<pb::Enroll>(kind, bytes, enroll_from);
    case FrameKind::enrolled:
      return parse<pb::Enrolled>(kind, bytes, enrolled_from);
    case FrameKind::renew:
      return parse<pb::Renew>(kind, bytes, renew_from);
    case FrameKind::admin_request:
      return Message(AdminRequest{text_of(bytes)});
    case FrameKind::admin_reply:
      return Message(AdminReply{text_of(bytes)});
    default:
      return decode_task(kind, bytes);
  }
}

Result<TaskRef> task_of_work(std::span<const std::byte> bytes) {
  const google::protobuf::LogSilencer silence;
  pb::Work proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return fail(errc::malformed_message, "work: not a protobuf message of this kind");
  }
  return task_from("work", proto.has_task(), proto.task());
}

bool valid_name(std::string_view name) noexcept {
  const auto letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  if (name.empty() || name.size() > limits::kNameBytesMax || !letter_or_digit(name.front())) {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return letter_or_digit(c) || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace chorus::wire
