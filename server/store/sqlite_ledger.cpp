#include "server/store/sqlite_ledger.hpp"

#include "common/base/try.hpp"
#include "server/store/migrations.hpp"

namespace chorus::server {

Result<std::unique_ptr<Ledger>> open_sqlite_ledger(const std::filesystem::path& file,
                                                   Disk& disk,
                                                   const char* vfs) {
  CHORUS_TRY(auto database, Database::open(file, vfs));
  CHORUS_OK(migrate(database, ledger_migrations()));
  CHORUS_OK(disk.sync_folder(file.parent_path()));
  return std::unique_ptr<Ledger>(std::make_unique<SqliteLedger>(std::move(database)));
}

}  // namespace chorus::server
