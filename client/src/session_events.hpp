// What the session machine is told: what happened. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "chorus/result.hpp"
#include "client/src/download.hpp"
#include "common/base/types.hpp"
#include "common/wire/messages.hpp"

namespace chorus::client {

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
/// Answer to LookUpModel. Nothing to be fetched: the model is verified.
struct ModelLookedUp {
  Download download;
};
/// Answer to LookUpModel: this device cannot execute the model.
struct ModelUnusable {
  Failure why;
};
/// Answers to VerifyModel, also of a basis. Broken: digest or layout is wrong; the bytes are gone.
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
/// The certificate that is used from the next connection on: told before each Connect is answered
/// and after StoreCertificate.
struct CertificateInUse {
  TimePoint renew_at;  ///< ask for a fresh one from then on
  TimePoint ends_at;
};
/// Answer to MakeRenewalRequest.
struct RenewalRequestMade {
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
                           CertificateInUse,
                           RenewalRequestMade,
                           Tick,
                           StopRequested>;

}  // namespace chorus::client
