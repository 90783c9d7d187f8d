// What the session machine asks for: what is to be done, in this order. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "chorus/client/client.hpp"
#include "chorus/result.hpp"
#include "common/wire/messages.hpp"

namespace chorus::client {

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
/// Chunks are about to come: they continue the download from this offset. Offset 0 of a file: anew.
struct ReceiveModel {
  std::uint64_t offset = 0;
  std::uint32_t steps = 0;  ///< of work(), the last so many; 0: the file
  bool basis = false;       ///< of work(), not the model
  bool operator==(const ReceiveModel&) const = default;
};
/// The chunk just received belongs to the download.
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
  std::optional<TaskRef> accepted{};  ///< the server counted it: the task's local state counts too
  bool operator==(const DropUpload&) const = default;
};
/// Make a request for a fresh certificate. Answer with RenewalRequestMade, or not if it fails.
struct MakeRenewalRequest {
  bool operator==(const MakeRenewalRequest&) const = default;
};
struct StoreCertificate {
  wire::Enrolled enrolled;
  bool operator==(const StoreCertificate&) const = default;
};
/// The server does not renew the certificate; tell the log. It is asked again later.
struct RenewalRefused {
  Failure why;
  bool operator==(const RenewalRefused& other) const {
    return why.code == other.why.code && why.detail == other.why.detail;
  }
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
                            MakeRenewalRequest,
                            StoreCertificate,
                            RenewalRefused,
                            Report,
                            Finish>;

}  // namespace chorus::client
