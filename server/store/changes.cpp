#include "server/store/changes.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"

namespace chorus::server {
namespace {

constexpr std::string_view kChangeSuffix = ".change";
constexpr std::string_view kRestSuffix = ".rest";
constexpr std::string_view kSentSuffix = ".sent";
constexpr std::string_view kUnfinished = ".writing";
constexpr std::size_t kReadFloats = 1U << 18U;

Failure damaged(const std::filesystem::path& path, std::string_view what) {
  return fail(errc::corrupt_data,
              fmt::format("'{}' is damaged: {}; restore it from a copy", path.string(), what));
}

/// A file that gets its name when it is whole and on the disk.
class PendingFile {
 public:
  static Result<PendingFile> create(Disk& disk, std::filesystem::path path) {
    std::filesystem::path temporary = path;
    temporary += kUnfinished;
    CHORUS_TRY(auto file, disk.open(temporary, FileUse::replace));
    return PendingFile(disk, std::move(path), std::move(file));
  }
  PendingFile(PendingFile&&) = default;
  PendingFile& operator=(PendingFile&&) = delete;
  ~PendingFile() {
    if (file_ != nullptr) static_cast<void>(disk_->remove(file_->path()));
  }

  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) {
    return file_->write(offset, data);
  }
  Result<void> finish() {
    CHORUS_OK(file_->sync());
    CHORUS_OK(disk_->rename(file_->path(), path_));
    file_.reset();
    return {};
  }

 private:
  PendingFile(Disk& disk, std::filesystem::path path, std::unique_ptr<File> file)
      : disk_(&disk), path_(std::move(path)), file_(std::move(file)) {}

  Disk* disk_;
  std::filesystem::path path_;
  std::unique_ptr<File> file_;
};

/// Numbers with their digest, in a file of their own.
class NumbersFile {
 public:
  explicit NumbersFile(PendingFile file) : file_(std::move(file)) {}

  Result<void> append(std::span<const float> numbers) {
    const auto bytes = std::as_bytes(numbers);
    CHORUS_OK(file_.write(end_, bytes));
    end_ += bytes.size();
    hasher_.update(bytes);
    return {};
  }
  Result<BodyDigest> finish() {
    CHORUS_OK(file_.finish());
    return hasher_.digest();
  }

 private:
  PendingFile file_;
  std::uint64_t end_ = 0;
  BodyHasher hasher_;
};

class FileSentWriter final : public SentWriter {
 public:
  FileSentWriter(Disk& disk, std::filesystem::path folder, PendingFile file)
      : disk_(disk), folder_(std::move(folder)), numbers_(std::move(file)) {}

  Result<void> append(std::span<const float> mean) override { return numbers_.append(mean); }
  Result<BodyDigest> commit() override {
    CHORUS_TRY(const BodyDigest digest, numbers_.finish());
    CHORUS_OK(disk_.sync_folder(folder_));
    return digest;
  }

 private:
  Disk& disk_;
  std::filesystem::path folder_;
  NumbersFile numbers_;
};

class FileChangeWriter final : public ChangeWriter {
 public:
  FileChangeWriter(Disk& disk,
                   std::filesystem::path folder,
                   PendingFile change,
                   PendingFile rest,
                   std::uint64_t table_bytes)
      : disk_(disk),
        folder_(std::move(folder)),
        change_(std::move(change)),
        rest_(std::move(rest)),
        table_bytes_(table_bytes),
        change_end_(table_bytes) {}

  Result<void> append_payload(std::span<const std::byte> payload) override {
    CHORUS_OK(change_.write(change_end_, payload));
    change_end_ += payload.size();
    return {};
  }

  Result<void> append_rest(std::span<const float> rest) override { return rest_.append(rest); }

  Result<ChangeInfo> commit(std::span<const std::byte> table) override {
    if (table.size() != table_bytes_) {
      return fail(
          errc::invalid_argument,
          fmt::format("a table of {} bytes where {} were left for it", table.size(), table_bytes_));
    }
    CHORUS_OK(change_.write(0, table));
    CHORUS_OK(change_.finish());
    CHORUS_TRY(const BodyDigest rest, rest_.finish());
    CHORUS_OK(disk_.sync_folder(folder_));
    return ChangeInfo{change_end_, rest};
  }

 private:
  Disk& disk_;
  std::filesystem::path folder_;
  PendingFile change_;
  NumbersFile rest_;
  std::uint64_t table_bytes_;
  std::uint64_t change_end_;
};

class FileChangeReader final : public ChangeReader {
 public:
  FileChangeReader(std::unique_ptr<File> file, std::uint64_t bytes)
      : file_(std::move(file)), bytes_(bytes) {}

  std::uint64_t bytes() const override { return bytes_; }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    return file_->read(offset, into);
  }

 private:
  std::unique_ptr<File> file_;
  std::uint64_t bytes_;
};

class FileRestReader final : public RestReader {
 public:
  FileRestReader(std::unique_ptr<File> file, std::uint64_t parameters)
      : file_(std::move(file)), parameters_(parameters) {}

  Result<void> read(std::uint64_t first, std::span<float> into) const override {
    return file_->read(first * sizeof(float), std::as_writable_bytes(into));
  }

