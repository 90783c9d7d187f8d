#include "common/base/files.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_folder.hpp"

namespace chorus {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class Files : public testing::Test {
 protected:
  fs::path at(std::string_view name) const { return folder_.path() / name; }
  fs::path make(std::string_view name, std::string_view text) const {
    std::ofstream(at(name), std::ios::binary) << text;
    return at(name);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      all.push_back(entry.path().filename().string());
    }
    return all;
  }

  test::TempFolder folder_;
};

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) != -1;
}

TEST_F(Files, UniqueFdClosesWhatItOwnsOnce) {
  const auto path = make("a", "x");
  auto opened = open_file(path, O_RDONLY);
  ASSERT_TRUE(opened);
  const int number = opened->get();
  {
    UniqueFd first = std::move(*opened);
    UniqueFd second;
    second = std::move(first);
    EXPECT_FALSE(first.is_open());  // NOLINT(bugprone-use-after-move): that is the question
    EXPECT_EQ(second.get(), number);
    EXPECT_TRUE(is_open(number));
    UniqueFd& same = second;
    second = std::move(same);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
  EXPECT_EQ(UniqueFd().release(), -1);
}

TEST_F(Files, UniqueFdClosesTheOldOneOnAssignment) {
  auto one = open_file(make("a", ""), O_RDONLY);
  auto two = open_file(make("b", ""), O_RDONLY);
  ASSERT_TRUE(one && two);
  const int old = one->get();
  *one = std::move(*two);
  EXPECT_FALSE(is_open(old));
  const int released = one->release();
  EXPECT_TRUE(is_open(released));
  ::close(released);
}

TEST_F(Files, OpenFileSetsCloseOnExec) {
  const auto fd = open_file(make("a", ""), O_RDONLY);
  ASSERT_TRUE(fd);
  EXPECT_NE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(Files, ErrnoBecomesTheErrorItMeans) {
  const auto code = [](int number) { return errno_failure(number, "writing", "/data/x").code; };
  EXPECT_EQ(code(ENOSPC), errc::disk_full);
  EXPECT_EQ(code(EDQUOT), errc::disk_full);
  EXPECT_EQ(code(ENOENT), errc::not_found);
  EXPECT_EQ(code(EEXIST), errc::already_exists);
  for (const int number : {EACCES, EIO, EROFS, EMFILE, EISDIR}) {
    EXPECT_EQ(code(number), errc::io_failed) << number;
  }
  EXPECT_EQ(errno_failure(ENOSPC, "writing", "/data/x").detail,
            "writing '/data/x': No space left on device");
}

TEST_F(Files, OpenFileSaysWhichFileIsMissing) {
  const auto fd = open_file(at("none"), O_RDONLY);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().code, errc::not_found);
  EXPECT_THAT(fd.error().detail, HasSubstr(at("none").string()));
  const auto taken = open_file(make("a", ""), O_WRONLY | O_CREAT | O_EXCL);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, errc::already_exists);
}

TEST_F(Files, ReadsAndWritesAtOffsets) {
  const auto fd = open_file(at("a"), O_RDWR | O_CREAT);
  ASSERT_TRUE(fd);
  ASSERT_TRUE(write_at(fd->get(), 4, bytes("efgh"), at("a")));
  ASSERT_TRUE(write_at(fd->get(), 0, bytes("abcd"), at("a")));
  ASSERT_TRUE(sync_file(fd->get(), at("a")));
  std::string text(5, '?');
  ASSERT_TRUE(read_at(fd->get(), 2, std::as_writable_bytes(std::span(text)), at("a")));
  EXPECT_EQ(text, "cdefg");
  EXPECT_TRUE(read_at(fd->get(), 99, {}, at("a")));
}

TEST_F(Files, ReadAtRefusesAFileThatEndsEarly) {
  const auto path = make("short", "12345");
  const auto fd = open_file(path, O_RDONLY);
  ASSERT_TRUE(fd);
  std::string text(6, '?');
  const auto short_read = read_at(fd->get(), 0, std::as_writable_bytes(std::span(text)), path);
  ASSERT_FALSE(short_read);
  EXPECT_EQ(short_read.error().code, errc::corrupt_data);
  EXPECT_THAT(short_read.error().detail, HasSubstr("ends 1 bytes early (at offset 5)"));
  const auto beyond = read_at(fd->get(), 50, std::as_writable_bytes(std::span(text)), path);
  EXPECT_EQ(beyond.error().code, errc::corrupt_data);
}

TEST_F(Files, ReportsFailuresOfTheDescriptor) {
  std::string text(1, '?');
  EXPECT_EQ(read_at(-1, 0, std::as_writable_bytes(std::span(text)), "x").error().code,
            errc::io_failed);
  EXPECT_EQ(write_at(-1, 0, bytes("x"), "x").error().code, errc::io_failed);
  EXPECT_EQ(sync_file(-1, "x").error().code, errc::io_failed);
  EXPECT_EQ(sync_folder(at("none")).error().code, errc::not_found);
  EXPECT_EQ(sync_folder(make("file", "")).error().code, errc::io_failed);
}

