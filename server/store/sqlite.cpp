#include "server/store/sqlite.hpp"

#include <algorithm>
#include <cmath>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include <sqlite3.h>

#include "common/base/files.hpp"
#include "common/base/try.hpp"

namespace chorus::server {
namespace {

constexpr int kBusyMilliseconds = 5000;

errc errc_of(int extended) noexcept {
  if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY) {
    return errc::already_exists;
  }
  switch (extended & 0xff) {
    case SQLITE_FULL:
      return errc::disk_full;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return errc::corrupt_data;
    default:
      return errc::database_failed;
  }
}

/// The statement's first line is enough to find it in the sources.
std::string_view first_line(std::string_view sql) {
  return sql.substr(0, std::min(sql.find('\n'), sql.size()));
}

Failure sql_failure(sqlite3* database, int code, std::string_view sql) {
  const int extended = database != nullptr ? sqlite3_extended_errcode(database) : code;
  const char* file = database != nullptr ? sqlite3_db_filename(database, "main") : nullptr;
  return fail(errc_of(extended),
              fmt::format("database '{}': {} (SQLite code {}), while running '{}'",
                          file != nullptr ? file : "",
                          database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code),
                          extended,
                          first_line(sql)));
}

}  // namespace

// -- Database --

void Database::Close::operator()(sqlite3* handle) const noexcept {
  sqlite3_close_v2(handle);
}

Database::Database(sqlite3* handle, std::filesystem::path path)
    : handle_(handle), path_(std::move(path)) {}

Result<Database> Database::open(const std::filesystem::path& file, const char* vfs) {
  sqlite3* raw = nullptr;
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(file.c_str(), &raw, kFlags, vfs);
  Database database(raw, file);
  if (code != SQLITE_OK) {
    return sql_failure(raw, code, "open").during("opening '" + file.string() + "'");
  }
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, kBusyMilliseconds);
  CHORUS_OK(database.execute("PRAGMA foreign_keys = ON"));
  CHORUS_OK(database.execute("PRAGMA trusted_schema = OFF"));
  {
    Statement wal(database, "PRAGMA journal_mode = WAL");
    CHORUS_TRY(const bool row, wal.step());
    if (!row || wal.take_text() != "wal") {
      return fail(errc::database_failed,
                  "database '" + file.string() +
                      "' cannot use a write-ahead log; its folder must be on a local, writable "
                      "file system");
    }
  }
  CHORUS_OK(database.execute("PRAGMA synchronous = FULL"));
  // A process that died in COMMIT may have left the transaction in the page cache only. It is seen
  // from here on, so it must not go with the next power cut: this syncs the log, then the database.
  {
    Statement checkpoint(database, "PRAGMA wal_checkpoint(TRUNCATE)");
    CHORUS_TRY(const bool row, checkpoint.step());
    if (!row || checkpoint.take_i64() != 0) {
      return fail(errc::database_failed,
                  "database '" + file.string() + "' is in use by another program");
    }
  }
  return database;
}