  Result<void> verify(const BodyDigest& expected) const override {
    std::vector<float> part(std::min<std::uint64_t>(kReadFloats, parameters_));
    BodyHasher hasher;
    for (std::uint64_t at = 0; at < parameters_;) {
      const auto now =
          std::span(part).first(std::min<std::uint64_t>(part.size(), parameters_ - at));
      CHORUS_OK(read(at, now));
      hasher.update(std::as_bytes(now));
      at += now.size();
    }
    const BodyDigest found = hasher.digest();
    if (found == expected) return {};
    return damaged(file_->path(), "its XXH3-128 is " + hex(found));
  }

 private:
  std::unique_ptr<File> file_;
  std::uint64_t parameters_;
};

/// The round that a file of this store belongs to.
std::optional<std::uint64_t> round_of(const std::string& stem) {
  std::uint64_t round = 0;
  const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), round);
  if (error != std::errc() || end != stem.data() + stem.size()) return std::nullopt;
  return round;
}

class FolderChangeStore final : public ChangeStore {
 public:
  FolderChangeStore(std::filesystem::path folder, Disk& disk)
      : folder_(std::move(folder)), disk_(disk) {}

  Result<std::unique_ptr<ChangeWriter>> begin(const JobId& job,
                                              RoundId round,
                                              std::uint64_t table_bytes) override {
    const auto folder = folder_ / job.value;
    CHORUS_OK(disk_.make_folder(folder));
    CHORUS_TRY(auto change, PendingFile::create(disk_, path_of(job, round, kChangeSuffix)));
    CHORUS_TRY(auto rest, PendingFile::create(disk_, path_of(job, round, kRestSuffix)));
    return std::unique_ptr<ChangeWriter>(std::make_unique<FileChangeWriter>(
        disk_, folder, std::move(change), std::move(rest), table_bytes));
  }

  Result<std::shared_ptr<const ChangeReader>> open_change(const JobId& job,
                                                          RoundId round,
                                                          const ChangeInfo& info) const override {
    const auto path = path_of(job, round, kChangeSuffix);
    CHORUS_TRY(auto file, open_expecting(path, info.bytes));
    return std::shared_ptr<const ChangeReader>(
        std::make_shared<FileChangeReader>(std::move(file), info.bytes));
  }

  Result<std::shared_ptr<const RestReader>> open_rest(const JobId& job,
                                                      RoundId round,
                                                      std::uint64_t parameters) const override {
    return open_numbers(path_of(job, round, kRestSuffix), parameters);
  }

  Result<std::unique_ptr<SentWriter>> begin_sent(const JobId& job, RoundId round) override {
    const auto folder = folder_ / job.value;
    CHORUS_OK(disk_.make_folder(folder));
    CHORUS_TRY(auto file, PendingFile::create(disk_, path_of(job, round, kSentSuffix)));
    return std::unique_ptr<SentWriter>(
        std::make_unique<FileSentWriter>(disk_, folder, std::move(file)));
  }

  Result<std::shared_ptr<const RestReader>> open_sent(const JobId& job,
                                                      RoundId round,
                                                      std::uint64_t parameters) const override {
    return open_numbers(path_of(job, round, kSentSuffix), parameters);
  }

  Result<void> prune(const JobId& job, const Oldest& kept) override {
    const auto folder = folder_ / job.value;
    CHORUS_TRY(const bool there, disk_.exists(folder));
    if (!there) return {};  // no round has left anything yet
    CHORUS_TRY(const auto paths, disk_.list(folder));
    for (const auto& path : paths) {
      const auto round = round_of(path.stem().string());
      const auto before = [&](std::string_view suffix, RoundId oldest) {
        return path.extension() == suffix && round && *round < oldest.value;
      };
      const bool old = before(kChangeSuffix, kept.change) || before(kRestSuffix, kept.rest) ||
                       before(kSentSuffix, kept.sent);
      if (old) CHORUS_OK(disk_.remove(path));
    }
    return {};
  }

  Result<void> remove_unfinished() const {
    CHORUS_TRY(const auto jobs, disk_.list(folder_));
    for (const auto& job : jobs) {
      CHORUS_TRY(const auto paths, disk_.list(job));
      for (const auto& path : paths) {
        if (path.extension() == kUnfinished) CHORUS_OK(disk_.remove(path));
      }
    }
    return {};
  }

 private:
  Result<std::unique_ptr<File>> open_expecting(const std::filesystem::path& path,
                                               std::uint64_t bytes) const {
    CHORUS_TRY(auto file, disk_.open(path, FileUse::read));
    CHORUS_TRY(const std::uint64_t found, file->size());
    if (found != bytes) {
      return damaged(path, fmt::format("it has {} bytes; expected {}", found, bytes));
    }
    return file;
  }

  Result<std::shared_ptr<const RestReader>> open_numbers(const std::filesystem::path& path,
                                                         std::uint64_t parameters) const {
    CHORUS_TRY(auto file, open_expecting(path, parameters * sizeof(float)));
    return std::shared_ptr<const RestReader>(
        std::make_shared<FileRestReader>(std::move(file), parameters));
  }

  std::filesystem::path path_of(const JobId& job, RoundId round, std::string_view suffix) const {
    return folder_ / job.value / (std::to_string(round.value) + std::string(suffix));
  }

  std::filesystem::path folder_;
  Disk& disk_;
};

}  // namespace

Result<std::unique_ptr<ChangeStore>> ChangeStore::open(const std::filesystem::path& folder,
                                                       Disk& disk) {
  CHORUS_OK(disk.make_folder(folder));
  auto store = std::make_unique<FolderChangeStore>(folder, disk);
  CHORUS_OK(store->remove_unfinished());
  return std::unique_ptr<ChangeStore>(std::move(store));
}

}  // namespace chorus::server
