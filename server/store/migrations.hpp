// The numbered steps that build the ledger's schema (migrations/*.sql, embedded by CMake).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "chorus/result.hpp"

namespace chorus::server {

class Database;

/// One step. After it, PRAGMA user_version is `number`.
struct Migration {
  std::int64_t number;    ///< 1, 2, … without gaps
  std::string_view name;  ///< file name, for messages
  std::string_view sql;
};

/// Every step this build knows, in order.
std::span<const Migration> ledger_migrations() noexcept;

/// Brings a ledger to the newest schema, each step in a transaction of its own: after a crash the
/// file stands between two steps, never within one.
/// @errors wrong_state: written by a newer Chorus, or another program's database;
///         database_failed, disk_full
Result<void> migrate(Database& database, std::span<const Migration> migrations);

}  // namespace chorus::server
