#include "chorus/errc.hpp"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace chorus {
namespace {

struct Row {
  std::uint32_t number;
  errc code;
  const char* name;
  bool retry;
};

// The numbers travel on the wire: a line here changes only when one is added.
const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {1, errc::invalid_argument, "invalid_argument", false},
      {2, errc::malformed_frame, "malformed_frame", false},
      {3, errc::frame_too_large, "frame_too_large", false},
      {4, errc::unsupported_version, "unsupported_version", false},
      {5, errc::malformed_message, "malformed_message", false},
      {6, errc::unexpected_message, "unexpected_message", false},
      {7, errc::digest_mismatch, "digest_mismatch", true},
      {8, errc::shape_mismatch, "shape_mismatch", false},
      {9, errc::not_finite, "not_finite", false},
      {10, errc::value_out_of_range, "value_out_of_range", false},
      {11, errc::weight_out_of_range, "weight_out_of_range", false},
      {12, errc::unsupported_feature, "unsupported_feature", false},
      {13, errc::malformed_file, "malformed_file", false},
      {20, errc::unauthenticated, "unauthenticated", false},
      {21, errc::certificate_expired, "certificate_expired", false},
      {22, errc::revoked, "revoked", false},
      {23, errc::permission_denied, "permission_denied", false},
      {24, errc::token_invalid, "token_invalid", false},
      {30, errc::not_found, "not_found", false},
      {31, errc::already_exists, "already_exists", false},
      {32, errc::wrong_state, "wrong_state", false},
      {33, errc::task_closed, "task_closed", false},
      {34, errc::not_invited, "not_invited", false},
      {40, errc::busy, "busy", true},
      {41, errc::shutting_down, "shutting_down", true},
      {42, errc::timed_out, "timed_out", true},
      {43, errc::cancelled, "cancelled", false},
      {50, errc::connection_failed, "connection_failed", true},
      {51, errc::tls_failed, "tls_failed", true},
      {52, errc::io_failed, "io_failed", false},
      {53, errc::disk_full, "disk_full", true},
      {54, errc::corrupt_data, "corrupt_data", false},
      {55, errc::database_failed, "database_failed", true},
      {90, errc::internal, "internal", false},
  };
  return all;
}

TEST(Errc, KeepsItsNumbersNamesAndRetryTable) {
  for (const Row& row : rows()) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(static_cast<std::uint32_t>(row.code), row.number);
    EXPECT_EQ(to_string(row.code), row.name);
    EXPECT_EQ(may_retry(row.code), row.retry);
    EXPECT_EQ(errc_from_number(row.number), row.code);
  }
}

TEST(Errc, KnowsNoOtherNumber) {
  std::set<std::uint32_t> known;
  for (const Row& row : rows()) known.insert(row.number);
  EXPECT_EQ(known.size(), rows().size());
  for (std::uint32_t number = 0; number < 1000; ++number) {
    if (known.contains(number)) continue;
    EXPECT_EQ(to_string(static_cast<errc>(number)), "unknown") << number;
    EXPECT_FALSE(may_retry(static_cast<errc>(number))) << number;
    EXPECT_EQ(errc_from_number(number), errc::internal) << number;
  }
  EXPECT_EQ(errc_from_number(0xFFFFFFFFU), errc::internal);
}

}  // namespace
}  // namespace chorus
