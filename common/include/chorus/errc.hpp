// The one enum of everything that can go wrong, shared by server, SDK and wire.
#pragma once

#include <cstdint>
#include <string_view>

#include "chorus/export.hpp"

namespace chorus {

/// Error codes. The numbers travel on the wire and are printed to people: never renumber, never
/// reuse. `docs/protocol.md` lists each with what to do about it; `may_retry()` says whether the
/// same request may succeed later without anybody changing anything.
// NOLINTNEXTLINE(readability-identifier-naming, performance-enum-size): as std::errc; sent as u32
enum class errc : std::uint32_t {
  // What a peer or a person sent is wrong.
  invalid_argument = 1,      ///< a value is outside its documented range
  malformed_frame = 2,       ///< wrong magic, impossible lengths, or truncated
  frame_too_large = 3,       ///< a frame announces more than the limit
  unsupported_version = 4,   ///< no protocol version in common
  malformed_message = 5,     ///< the frame's message does not parse or lacks a required field
  unexpected_message = 6,    ///< a valid message that does not belong here in the conversation
  digest_mismatch = 7,       ///< body and announced digest differ
  shape_mismatch = 8,        ///< body length or tensor layout differ from the job's model
  not_finite = 9,            ///< an update holds a NaN or an infinity
  value_out_of_range = 10,   ///< an update holds an element beyond the job's value_max
  weight_out_of_range = 11,  ///< claimed examples are zero or beyond the job's examples_max
  unsupported_feature = 12,  ///< the plan asks for something this device cannot do
  malformed_file = 13,       ///< a configuration, data or model file does not parse

  // Who is asking.
  unauthenticated = 20,      ///< no certificate, or not one of this federation
  certificate_expired = 21,  ///< the certificate's validity is over (or has not begun)
  revoked = 22,              ///< the device's certificate was revoked
  permission_denied = 23,    ///< the certificate's role may not do this
  token_invalid = 24,        ///< the join token is unknown, used up, or expired

  // What it names does not fit the present state.
  not_found = 30,       ///< no such job, round, device, version or file
  already_exists = 31,  ///< the name is taken
  wrong_state = 32,     ///< e.g. resuming a job that was stopped
  task_closed = 33,     ///< the round no longer takes this update (late: discarded)
  not_invited = 34,     ///< the device has no task in this round

  // Come back later.
  busy = 40,           ///< memory grants, connections or queue are used up
  shutting_down = 41,  ///< the daemon is draining
  timed_out = 42,      ///< a deadline passed
  cancelled = 43,      ///< the operation was cancelled by its owner

  // The world around the process.
  connection_failed = 50,  ///< cannot connect, or the peer closed the connection
  tls_failed = 51,         ///< the TLS handshake or record layer failed
  io_failed = 52,          ///< a file operation failed
  disk_full = 53,          ///< no space left
  corrupt_data = 54,       ///< a stored file fails its checksum
  database_failed = 55,    ///< the ledger failed

  internal = 90,  ///< a defect of Chorus: please report it
};

/// The enumerator's name, e.g. "digest_mismatch". Unknown numbers give "unknown".
CHORUS_EXPORT std::string_view to_string(errc code) noexcept;

/// True if the same request may succeed later without anybody changing anything.
CHORUS_EXPORT bool may_retry(errc code) noexcept;

/// The enumerator with this number; `errc::internal` for numbers this build does not know.
CHORUS_EXPORT errc errc_from_number(std::uint32_t number) noexcept;

}  // namespace chorus
