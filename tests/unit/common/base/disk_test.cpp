// What both disks must do: this machine's, and the simulation's, which the stores are tested on.
#include "common/base/disk.hpp"

#include <memory>

#include <gtest/gtest.h>

#include "tests/sim/sim_disk.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

class DiskTest : public ::testing::TestWithParam<bool> {
 protected:
  DiskTest() {
    if (GetParam()) {
      process_ = simulated_.process();
      disk_ = process_.get();
      folder_ = "/folder";
    }
    EXPECT_TRUE(disk_->make_folder(folder_));
  }

  std::unique_ptr<File> made(const std::string& name, std::string_view text) {
    auto file = disk_->open(folder_ / name, FileUse::replace);
    EXPECT_TRUE(file);
    EXPECT_TRUE((*file)->write(0, bytes_of(text)));
    return std::move(*file);
  }
  std::string read(const std::string& name) {
    const auto bytes = disk_->read_whole(folder_ / name, 1000);
    if (!bytes) return std::string(to_string(bytes.error().code));
    return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
  }

  test::TempFolder temp_;
  sim::SimDisk simulated_{1};
  std::shared_ptr<Disk> process_;
  Disk* disk_ = &local_disk();
  std::filesystem::path folder_ = temp_.path() / "folder";
};

TEST_P(DiskTest, FilesAreWhatWasWritten) {
  const auto file = made("a", "hello");
  EXPECT_TRUE(file->write_both(5, bytes_of(", "), bytes_of("world")));
  EXPECT_EQ(read("a"), "hello, world");
  EXPECT_EQ(file->size().value(), 12U);
  std::vector<std::byte> part(5);
  ASSERT_TRUE(file->read(7, part));
  EXPECT_EQ(part, bytes_of("world"));
  EXPECT_EQ(file->read(8, part).error().code, errc::corrupt_data);
  ASSERT_TRUE(file->truncate(5));
  ASSERT_TRUE(file->write(6, bytes_of("!")));
  EXPECT_EQ(read("a"), std::string("hello\0!", 7));
  ASSERT_TRUE(file->reserve(0, 4096));
  EXPECT_EQ(file->size().value(), 7U);
  EXPECT_TRUE(file->sync());
}

TEST_P(DiskTest, UsesDoWhatTheySay) {
  EXPECT_EQ(disk_->open(folder_ / "a", FileUse::read).error().code, errc::not_found);
  EXPECT_EQ(disk_->open(folder_ / "a", FileUse::change).error().code, errc::not_found);
  EXPECT_EQ(disk_->open(folder_ / "no" / "a", FileUse::keep).error().code, errc::not_found);
  ASSERT_TRUE(disk_->open(folder_ / "a", FileUse::keep));
  made("a", "text");
  EXPECT_EQ((*disk_->open(folder_ / "a", FileUse::keep))->size().value(), 4U);
  EXPECT_EQ((*disk_->open(folder_ / "a", FileUse::change))->size().value(), 4U);
  EXPECT_EQ((*disk_->open(folder_ / "a", FileUse::replace))->size().value(), 0U);
}

TEST_P(DiskTest, NamesMoveAndGo) {
  made("a", "1");
  made("b", "2");
  ASSERT_TRUE(disk_->rename(folder_ / "a", folder_ / "b"));
  EXPECT_EQ(read("b"), "1");
  EXPECT_EQ(read("a"), "not_found");
  EXPECT_EQ(disk_->rename(folder_ / "a", folder_ / "c").error().code, errc::not_found);
  ASSERT_TRUE(disk_->make_folder(folder_ / "deep" / "er"));
  ASSERT_TRUE(disk_->make_folder(folder_ / "deep" / "er")) << "one that is there is fine";
  made("deep/er/d", "3");
  ASSERT_TRUE(disk_->rename(folder_ / "deep", folder_ / "moved"));
  EXPECT_EQ(read("moved/er/d"), "3");
  const std::vector<std::filesystem::path> there{folder_ / "b", folder_ / "moved"};
  EXPECT_EQ(disk_->list(folder_).value(), there);
  ASSERT_TRUE(disk_->remove_folder(folder_ / "moved"));
  ASSERT_TRUE(disk_->remove_folder(folder_ / "moved")) << "one that is not there is fine";
  EXPECT_FALSE(disk_->exists(folder_ / "moved").value());
  ASSERT_TRUE(disk_->remove(folder_ / "b"));
  EXPECT_EQ(disk_->remove(folder_ / "b").error().code, errc::not_found);
  EXPECT_TRUE(disk_->remove_if_there(folder_ / "b"));
  EXPECT_EQ(disk_->list(folder_ / "no").error().code, errc::not_found);
  EXPECT_TRUE(disk_->sync_folder(folder_));
}

TEST_P(DiskTest, AFileIsReplacedAsOneStep) {
  ASSERT_TRUE(disk_->write_durably(folder_ / "a", bytes_of("old")));
  ASSERT_TRUE(disk_->write_durably(folder_ / "a", bytes_of("new")));
  EXPECT_EQ(read("a"), "new");
  EXPECT_EQ(disk_->list(folder_).value().size(), 1U);
  EXPECT_EQ(disk_->read_whole(folder_ / "a", 2).error().code, errc::malformed_file);
}

INSTANTIATE_TEST_SUITE_P(Disks, DiskTest, ::testing::Values(false, true), [](const auto& instance) {
  return instance.param ? "simulated" : "local";
});

// ---- of the simulation's alone ----

TEST(SimDisk, APowerCutTakesWhatWasNotSynced) {
  bool lost_data = false;
  bool lost_name = false;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    sim::SimDisk disk(seed);
    {
      const auto process = disk.process();
      ASSERT_TRUE(process->make_folder("/f"));
      ASSERT_TRUE(process->write_durably("/f/kept", bytes_of("kept")));
      const auto file = process->open("/f/named", FileUse::replace).value();
      ASSERT_TRUE(process->sync_folder("/f"));
      ASSERT_TRUE(file->write(0, bytes_of("data")));
      ASSERT_TRUE(process->open("/f/unnamed", FileUse::replace));
    }
    disk.power_cut();
    const auto process = disk.process();
    ASSERT_EQ(process->read_whole("/f/kept", 100).value(), bytes_of("kept"));
    const auto named = process->read_whole("/f/named", 100);
    ASSERT_TRUE(named);
    lost_data = lost_data || named->size() < 4;
    lost_name = lost_name || !process->exists("/f/unnamed").value();
  }
  EXPECT_TRUE(lost_data && lost_name);
}

TEST(SimDisk, ADeadProcessChangesNothing) {
  sim::SimDisk disk(3);
  const auto process = disk.process();
  ASSERT_TRUE(process->write_durably("/a", bytes_of("text")));
  const auto file = process->open("/a", FileUse::change).value();
  disk.kill();
  EXPECT_FALSE(file->write(0, bytes_of("next")));
  EXPECT_FALSE(process->remove("/a"));
  const auto next = disk.process();
  EXPECT_EQ(next->read_whole("/a", 100).value(), bytes_of("text"));
  EXPECT_FALSE(file->write(0, bytes_of("next"))) << "nor when another one runs";
}

}  // namespace
}  // namespace chorus
