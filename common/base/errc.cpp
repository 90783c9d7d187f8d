#include "chorus/errc.hpp"

#include <array>

namespace chorus {
namespace {

struct Row {
  errc code;
  std::string_view name;
  bool retry;
};

constexpr std::array kRows{
    Row{errc::invalid_argument, "invalid_argument", false},
    Row{errc::malformed_frame, "malformed_frame", false},
    Row{errc::frame_too_large, "frame_too_large", false},
    Row{errc::unsupported_version, "unsupported_version", false},
    Row{errc::malformed_message, "malformed_message", false},
    Row{errc::unexpected_message, "unexpected_message", false},
    Row{errc::digest_mismatch, "digest_mismatch", true},
    Row{errc::shape_mismatch, "shape_mismatch", false},
    Row{errc::not_finite, "not_finite", false},
    Row{errc::value_out_of_range, "value_out_of_range", false},
    Row{errc::weight_out_of_range, "weight_out_of_range", false},
    Row{errc::unsupported_feature, "unsupported_feature", false},
    Row{errc::malformed_file, "malformed_file", false},
    Row{errc::unauthenticated, "unauthenticated", false},
    Row{errc::certificate_expired, "certificate_expired", false},
    Row{errc::revoked, "revoked", false},
    Row{errc::permission_denied, "permission_denied", false},
    Row{errc::token_invalid, "token_invalid", false},
    Row{errc::not_found, "not_found", false},
    Row{errc::already_exists, "already_exists", false},
    Row{errc::wrong_state, "wrong_state", false},
    Row{errc::task_closed, "task_closed", false},
    Row{errc::not_invited, "not_invited", false},
    Row{errc::busy, "busy", true},
    Row{errc::shutting_down, "shutting_down", true},
    Row{errc::timed_out, "timed_out", true},
    Row{errc::cancelled, "cancelled", false},
    Row{errc::connection_failed, "connection_failed", true},
    Row{errc::tls_failed, "tls_failed", true},
    Row{errc::io_failed, "io_failed", false},
    Row{errc::disk_full, "disk_full", true},
    Row{errc::corrupt_data, "corrupt_data", false},
    Row{errc::database_failed, "database_failed", true},
    Row{errc::internal, "internal", false},
};

const Row* find(errc code) noexcept {
  for (const Row& row : kRows) {
    if (row.code == code) return &row;
  }
  return nullptr;
}

}  // namespace

std::string_view to_string(errc code) noexcept {
  const Row* row = find(code);
  return row != nullptr ? row->name : "unknown";
}

bool may_retry(errc code) noexcept {
  const Row* row = find(code);
  return row != nullptr && row->retry;
}

errc errc_from_number(std::uint32_t number) noexcept {
  const Row* row = find(static_cast<errc>(number));
  return row != nullptr ? row->code : errc::internal;
}

}  // namespace chorus
