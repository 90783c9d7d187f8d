#include "server/store/sqlite.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/store/migrations.hpp"
#include "tests/unit/server/store/ledger_fixture.hpp"

namespace chorus::server {
namespace {

using ::testing::HasSubstr;

class SqliteTest : public ::testing::Test {
 protected:
  std::filesystem::path file() const { return temp_.path() / "test.db"; }
  Database open() { return std::move(Database::open(file())).value(); }

  test::TempFolder temp_;
};

TEST_F(SqliteTest, OpensForDurability) {
  Database database = open();
  EXPECT_EQ(database.integer("PRAGMA synchronous").value(), 2);
  EXPECT_EQ(database.integer("PRAGMA foreign_keys").value(), 1);
  EXPECT_EQ(database.integer("PRAGMA busy_timeout").value(), 5000);
  Statement mode(database, "PRAGMA journal_mode");
  ASSERT_TRUE(mode.step().value());
  EXPECT_EQ(mode.take_text(), "wal");
}

TEST_F(SqliteTest, ValuesComeBack) {
  Database database = open();
  ASSERT_TRUE(database.execute("CREATE TABLE t (a TEXT, b INTEGER, c REAL, d BLOB) STRICT"));
  const std::array<std::byte, 3> blob{std::byte{1}, std::byte{0}, std::byte{255}};
  ASSERT_TRUE(Statement(database, "INSERT INTO t VALUES (?1, ?2, ?3, ?4)")
                  .text("it's")
                  .i64(-7)
                  .real(0.1)
                  .blob(blob)
                  .run());
  Statement find(database, "SELECT a, b, c, d FROM t");
  ASSERT_TRUE(find.step().value());
  std::array<std::byte, 3> found{};
  EXPECT_EQ(find.take_text(), "it's");
  EXPECT_EQ(find.take_i64(), -7);
  EXPECT_EQ(find.take_real(), 0.1);
  EXPECT_TRUE(find.take_blob(found));
  EXPECT_EQ(found, blob);
  EXPECT_TRUE(find.checked());
  EXPECT_FALSE(find.step().value());
}

TEST_F(SqliteTest, WrongTypesAreCorruptData) {
  Database database = open();
  for (const char* sql : {"SELECT 1", "SELECT NULL", "SELECT x'00'", "SELECT 1.5"}) {
    Statement find(database, sql);
    ASSERT_TRUE(find.step().value());
    EXPECT_EQ(find.take_text(), "");
    ASSERT_FALSE(find.checked());
    EXPECT_EQ(find.checked().error().code, errc::corrupt_data);
    EXPECT_THAT(find.checked().error().detail, HasSubstr(sql));
    EXPECT_EQ(find.take_i64(), 0) << "everything after the first error reads as nothing";
  }
  Statement missing(database, "SELECT 1");
  ASSERT_TRUE(missing.step().value());
  missing.take_i64();
  missing.take_i64();
  EXPECT_FALSE(missing.checked()) << "there is no second column";
  Statement negative(database, "SELECT -1");
  ASSERT_TRUE(negative.step().value());
  EXPECT_EQ(negative.take_u64(), 0U);
  EXPECT_FALSE(negative.checked());
}

TEST_F(SqliteTest, ErrorsNameFileAndStatement) {
  Database database = open();
  const auto done = database.execute("SELECT * FROM nothing");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, errc::database_failed);
  EXPECT_THAT(done.error().detail, HasSubstr(file().string()));
  EXPECT_THAT(done.error().detail, HasSubstr("SELECT * FROM nothing"));
  Statement broken(database, "INSERT INTO nothing VALUES (?1)");
  EXPECT_EQ(broken.text("x").run().error().code, errc::database_failed);
  EXPECT_EQ(Statement(database, "SELECT ?1").i64(1).i64(2).step().error().code,
            errc::database_failed)
      << "one parameter too many";
  EXPECT_EQ(database.integer("SELECT 1 WHERE 0").error().code, errc::database_failed);
}

TEST_F(SqliteTest, ATransactionThatIsNotCommittedLeavesNothing) {
  Database database = open();
  ASSERT_TRUE(database.execute("CREATE TABLE t (a INTEGER) STRICT"));
  {
    auto transaction = Transaction::begin(database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database.execute("INSERT INTO t VALUES (1)"));
  }
  EXPECT_EQ(database.integer("SELECT count(*) FROM t").value(), 0);
  {
    auto transaction = Transaction::begin(database);
    ASSERT_TRUE(database.execute("INSERT INTO t VALUES (1)"));
    ASSERT_TRUE(transaction->commit());
  }
  EXPECT_EQ(database.integer("SELECT count(*) FROM t").value(), 1);
}

TEST_F(SqliteTest, AFullDiskIsNamedAsSuch) {
  Database database = open();
  ASSERT_TRUE(database.execute("CREATE TABLE t (a BLOB) STRICT"));
  ASSERT_TRUE(database.integer("PRAGMA max_page_count = 10"));
  {
    auto transaction = Transaction::begin(database);
    ASSERT_TRUE(transaction);
    const auto full = database.execute("INSERT INTO t VALUES (zeroblob(1000000))");
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, errc::disk_full);
  }
  EXPECT_TRUE(database.execute("INSERT INTO t VALUES (zeroblob(10))")) << "it is still usable";
}

