// The messages of chorus/1 as plain values. proto/chorus/v1/wire.proto holds the meaning of each;
// no protobuf type leaves this room (convert.hpp is internal).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "chorus/result.hpp"
#include "common/base/types.hpp"
#include "common/wire/frame.hpp"
#include "common/wire/offer.hpp"
#include "common/wire/work.hpp"

namespace chorus::wire {

inline constexpr std::uint32_t kProtocolMin = 1;
inline constexpr std::uint32_t kProtocolMax = 1;

struct Hello {
  std::uint32_t protocol_min = kProtocolMin;
  std::uint32_t protocol_max = kProtocolMax;
  std::string software;
  std::vector<std::string> features;
  std::vector<JobId> jobs;
  bool operator==(const Hello&) const = default;
};
struct Welcome {
  std::uint32_t protocol = kProtocolMax;
  std::string software;
  std::string name;
  Duration heartbeat{};
  bool operator==(const Welcome&) const = default;
};
struct Ready {
  bool operator==(const Ready&) const = default;
};
struct ComeBack {
  Duration after{};
  std::string why;
  bool operator==(const ComeBack&) const = default;
};
struct Fetch {
  Sha256 sha256;
  std::uint64_t offset = 0;
  std::uint32_t steps = 0;  ///< > 0: the bodies of the last so many steps, instead of the file
  bool operator==(const Fetch&) const = default;
};
struct Chunk {
  std::uint64_t offset = 0;
  bool operator==(const Chunk&) const = default;
};
struct Take {
  TaskRef task;
  std::uint64_t offset = 0;
  bool operator==(const Take&) const = default;
};
struct Refuse {
  TaskRef task;
  errc code = errc::internal;
  std::string detail;
  Duration retry_after{};
  bool operator==(const Refuse&) const = default;
};
enum class Durability : std::uint8_t { full = 1, process = 2 };
struct Accepted {
  TaskRef task;
  Durability durability = Durability::full;
  bool operator==(const Accepted&) const = default;
};
struct Decline {
  TaskRef task;
  errc code = errc::internal;
  std::string detail;
  bool operator==(const Decline&) const = default;
};
struct Cancel {
  TaskRef task;
  std::string why;
  bool operator==(const Cancel&) const = default;
};
struct Ping {
  std::uint64_t number = 0;
  bool operator==(const Ping&) const = default;
};
struct Pong {
  std::uint64_t number = 0;
  bool operator==(const Pong&) const = default;
};
struct Error {
  errc code = errc::internal;
  std::string detail;
  Duration retry_after{};
  bool fatal = true;
  bool operator==(const Error&) const = default;
};
struct Goodbye {
  std::string why;
  Duration come_back_after{};
  bool operator==(const Goodbye&) const = default;
};
struct Enroll {
  std::string token;
  std::vector<std::byte> csr;
  std::string name;
  bool operator==(const Enroll&) const = default;
};
struct Enrolled {
  std::vector<std::byte> certificate;
  std::vector<std::byte> ca_certificate;
  std::string name;
  bool operator==(const Enrolled&) const = default;
};
struct Renew {
  std::vector<std::byte> csr;
  bool operator==(const Renew&) const = default;
};
/// chorus.v1.AdminRequest / AdminReply, serialised: opaque but to server/admin and admin/.
struct AdminRequest {
  std::string bytes;
  bool operator==(const AdminRequest&) const = default;
};
struct AdminReply {
  std::string bytes;
  bool operator==(const AdminReply&) const = default;
};

using MessageKinds = std::variant<Hello,
                                  Welcome,
                                  Ready,
                                  Work,
                                  ComeBack,
                                  Fetch,
                                  Chunk,
                                  Offer,
                                  Take,
                                  Refuse,
                                  Accepted,
                                  Decline,
                                  Cancel,
                                  Ping,
                                  Pong,
                                  Error,
                                  Goodbye,
                                  Enroll,
                                  Enrolled,
                                  Renew,
                                  AdminRequest,
                                  AdminReply>;

/// Any of the above; a class, so that copying, comparing and destroying it is compiled once.
class Message : public MessageKinds {
 public:
  using MessageKinds::MessageKinds;
  Message();
  Message(const Message& other);
  Message(Message&& other) noexcept;
  Message& operator=(const Message& other);
  Message& operator=(Message&& other) noexcept;
  ~Message();
  friend bool operator==(const Message& a, const Message& b);
};

FrameKind kind_of(const Message& message) noexcept;
/// "offer", for logs and errors.
std::string_view name_of(FrameKind kind) noexcept;

/// Header and message of a frame, ready to be followed by `body_bytes` of body.
/// @errors frame_too_large (e.g. a model with more layers than fit one message)
Result<std::vector<std::byte>> encode(const Message& message, std::uint32_t body_bytes = 0);

/// @errors malformed_message, naming message, field, value and what was expected;
///         unsupported_feature for a Work that asks for what this build does not know (a layer, a
///         loss, an order, a plan, a required feature): see task_of_work()
Result<Message> decode(FrameKind kind, std::span<const std::byte> bytes);

/// The task of a Work message, also of one that decode() refused as unsupported_feature: to be
/// declined by name. @errors malformed_message
Result<TaskRef> task_of_work(std::span<const std::byte> bytes);

/// [a-z0-9] then [a-z0-9._-], at most limits::kNameBytesMax. For jobs, devices and metrics.
bool valid_name(std::string_view name) noexcept;

}  // namespace chorus::wire
