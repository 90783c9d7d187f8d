// Devices and join tokens.
#include <fmt/format.h>

#include "common/base/try.hpp"
#include "server/store/sqlite_ledger.hpp"

namespace chorus::server {
namespace {

constexpr std::string_view kDeviceColumns =
    "SELECT client, state, certificate_sha256, enrolled_ms, last_seen_ms, certificate_expires_ms, "
    "updates_accepted, updates_rejected FROM device ";

DeviceRow take_device(Statement& row) {
  DeviceRow device;
  device.client.value = row.take_text();
  device.state = take_enum(row, DeviceState::revoked);
  device.certificate_sha256 = row.take_text();
  device.enrolled_at = take_time(row);
  device.last_seen_at = take_time(row);
  device.certificate_expires_at = take_time(row);
  device.updates_accepted = row.take_u64();
  device.updates_rejected = row.take_u64();
  return device;
}

Failure no_such_device(const ClientId& client) {
  return fail(errc::not_found,
              fmt::format("no device named '{}'; 'chorus device list' shows them", client.value));
}

Failure revoked_device(const ClientId& client) {
  return fail(errc::revoked,
              fmt::format("device '{}' was revoked; enrol it under another name with a new key",
                          client.value));
}

}  // namespace

/// The name this key has used this token for before, or "".
Result<std::string> SqliteLedger::check_token(const std::string& token_sha256,
                                              const std::string& public_key_sha256,
                                              const DeviceRow& device) const {
  Statement find(db_, "SELECT device, uses_left, expires_ms FROM token WHERE secret_sha256 = ?1");
  CHORUS_TRY(const bool known, find.text(token_sha256).step());
  if (!known) {
    return fail(errc::token_invalid, "the join token is unknown; ask the operator for a new one");
  }
  const std::string bound = find.take_text();
  const std::uint64_t uses_left = find.take_u64();
  const TimePoint expires_at = take_time(find);
  CHORUS_OK(find.checked());
  if (device.enrolled_at >= expires_at) {
    return fail(errc::token_invalid, "the join token has expired; ask the operator for a new one");
  }
  if (!bound.empty() && bound != device.client.value) {
    return fail(errc::token_invalid,
                fmt::format("the join token is for another name than '{}'; use the name it was "
                            "made for",
                            device.client.value));
  }
  Statement use(db_,
                "SELECT client FROM token_use WHERE secret_sha256 = ?1 AND public_key_sha256 = ?2");
  CHORUS_TRY(const bool used, use.text(token_sha256).text(public_key_sha256).step());
  if (used) {
    std::string name = use.take_text();
    CHORUS_OK(use.checked());
    return name;
  }
  if (uses_left == 0) {
    return fail(errc::token_invalid, "the join token is used up; ask the operator for a new one");
  }
  return std::string();
}

Result<void> SqliteLedger::check_device(const std::string& public_key_sha256,
                                        const DeviceRow& device) const {
  Statement find(db_, "SELECT state, public_key_sha256 FROM device WHERE client = ?1");
  CHORUS_TRY(const bool known, find.text(device.client.value).step());
  if (known) {
    const auto state = take_enum(find, DeviceState::revoked);
    const std::string key = find.take_text();
    CHORUS_OK(find.checked());
    if (state == DeviceState::revoked) return revoked_device(device.client);
    if (key != public_key_sha256) {
      return fail(errc::already_exists,
                  fmt::format("the name '{}' belongs to a device with another key; choose another "
                              "name",
                              device.client.value));
    }
  }
  // A revoked device must not come back as another one with the same key.
  Statement same_key(
      db_, "SELECT client FROM device WHERE public_key_sha256 = ?1 AND state = 2 LIMIT 1");
  CHORUS_TRY(const bool key_revoked, same_key.text(public_key_sha256).step());
  if (key_revoked) return revoked_device(ClientId{same_key.take_text()});
  return {};
}

Result<void> SqliteLedger::enroll(const std::string& token_sha256,
                                  const std::string& public_key_sha256,
                                  const DeviceRow& device) {
  CHORUS_TRY(auto transaction, Transaction::begin(db_));
  CHORUS_TRY(const std::string earlier, check_token(token_sha256, public_key_sha256, device));
  if (!earlier.empty() && earlier != device.client.value) {
    return fail(errc::already_exists,
                fmt::format("this key has already enrolled as '{}' with this token; use that name",
                            earlier));
  }
  CHORUS_OK(check_device(public_key_sha256, device));
  CHORUS_OK(Statement(db_,
                      "INSERT INTO device (client, state, public_key_sha256, certificate_sha256, "
                      "enrolled_ms, last_seen_ms, certificate_expires_ms, updates_accepted, "
                      "updates_rejected) VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, 0, 0) "
                      "ON CONFLICT (client) DO UPDATE SET "
                      "certificate_sha256 = excluded.certificate_sha256, "
                      "certificate_expires_ms = excluded.certificate_expires_ms, "
                      "last_seen_ms = max(last_seen_ms, excluded.last_seen_ms)")
                .text(device.client.value)
                .text(public_key_sha256)
                .text(device.certificate_sha256)
                .i64(milliseconds(device.enrolled_at))
                .i64(milliseconds(device.last_seen_at))
                .i64(milliseconds(device.certificate_expires_at))
                .run());
  if (earlier.empty()) {
    CHORUS_OK(Statement(db_, "UPDATE token SET uses_left = uses_left - 1 WHERE secret_sha256 = ?1")
                  .text(token_sha256)
                  .run());
    CHORUS_OK(Statement(db_, "INSERT INTO token_use VALUES (?1, ?2, ?3)")
                  .text(token_sha256)
                  .text(public_key_sha256)
                  .text(device.client.value)
                  .run());
  }
  return transaction.commit();
}

Result<void> SqliteLedger::renew(const ClientId& client,
                                 const std::string& certificate_sha256,
                                 TimePoint expires_at) {
  CHORUS_TRY(auto transaction, Transaction::begin(db_));
  Statement find(db_, "SELECT state FROM device WHERE client = ?1");
  CHORUS_TRY(const bool known, find.text(client.value).step());
  if (!known) return no_such_device(client);
  const auto state = take_enum(find, DeviceState::revoked);
  CHORUS_OK(find.checked());
  find.reset();
  if (state == DeviceState::revoked) return revoked_device(client);
  CHORUS_OK(Statement(db_,
                      "UPDATE device SET certificate_sha256 = ?2, certificate_expires_ms = ?3 "
                      "WHERE client = ?1")
                .text(client.value)
                .text(certificate_sha256)
                .i64(milliseconds(expires_at))
                .run());
  return transaction.commit();
}

Result<void> SqliteLedger::add_token(const TokenRow& token) {
  if (token.uses_left == 0 || (!token.device.empty() && token.uses_left != 1)) {
    return fail(errc::invalid_argument,
                fmt::format("a join token for {} cannot have {} uses; {}",
                            token.device.empty() ? "any name" : "one name",
                            token.uses_left,
                            token.device.empty() ? "give at least 1" : "give exactly 1"));
  }
  return Statement(db_, "INSERT INTO token VALUES (?1, ?2, ?3, ?4)")
      .text(token.secret_sha256)
      .text(token.device)
      .u64(token.uses_left)
      .i64(milliseconds(token.expires_at))
      .run();
}

Result<TokenRow> SqliteLedger::token(const std::string& secret_sha256) const {
  Statement find(db_, "SELECT device, uses_left, expires_ms FROM token WHERE secret_sha256 = ?1");
  CHORUS_TRY(const bool known, find.text(secret_sha256).step());
  if (!known) {
    return fail(errc::token_invalid, "the join token is unknown; ask the operator for a new one");
  }
  TokenRow row;
  row.secret_sha256 = secret_sha256;
  row.device = find.take_text();
  row.uses_left = static_cast<std::uint32_t>(find.take_u64());
  row.expires_at = take_time(find);
  CHORUS_OK(find.checked());
  return row;
}

Result<DeviceRow> SqliteLedger::device(const ClientId& client) const {
  const std::string sql = std::string(kDeviceColumns) + "WHERE client = ?1";
  Statement find(db_, sql);
  CHORUS_TRY(const bool known, find.text(client.value).step());
  if (!known) return no_such_device(client);
  DeviceRow row = take_device(find);
  CHORUS_OK(find.checked());
  return row;
}

Result<std::vector<DeviceRow>> SqliteLedger::devices(const std::string& after,
                                                     std::size_t limit) const {
  const std::string sql =
      std::string(kDeviceColumns) + "WHERE client > ?1 ORDER BY client LIMIT ?2";
  Statement find(db_, sql);
  find.text(after).limit(limit);
  return all_rows(find, take_device);
}

Result<std::vector<ClientId>> SqliteLedger::revoked() const {
  Statement find(db_, "SELECT client FROM device WHERE state = 2 ORDER BY client");
  return all_rows(find, [](Statement& row) { return ClientId{row.take_text()}; });
}

Result<void> SqliteLedger::revoke(const ClientId& client) {
  CHORUS_OK(
      Statement(db_, "UPDATE device SET state = 2 WHERE client = ?1").text(client.value).run());
  if (db_.changes() == 0) return no_such_device(client);
  return {};
}

Result<void> SqliteLedger::touch(const ClientId& client, TimePoint seen_at) {
  CHORUS_OK(
      Statement(db_, "UPDATE device SET last_seen_ms = max(last_seen_ms, ?2) WHERE client = ?1")
          .text(client.value)
          .i64(milliseconds(seen_at))
          .run());
  if (db_.changes() == 0) return no_such_device(client);
  return {};
}

}  // namespace chorus::server