TEST_F(Files, AFullDiskIsItsOwnError) {
  const auto full = open_file("/dev/full", O_WRONLY);
  if (!full) GTEST_SKIP() << full.error().to_string();
  const auto written = write_at(full->get(), 0, bytes("x"), "/dev/full");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, errc::disk_full);
}

TEST_F(Files, ReadTextTakesAsMuchAsItsLimitAndNotAByteMore) {
  EXPECT_EQ(*read_text(make("eight", "12345678"), 8), "12345678");
  EXPECT_EQ(*read_text(make("none", ""), 0), "");
  const auto nine = read_text(make("nine", "123456789"), 8);
  ASSERT_FALSE(nine);
  EXPECT_EQ(nine.error().code, errc::malformed_file);
  EXPECT_THAT(nine.error().detail, HasSubstr("has 9 bytes; at most 8 are expected"));
}

TEST_F(Files, ReadTextRefusesWhatIsNoFile) {
  EXPECT_EQ(read_text(at("missing"), 8).error().code, errc::not_found);
  EXPECT_EQ(read_text(folder_.path(), 8).error().code, errc::malformed_file);
  EXPECT_EQ(read_text("/dev/null", 8).error().code, errc::malformed_file);
}

// Opening a pipe that nobody writes to would wait for ever.
TEST_F(Files, ReadTextDoesNotWaitForAPipe) {
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  const auto text = read_text(at("pipe"), 8);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, errc::malformed_file);
}

TEST_F(Files, WriteDurablyReplacesTheWholeFile) {
  ASSERT_TRUE(write_durably(at("a"), "the first, longer text"));
  ASSERT_TRUE(write_durably(at("a"), "second"));
  EXPECT_EQ(*read_text(at("a"), 100), "second");
  ASSERT_TRUE(write_durably(at("a"), std::string_view()));
  EXPECT_EQ(*read_text(at("a"), 100), "");
  EXPECT_THAT(names(), testing::ElementsAre("a"));
}

TEST_F(Files, WriteDurablySetsTheMode) {
  ASSERT_TRUE(write_durably(at("key"), "secret", 0600));
  struct stat info {};
  ASSERT_EQ(::stat(at("key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(Files, WriteDurablySurvivesALeftOverTemporaryFile) {
  make("a.tmp", "half a write, and longer than the new text");
  ASSERT_TRUE(write_durably(at("a"), "new"));
  EXPECT_EQ(*read_text(at("a"), 100), "new");
  EXPECT_THAT(names(), testing::ElementsAre("a"));
}

// A secret must not inherit the wider mode of what a crash left behind.
TEST_F(Files, WriteDurablySetsTheModeOverALeftOverTemporaryFile) {
  make("key.tmp", "");
  ASSERT_EQ(::chmod(at("key.tmp").c_str(), 0644), 0);
  ASSERT_TRUE(write_durably(at("key"), "secret", 0600));
  struct stat info {};
  ASSERT_EQ(::stat(at("key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(Files, WriteDurablyLeavesTheOldFileWhenItFails) {
  EXPECT_EQ(write_durably(at("none/a"), "x").error().code, errc::not_found);
  fs::create_directory(at("folder"));
  const auto onto_folder = write_durably(at("folder"), "x");
  ASSERT_FALSE(onto_folder);
  EXPECT_EQ(onto_folder.error().code, errc::io_failed);
  EXPECT_TRUE(fs::is_directory(at("folder")));
  EXPECT_THAT(names(), testing::ElementsAre("folder"));
}

TEST_F(Files, MakeFoldersMakesEveryParent) {
  ASSERT_TRUE(make_folders(at("a/b/c"), 0700));
  EXPECT_TRUE(fs::is_directory(at("a/b/c")));
  struct stat info {};
  ASSERT_EQ(::stat(at("a/b/c").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  EXPECT_TRUE(make_folders(at("a/b/c")));
  EXPECT_TRUE(make_folders(at("a/b/d/")));
  EXPECT_TRUE(fs::is_directory(at("a/b/d")));
  EXPECT_TRUE(make_folders(""));
}

TEST_F(Files, MakeFoldersRefusesAFileInTheWay) {
  make("file", "x");
  const auto last = make_folders(at("file"));
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, errc::already_exists);
  EXPECT_THAT(last.error().detail, HasSubstr(at("file").string()));
  EXPECT_FALSE(make_folders(at("file/below")));
  EXPECT_FALSE(make_folders(fs::path(std::string(5000, 'x'))));
}

}  // namespace
}  // namespace chorus
