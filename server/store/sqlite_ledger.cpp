#include "server/store/sqlite_ledger.hpp"

#include "common/base/files.hpp"
#include "common/base/try.hpp"
#include "server/store/migrations.hpp"

namespace chorus::server {

Result<std::unique_ptr<Ledger>> open_sqlite_ledger(const std::filesystem::path& file) {
  CHORUS_TRY(auto database, Database::open(file));
  CHORUS_OK(migrate(database, ledger_migrations()));
  const auto folder = file.parent_path();
  CHORUS_OK(sync_folder(folder.empty() ? std::filesystem::path(".") : folder));
  return std::unique_ptr<Ledger>(std::make_unique<SqliteLedger>(std::move(database)));
}

}  // namespace chorus::server
