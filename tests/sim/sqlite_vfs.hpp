// SQLite's files on a Disk: the real SQLite meets every fault that the journals meet.
#pragma once

#include <cstdint>
#include <memory>

#include "common/base/disk.hpp"

namespace chorus::sim {

/// A file system of SQLite's, for one process: connections to a database are one at a time.
class SqliteVfs {
 public:
  /// The disk outlives it.
  SqliteVfs(Disk& disk, std::uint64_t seed);
  ~SqliteVfs();
  SqliteVfs(const SqliteVfs&) = delete;
  SqliteVfs& operator=(const SqliteVfs&) = delete;

  /// For Database::open.
  const char* name() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace chorus::sim
