// What the session machine is told (events) and what it asks for (actions). Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "chorus/client/client.hpp"
#include "chorus/result.hpp"
#include "common/base/types.hpp"
#include "common/wire/messages.hpp"

namespace chorus::client {

// ---- events: what happened ----

/// First event, once. `unfinished`: an upload that a former process left.
struct Started {
  std::optional<wire::Offer> unfinished;
};
/// Answer to AskEligibility.
struct EligibilityKnown {
  bool eligible = true;
};
/// Answer to Connect: the TLS handshake is done.
struct Connected {};
/// Answer to Connect that failed, or the end of a connection. Not told after Disconnect.
struct ConnectionLost {
  Failure why;
};
/// `body_bytes` of a chunk lie where the driver put them: at received() of the model.
struct MessageReceived {
  wire::Message message;
  std::uint32_t body_bytes = 0;
};
/// A Work that asks for what this build does not know.
struct WorkNotUnderstood {
  TaskRef task;
  Failure why;
};
/// Answer to LookUpModel: so many bytes are there. All of them: they are verified.
struct ModelLookedUp {
  std::uint64_t bytes = 0;
};
/// Answer to LookUpModel: this device cannot execute the model.
struct ModelUnusable {
  Failure why;
};
/// Answers to VerifyModel. Broken: the digest or the layout is wrong; the bytes are gone.
struct ModelVerified {};
struct ModelBroken {
  Failure why;
};
/// Answers to StartTask. Finished: the body is ready to be sent, and stored if it shall survive.
struct TaskFinished {
  wire::Offer offer;
};
struct TaskFailed {
  Failure why;
};
/// Bytes of the body that have left, up to here.
struct BodyProgress {
  std::uint64_t sent = 0;
};
/// The certificate needs renewal; a request for it.
struct RenewalDue {
  std::vector<std::byte> csr;
};
/// A wake-up asked for by next_wakeup(), or nothing in particular.
struct Tick {};
/// The owner wants run() to end.
struct StopRequested {};

using Event = std::variant<Started,
                           EligibilityKnown,
                           Connected,
                           ConnectionLost,
                           MessageReceived,
                           WorkNotUnderstood,
                           ModelLookedUp,
                           ModelUnusable,
                           ModelVerified,
                           ModelBroken,
                           TaskFinished,
                           TaskFailed,
                           BodyProgress,
                           RenewalDue,
                           Tick,
                           StopRequested>;

// ---- actions: what is to be done, in this order ----

/// Answer with EligibilityKnown.
struct AskEligibility {
  bool operator==(const AskEligibility&) const = default;
};
/// Answer with Connected or ConnectionLost.
struct Connect {
  bool operator==(const Connect&) const = default;
};
/// Close the connection, after what was sent. There is no answer.
struct Disconnect {
  bool operator==(const Disconnect&) const = default;
};
struct Send {
  wire::Message message;
  bool operator==(const Send&) const = default;
};
/// Of work(): check the architecture, see what the cache holds. Answer with ModelLookedUp or
/// ModelUnusable.
struct LookUpModel {
  bool operator==(const LookUpModel&) const = default;
};
/// Chunks are about to come: they continue the model of work() from this offset. Offset 0: anew.
struct ReceiveModel {
  std::uint64_t offset = 0;
  bool operator==(const ReceiveModel&) const = default;
};
/// The chunk just received belongs to the model.
struct KeepChunk {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
  bool operator==(const KeepChunk&) const = default;
};
/// All bytes are there. Answer with ModelVerified or ModelBroken.
struct VerifyModel {
  bool operator==(const VerifyModel&) const = default;
};
/// Run the trainer on work(). Answer with TaskFinished or TaskFailed.
struct StartTask {
  bool operator==(const StartTask&) const = default;
};
/// Tell the trainer to stop. StartTask is still answered.
struct CancelTask {
  bool operator==(const CancelTask&) const = default;
};
/// Send the body from `offset` to its end in chunks, telling BodyProgress.
struct SendBody {
  std::uint64_t offset = 0;
  bool operator==(const SendBody&) const = default;
};
/// Send no more of it.
struct StopBody {
  bool operator==(const StopBody&) const = default;
};
/// The finished update is settled, or not wanted: forget it, also on disk.
struct DropUpload {
  bool operator==(const DropUpload&) const = default;
};
struct StoreCertificate {
  wire::Enrolled enrolled;
  bool operator==(const StoreCertificate&) const = default;
};
/// Tell the owner.
struct Report {
  Progress progress;
  bool operator==(const Report&) const = default;
};
/// run() ends with this.
struct Finish {
  std::optional<Failure> why;
  bool operator==(const Finish& other) const {
    return why.has_value() == other.why.has_value() &&
           (!why || (why->code == other.why->code && why->detail == other.why->detail));
  }
};

using Action = std::variant<AskEligibility,
                            Connect,
                            Disconnect,
                            Send,
                            LookUpModel,
                            ReceiveModel,
                            KeepChunk,
                            VerifyModel,
                            StartTask,
                            CancelTask,
                            SendBody,
                            StopBody,
                            DropUpload,
                            StoreCertificate,
                            Report,
                            Finish>;

}  // namespace chorus::client
