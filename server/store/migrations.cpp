#include "server/store/migrations.hpp"

#include <fmt/format.h>

#include "common/base/try.hpp"
#include "server/store/sqlite.hpp"

namespace chorus::server {
namespace {

/// PRAGMA application_id of a ledger: "CHRS".
constexpr std::int64_t kApplicationId = 0x43485253;

Result<void> check_owner(Database& database) {
  CHORUS_TRY(const std::int64_t owner, database.integer("PRAGMA application_id"));
  if (owner == kApplicationId) return {};
  CHORUS_TRY(const std::int64_t tables, database.integer("SELECT count(*) FROM sqlite_schema"));
  if (owner == 0 && tables == 0) {
    return database.execute(fmt::format("PRAGMA application_id = {}", kApplicationId));
  }
  return fail(errc::wrong_state,
              fmt::format("'{}' is the database of another program; give chorusd a folder of its "
                          "own",
                          database.path().string()));
}

Result<void> apply(Database& database, const Migration& migration) {
  CHORUS_TRY(auto transaction, Transaction::begin(database));
  if (auto done = database.execute(migration.sql); !done) {
    return std::move(done).error().during(fmt::format("migration {}", migration.name));
  }
  CHORUS_OK(database.execute(fmt::format("PRAGMA user_version = {}", migration.number)));
  return transaction.commit();
}

}  // namespace

Result<void> migrate(Database& database, std::span<const Migration> migrations) {
  CHORUS_OK(check_owner(database));
  CHORUS_TRY(const std::int64_t present, database.integer("PRAGMA user_version"));
  const std::int64_t newest = migrations.empty() ? 0 : migrations.back().number;
  if (present > newest || present < 0) {
    return fail(errc::wrong_state,
                fmt::format("ledger '{}' has schema {}, this Chorus knows up to {}: it was written "
                            "by a newer Chorus; start that one, or restore an older copy",
                            database.path().string(),
                            present,
                            newest));
  }
  for (const Migration& migration : migrations) {
    if (migration.number > present) CHORUS_OK(apply(database, migration));
  }
  return {};
}

}  // namespace chorus::server