TEST_F(SqliteTest, AFileThatIsNoDatabaseIsCorruptData) {
  { std::ofstream(file()) << std::string(8192, 'x'); }
  const auto opened = Database::open(file());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::corrupt_data);
  EXPECT_THAT(opened.error().detail, HasSubstr(file().string()));
  const auto nowhere = Database::open(temp_.path() / "no" / "folder.db");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, errc::database_failed);
  EXPECT_THAT(nowhere.error().detail, HasSubstr("folder.db"));
}

// -- migrations --

using Migrations = LedgerTest;

TEST_F(Migrations, AreNumberedWithoutGaps) {
  std::int64_t expected = 1;
  for (const Migration& migration : ledger_migrations()) {
    EXPECT_EQ(migration.number, expected++);
    EXPECT_FALSE(migration.sql.empty());
  }
  EXPECT_GT(expected, 1);
}

TEST_F(Migrations, BringAnEmptyFileToTheNewestSchemaOnce) {
  auto database = Database::open(file());
  ASSERT_TRUE(database);
  EXPECT_EQ(database->integer("PRAGMA user_version").value(), ledger_migrations().back().number);
  EXPECT_TRUE(migrate(*database, ledger_migrations())) << "nothing is left to do";
}

TEST_F(Migrations, EveryTableIsStrict) {
  auto database = Database::open(file());
  EXPECT_EQ(database
                ->integer("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND "
                          "name NOT LIKE 'sqlite_%' AND sql NOT LIKE '%STRICT%'")
                .value(),
            0);
}

TEST_F(Migrations, VersionsOfAnOlderLedgerAreKept) {
  auto database = Database::open(temp_.path() / "old.db");
  ASSERT_TRUE(migrate(*database, ledger_migrations().first(1)));
  ASSERT_TRUE(database->execute(
      "INSERT INTO job VALUES ('digits', 1, '', '', zeroblob(32), zeroblob(32), 0, 0);"
      "INSERT INTO version VALUES ('digits', 0, zeroblob(32), 10, 1, 0)"));
  ASSERT_TRUE(migrate(*database, ledger_migrations()));
  EXPECT_EQ(database->integer("SELECT kept FROM version").value(), 1);
}

TEST_F(Migrations, ANewerSchemaIsRefused) {
  ledger_.reset();
  tamper("PRAGMA user_version = 99");
  const auto opened = open_sqlite_ledger(file());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::wrong_state);
  EXPECT_THAT(opened.error().detail, HasSubstr("newer"));
  EXPECT_THAT(opened.error().detail, HasSubstr("99"));
}

TEST_F(Migrations, AnotherProgramsDatabaseIsRefused) {
  const auto other = temp_.path() / "other.db";
  {
    auto database = Database::open(other);
    ASSERT_TRUE(database->execute("CREATE TABLE t (a INTEGER)"));
  }
  const auto opened = open_sqlite_ledger(other);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::wrong_state);
}

TEST_F(Migrations, AFailedStepLeavesTheSchemaBeforeIt) {
  const auto path = temp_.path() / "steps.db";
  auto database = Database::open(path);
  ASSERT_TRUE(database);
  const std::array steps{
      Migration{1, "0001_good.sql", "CREATE TABLE a (x INTEGER) STRICT"},
      Migration{2, "0002_bad.sql", "CREATE TABLE b (x INTEGER) STRICT; nonsense"}};
  const auto failed = migrate(*database, steps);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().detail, HasSubstr("0002_bad.sql"));
  EXPECT_EQ(database->integer("PRAGMA user_version").value(), 1);
  EXPECT_EQ(database->integer("SELECT count(*) FROM sqlite_schema").value(), 1);
  const std::array repaired{steps[0],
                            Migration{2, "0002_good.sql", "CREATE TABLE b (x INTEGER) STRICT"}};
  ASSERT_TRUE(migrate(*database, repaired));
  EXPECT_EQ(database->integer("PRAGMA user_version").value(), 2);
}

}  // namespace
}  // namespace chorus::server
