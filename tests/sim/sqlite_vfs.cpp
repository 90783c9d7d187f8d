#include "tests/sim/sqlite_vfs.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "common/base/rng.hpp"

namespace chorus::sim {

struct SqliteVfs::State {
  Disk* disk = nullptr;
  Rng rng{0};
  std::string name;
  sqlite3_vfs vfs{};
  std::uint64_t temporaries = 0;
  /// Shared memory of write-ahead logs, by database.
  std::map<std::string, std::vector<std::vector<std::byte>>> shared;
};

namespace {

/// What SQLite allocates and calls a file.
struct OpenFile {
  sqlite3_file base;
  std::unique_ptr<File>* file;
  std::vector<std::vector<std::byte>>* shared;
  std::string* remove_on_close;
  Disk* disk;
};

OpenFile& of(sqlite3_file* file) {
  return *reinterpret_cast<OpenFile*>(file);
}

int code_of(const Failure& why, int otherwise) {
  return why.code == errc::disk_full ? SQLITE_FULL : otherwise;
}

int close_file(sqlite3_file* file) {
  OpenFile& open = of(file);
  delete open.file;
  if (open.remove_on_close != nullptr) {
    static_cast<void>(open.disk->remove_if_there(*open.remove_on_close));
    delete open.remove_on_close;
  }
  return SQLITE_OK;
}

int read_file(sqlite3_file* file, void* into, int bytes, sqlite3_int64 offset) {
  File& from = **of(file).file;
  const std::span<std::byte> all(static_cast<std::byte*>(into), static_cast<std::size_t>(bytes));
  const auto size = from.size();
  if (!size) return SQLITE_IOERR_READ;
  const auto at = static_cast<std::uint64_t>(offset);
  const std::uint64_t there = *size > at ? std::min<std::uint64_t>(*size - at, all.size()) : 0;
  if (there > 0 && !from.read(at, all.first(there))) return SQLITE_IOERR_READ;
  if (there == all.size()) return SQLITE_OK;
  std::memset(all.data() + there, 0, all.size() - there);
  return SQLITE_IOERR_SHORT_READ;
}

int write_file(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 offset) {
  const std::span all(static_cast<const std::byte*>(data), static_cast<std::size_t>(bytes));
  const auto written = (*of(file).file)->write(static_cast<std::uint64_t>(offset), all);
  return written ? SQLITE_OK : code_of(written.error(), SQLITE_IOERR_WRITE);
}

int truncate_file(sqlite3_file* file, sqlite3_int64 bytes) {
  return (*of(file).file)->truncate(static_cast<std::uint64_t>(bytes)) ? SQLITE_OK
                                                                       : SQLITE_IOERR_TRUNCATE;
}

int sync_file_of(sqlite3_file* file, int /*flags*/) {
  return (*of(file).file)->sync() ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

int size_of_file(sqlite3_file* file, sqlite3_int64* bytes) {
  const auto size = (*of(file).file)->size();
  if (!size) return SQLITE_IOERR_FSTAT;
  *bytes = static_cast<sqlite3_int64>(*size);
  return SQLITE_OK;
}

// One process, one connection: nobody to lock out.
int lock_file(sqlite3_file* /*file*/, int /*level*/) {
  return SQLITE_OK;
}
int is_reserved(sqlite3_file* /*file*/, int* reserved) {
  *reserved = 0;
  return SQLITE_OK;
}
int control(sqlite3_file* /*file*/, int /*what*/, void* /*argument*/) {
  return SQLITE_NOTFOUND;
}
int sector_size(sqlite3_file* /*file*/) {
  return 512;
}
int characteristics(sqlite3_file* /*file*/) {
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

int map_shared(sqlite3_file* file, int region, int bytes, int extend, volatile void** at) {
  auto& regions = *of(file).shared;
  const auto index = static_cast<std::size_t>(region);
  *at = nullptr;
  if (index >= regions.size()) {
    if (extend == 0) return SQLITE_OK;
    regions.resize(index + 1);
  }
  regions[index].resize(static_cast<std::size_t>(bytes));
  *at = regions[index].data();
  return SQLITE_OK;
}
int lock_shared(sqlite3_file* /*file*/, int /*offset*/, int /*count*/, int /*flags*/) {
  return SQLITE_OK;
}
void barrier(sqlite3_file* /*file*/) {}
int unmap_shared(sqlite3_file* file, int remove) {
  if (remove != 0) of(file).shared->clear();
  return SQLITE_OK;
}

const sqlite3_io_methods kMethods = {2,
                                     close_file,
                                     read_file,
                                     write_file,
                                     truncate_file,
                                     sync_file_of,
                                     size_of_file,
                                     lock_file,
                                     lock_file,
                                     is_reserved,
                                     control,
                                     sector_size,
                                     characteristics,
                                     map_shared,
                                     lock_shared,
                                     barrier,
                                     unmap_shared,
                                     nullptr,
                                     nullptr};

}  // namespace

SqliteVfs::SqliteVfs(Disk& disk, std::uint64_t seed) : state_(std::make_unique<State>()) {
  static std::atomic<std::uint64_t> number{0};
  state_->disk = &disk;
  state_->rng = Rng(seed);
  state_->name = "chorus-sim-" + std::to_string(++number);
  sqlite3_vfs& vfs = state_->vfs;
  vfs.iVersion = 2;
  vfs.szOsFile = sizeof(OpenFile);
  vfs.mxPathname = 512;
  vfs.zName = state_->name.c_str();
  vfs.pAppData = state_.get();
  using Self = State;
  vfs.xOpen = [](sqlite3_vfs* of_vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    auto& self = *static_cast<Self*>(of_vfs->pAppData);
    const std::string path =
        name != nullptr ? name : "/temporary-" + std::to_string(++self.temporaries);
    file->pMethods = nullptr;
    const bool may_make = (flags & SQLITE_OPEN_CREATE) != 0;
    auto opened = self.disk->open(path, may_make ? FileUse::keep : FileUse::change);
    if (!opened) return code_of(opened.error(), SQLITE_CANTOPEN);
    auto* const open = new (file) OpenFile{};
    open->file = new std::unique_ptr<File>(std::move(*opened));
    open->shared = &self.shared[path];
    open->disk = self.disk;
    if ((flags & SQLITE_OPEN_DELETEONCLOSE) != 0) open->remove_on_close = new std::string(path);
    open->base.pMethods = &kMethods;
    if (out != nullptr) *out = flags;
    return SQLITE_OK;
  };
  vfs.xDelete = [](sqlite3_vfs* of_vfs, const char* name, int sync_folder) {
    Disk& on = *static_cast<Self*>(of_vfs->pAppData)->disk;
    const auto removed = on.remove(name);
    if (!removed) {
      return removed.error().code == errc::not_found ? SQLITE_IOERR_DELETE_NOENT
                                                     : SQLITE_IOERR_DELETE;
    }
    if (sync_folder == 0) return SQLITE_OK;
    return on.sync_folder(std::filesystem::path(name).parent_path()) ? SQLITE_OK
                                                                     : SQLITE_IOERR_DIR_FSYNC;
  };
  vfs.xAccess = [](sqlite3_vfs* of_vfs, const char* name, int /*flags*/, int* there) {
    const auto found = static_cast<Self*>(of_vfs->pAppData)->disk->exists(name);
    if (!found) return SQLITE_IOERR_ACCESS;
    *there = *found ? 1 : 0;
    return SQLITE_OK;
  };
  vfs.xFullPathname = [](sqlite3_vfs* /*of_vfs*/, const char* name, int bytes, char* into) {
    sqlite3_snprintf(bytes, into, "%s", name);
    return SQLITE_OK;
  };
  vfs.xRandomness = [](sqlite3_vfs* of_vfs, int bytes, char* into) {
    Rng& rng = static_cast<Self*>(of_vfs->pAppData)->rng;
    for (int i = 0; i < bytes; ++i) into[i] = static_cast<char>(rng.below(256));
    return bytes;
  };
  vfs.xSleep = [](sqlite3_vfs* /*of_vfs*/, int micros) { return micros; };
  vfs.xCurrentTime = [](sqlite3_vfs* /*of_vfs*/, double* days) {
    *days = 2'461'000.5;
    return SQLITE_OK;
  };
  vfs.xCurrentTimeInt64 = [](sqlite3_vfs* /*of_vfs*/, sqlite3_int64* ms) {
    *ms = 212'630'443'200'000;
    return SQLITE_OK;
  };
  vfs.xGetLastError = [](sqlite3_vfs* /*of_vfs*/, int /*bytes*/, char* /*into*/) { return 0; };
  sqlite3_vfs_register(&vfs, 0);
}

SqliteVfs::~SqliteVfs() {
  sqlite3_vfs_unregister(&state_->vfs);
}

const char* SqliteVfs::name() const noexcept {
  return state_->name.c_str();
}

}  // namespace chorus::sim