Result<void> Database::execute(std::string_view sql) {
  const std::string text(sql);
  const int code = sqlite3_exec(handle(), text.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sql_failure(handle(), code, text);
  return {};
}

Result<std::int64_t> Database::integer(std::string_view sql) {
  Statement statement(*this, sql);
  CHORUS_TRY(const bool row, statement.step());
  if (!row) {
    return fail(errc::database_failed,
                fmt::format("database '{}': '{}' gave no row", path_.string(), sql));
  }
  const std::int64_t value = statement.take_i64();
  CHORUS_OK(statement.checked());
  return value;
}

std::int64_t Database::changes() const noexcept {
  return sqlite3_changes64(handle());
}

// -- Statement --

void Statement::Finalize::operator()(sqlite3_stmt* statement) const noexcept {
  sqlite3_finalize(statement);
}

Statement::Statement(const Database& database, std::string_view sql)
    : database_(database.handle()), sql_(sql) {
  sqlite3_stmt* raw = nullptr;
  const int code =
      sqlite3_prepare_v2(database_, sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
  statement_.reset(raw);
  if (code != SQLITE_OK) note(code);
}

void Statement::note(int code) {
  if (code != SQLITE_OK && !failure_) failure_ = sql_failure(database_, code, sql_);
}

Statement& Statement::text(std::string_view value) {
  ++parameter_;
  const char* data = value.data() != nullptr ? value.data() : "";  // a null pointer would be NULL
  if (statement_) {
    note(sqlite3_bind_text64(
        statement_.get(), parameter_, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  }
  return *this;
}

Statement& Statement::i64(std::int64_t value) {
  ++parameter_;
  if (statement_) note(sqlite3_bind_int64(statement_.get(), parameter_, value));
  return *this;
}

Statement& Statement::u64(std::uint64_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    if (!failure_) {
      failure_ = fail(
          errc::invalid_argument,
          fmt::format(
              "{} does not fit the ledger's 63 bits, while running '{}'", value, first_line(sql_)));
    }
    value = 0;
  }
  return i64(static_cast<std::int64_t>(value));
}

Statement& Statement::limit(std::size_t rows) {
  constexpr std::size_t kMax = std::numeric_limits<std::int64_t>::max();
  return u64(std::min(rows, kMax));
}

Statement& Statement::real(double value) {
  ++parameter_;
  if (statement_) note(sqlite3_bind_double(statement_.get(), parameter_, value));
  return *this;
}

Statement& Statement::blob(std::span<const std::byte> value) {
  ++parameter_;
  if (statement_) {
    note(sqlite3_bind_blob64(
        statement_.get(), parameter_, value.data(), value.size(), SQLITE_TRANSIENT));
  }
  return *this;
}

Statement& Statement::null() {
  ++parameter_;
  if (statement_) note(sqlite3_bind_null(statement_.get(), parameter_));
  return *this;
}

Result<bool> Statement::step() {
  column_ = 0;
  if (failure_) return *failure_;
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return sql_failure(database_, code, sql_);
}

Result<void> Statement::run() {
  auto stepped = step();
  reset();
  if (!stepped) return std::move(stepped).error();
  return {};
}

void Statement::reset() {
  if (statement_) sqlite3_reset(statement_.get());
  parameter_ = 0;
  column_ = 0;
}

bool Statement::expect(int type, std::string_view what) {
  if (failure_) return false;
  if (column_ < sqlite3_data_count(statement_.get()) &&
      sqlite3_column_type(statement_.get(), column_) == type) {
    return true;
  }
  reject(fmt::format("column {} is not {}", column_, what));
  return false;
}

std::string Statement::take_text() {
  std::string value;
  if (expect(SQLITE_TEXT, "text")) {
    const auto* data = sqlite3_column_text(statement_.get(), column_);
    const auto size = sqlite3_column_bytes(statement_.get(), column_);
    value.assign(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  }
  ++column_;
  return value;
}

std::int64_t Statement::take_i64() {
  const bool good = expect(SQLITE_INTEGER, "an integer");
  const std::int64_t value = good ? sqlite3_column_int64(statement_.get(), column_) : 0;
  ++column_;
  return value;
}

std::uint64_t Statement::take_u64() {
  const std::int64_t value = take_i64();
  if (value >= 0) return static_cast<std::uint64_t>(value);
  reject(fmt::format("column {} is negative", column_ - 1));
  return 0;
}

double Statement::take_real() {
  double value = std::numeric_limits<double>::quiet_NaN();
  if (!next_is_null() && expect(SQLITE_FLOAT, "a real number")) {
    value = sqlite3_column_double(statement_.get(), column_);
  }
  ++column_;
  return value;
}

std::vector<std::byte> Statement::take_bytes() {
  std::vector<std::byte> bytes;
  if (expect(SQLITE_BLOB, "a blob")) {
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column_));
    const auto* data =
        static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column_));
    bytes.assign(data, data + size);
  }
  ++column_;
  return bytes;
}

bool Statement::take_blob(std::span<std::byte> into) {
  bool good = expect(SQLITE_BLOB, "a blob");
  if (good) {
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column_));
    const auto* data =
        static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column_));
    good = size == into.size();
    if (good) {
      std::copy_n(data, size, into.begin());
    } else {
      reject(fmt::format("column {} has {} bytes instead of {}", column_, size, into.size()));
    }
  }
  ++column_;
  return good;
}

bool Statement::next_is_null() const {
  return !failure_ && sqlite3_column_type(statement_.get(), column_) == SQLITE_NULL;
}

void Statement::reject(std::string_view what) {
  if (failure_) return;
  const char* file = sqlite3_db_filename(database_, "main");
  failure_ = fail(errc::corrupt_data,
                  fmt::format("database '{}' holds an impossible row: {}, while running '{}'",
                              file != nullptr ? file : "",
                              what,
                              first_line(sql_)));
}

Result<void> Statement::checked() const {
  if (failure_) return *failure_;
  return {};
}

// -- Transaction --

Result<Transaction> Transaction::begin(const Database& database) {
  CHORUS_OK(Statement(database, "BEGIN IMMEDIATE").run());
  return Transaction(&database);
}

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  // Some failures (disk full) have rolled back already.
  if (sqlite3_get_autocommit(database_->handle()) == 0) {
    static_cast<void>(Statement(*database_, "ROLLBACK").run());
  }
}

Result<void> Transaction::commit() {
  CHORUS_OK(Statement(*database_, "COMMIT").run());
  database_ = nullptr;
  return {};
}

}  // namespace chorus::server
