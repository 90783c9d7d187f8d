// What a process left in the page cache only, and another one has acted upon, must not go with the
// next power cut. Each case was found by chorus_sim.
#include <gtest/gtest.h>

#include "server/store/ledger.hpp"
#include "tests/sim/sim_disk.hpp"
#include "tests/sim/sqlite_vfs.hpp"
#include "tests/unit/server/store/journal_fixture.hpp"

namespace chorus::server {
namespace {

// A disk may lose any part of what was not synced: many of them, so that one loses what matters.
constexpr std::uint64_t kDisks = 40;

class Journal {
 public:
  explicit Journal(sim::SimDisk& disk) : disk_(disk.process()) {
    JournalOptions options;
    options.name = "job/1";
    options.disk = disk_.get();
    auto opened = RoundJournal::open("/journal/job/1", options, recovered);
    EXPECT_TRUE(opened) << opened.error().to_string();
    if (opened) journal = std::move(*opened);
  }
  void store(const std::string& client, const Body& body) {
    ASSERT_TRUE(journal->begin(meta_of(client, body)));
    ASSERT_TRUE(journal->append(ClientId{client}, 0, body));
    ASSERT_TRUE(journal->commit(std::vector{ClientId{client}}));
  }

 private:
  std::shared_ptr<Disk> disk_;

 public:
  RoundJournal::Recovered recovered;
  std::unique_ptr<RoundJournal> journal;
};

TEST(PowerCut, ASegmentWhoseNameAFormerProcessDidNotSyncIsThere) {
  for (std::uint64_t seed = 0; seed < kDisks; ++seed) {
    sim::SimDisk disk(seed);
    disk.lies.ignores_folder_sync = true;  // it dies before it comes to that
    Journal(disk).store("a", body_of(300, 1));
    disk.lies.ignores_folder_sync = false;
    disk.kill();
    Journal(disk).store("b", body_of(300, 2));
    disk.power_cut();
    const Journal after(disk);
    ASSERT_EQ(after.recovered.committed.size(), 2U) << seed;
  }
}

TEST(PowerCut, WhatWasCommittedStaysWhateverElseIsLost) {
  for (std::uint64_t seed = 0; seed < kDisks; ++seed) {
    sim::SimDisk disk(seed);
    Journal journal(disk);
    journal.store("a", body_of(300, 1));
    ASSERT_TRUE(journal.journal->begin(meta_of("b", body_of(9000, 2))));
    ASSERT_TRUE(journal.journal->append(ClientId{"b"}, 0, body_of(5000, 3)));
    disk.power_cut();
    const Journal after(disk);
    ASSERT_EQ(after.recovered.committed.size(), 1U) << seed;
    ASSERT_EQ(after.recovered.committed[0].client.value, "a");
  }
}

TEST(PowerCut, ACommitThatAFormerProcessDidNotSyncIsThere) {
  for (std::uint64_t seed = 0; seed < kDisks; ++seed) {
    sim::SimDisk disk(seed);
    const auto with_ledger = [&disk](auto use) {
      const auto process = disk.process();
      const sim::SqliteVfs vfs(*process, 7);
      const auto ledger = open_sqlite_ledger("/ledger.sqlite", *process, vfs.name());
      ASSERT_TRUE(ledger) << ledger.error().to_string();
      use(**ledger);
      disk.kill();  // before it is closed, which would write the log into the database
    };
    const TokenRow token{"secret", "", 1, TimePoint{}};
    with_ledger([](Ledger& /*ledger*/) {});
    disk.lies.ignores_sync = [](const auto& path) { return path.string().ends_with("-wal"); };
    with_ledger([&token](Ledger& ledger) { ASSERT_TRUE(ledger.add_token(token)); });
    disk.lies.ignores_sync = nullptr;
    with_ledger([&disk](Ledger& ledger) {
      ASSERT_TRUE(ledger.token("secret"));  // it is seen, and acted upon
      disk.power_cut();
    });
    with_ledger([seed](Ledger& ledger) { ASSERT_TRUE(ledger.token("secret")) << seed; });
  }
}

}  // namespace
}  // namespace chorus::server
