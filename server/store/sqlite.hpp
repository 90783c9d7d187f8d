// SQLite as values: an open database, a statement, a transaction. Nothing here knows the ledger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "chorus/result.hpp"
#include "common/base/try.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace chorus::server {

/// An open database file. One thread at a time.
class Database {
 public:
  /// Opens or creates: WAL, synchronous=FULL, foreign keys on, waits up to 5 s for other users.
  /// @param vfs  SQLite's name of where its files are; null: this machine's file system
  /// @errors database_failed, disk_full; corrupt_data when the file is no database
  static Result<Database> open(const std::filesystem::path& file, const char* vfs = nullptr);

  /// Runs statements that give no rows.
  Result<void> execute(std::string_view sql);
  /// The first column of the first row.
  Result<std::int64_t> integer(std::string_view sql);

  sqlite3* handle() const noexcept { return handle_.get(); }
  const std::filesystem::path& path() const noexcept { return path_; }
  /// Rows changed by the last INSERT, UPDATE or DELETE.
  std::int64_t changes() const noexcept;

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept;
  };
  Database(sqlite3* handle, std::filesystem::path path);

  std::unique_ptr<sqlite3, Close> handle_;
  std::filesystem::path path_;
};

/// One prepared statement. Binding and reading note the first error; step() and checked() report
/// it, so that a call reads as one chain and none is forgotten.
///
///   Statement find(db, "SELECT state FROM device WHERE client = ?1");
///   CHORUS_TRY(const bool found, find.text(client.value).step());
///   const auto state = find.take_u64();
///   CHORUS_OK(find.checked());
class Statement {
 public:
  /// `sql` must outlive the statement (a literal).
  Statement(const Database& database, std::string_view sql);

  // Parameters, in order from ?1 on; begin again after reset().
  Statement& text(std::string_view value);
  Statement& i64(std::int64_t value);
  /// @errors invalid_argument beyond 63 bits
  Statement& u64(std::uint64_t value);
  Statement& limit(std::size_t rows);  ///< of a LIMIT clause: any number
  Statement& real(double value);       ///< NaN becomes NULL
  Statement& blob(std::span<const std::byte> value);
  Statement& null();

  /// Runs to the next row: true when there is one.
  /// @errors already_exists (a UNIQUE or PRIMARY KEY constraint), database_failed, disk_full,
  ///         corrupt_data
  Result<bool> step();
  /// Runs a statement that gives no rows, and resets it for the next use.
  Result<void> run();
  void reset();

  // Columns of the row, in order from the first on; each call takes the next.
  // A value of another type than asked for is noted as corrupt_data.
  std::string take_text();
  std::int64_t take_i64();
  std::uint64_t take_u64();                   ///< not negative
  double take_real();                         ///< NULL becomes NaN
  bool take_blob(std::span<std::byte> into);  ///< exactly into.size() bytes
  std::vector<std::byte> take_bytes();        ///< a blob of any length
  bool next_is_null() const;
  void skip() { ++column_; }
  /// Notes that what was read makes no sense.
  void reject(std::string_view what);

  /// The first error of the take_…() calls.
  Result<void> checked() const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept;
  };
  void note(int code);
  bool expect(int type, std::string_view what);

  sqlite3* database_;
  std::string_view sql_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  std::optional<Failure> failure_;
  int parameter_ = 0;
  int column_ = 0;
};

/// Every row of a query, each made by `take(statement)` from its columns.
template <class Take>
auto all_rows(Statement& find, Take take)
    -> Result<std::vector<std::invoke_result_t<Take, Statement&>>> {
  std::vector<std::invoke_result_t<Take, Statement&>> rows;
  for (;;) {
    CHORUS_TRY(const bool more, find.step());
    if (!more) return rows;
    rows.push_back(take(find));
    CHORUS_OK(find.checked());
  }
}

/// BEGIN IMMEDIATE; rolled back unless committed.
class Transaction {
 public:
  static Result<Transaction> begin(const Database& database);
  Transaction(Transaction&& other) noexcept : database_(other.database_) {
    other.database_ = nullptr;
  }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<void> commit();

 private:
  explicit Transaction(const Database* database) : database_(database) {}
  const Database* database_;
};

}  // namespace chorus::server
