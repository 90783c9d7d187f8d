// A disk that forgets. What was written is there for everybody who reads; what was not synced may
// be gone, in part or whole, after a power cut, and so may names whose folder was not synced.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/disk.hpp"
#include "common/base/rng.hpp"

namespace chorus::sim {

/// What a disk is asked to do that changes it, or makes it durable.
enum class DiskWork : std::uint8_t { write, truncate, sync, make, rename, remove, sync_folder };

/// Chances of failure of each operation.
struct DiskFaults {
  double read = 0.0;
  double write = 0.0;
  double sync = 0.0;  ///< what was written since the last one is then never on the disk
  bool full = false;  ///< nothing grows
  bool any() const noexcept { return read > 0.0 || write > 0.0 || sync > 0.0 || full; }
};

/// Kinds of syncs that do nothing but say that they did: a disk that lies, for tests of the tester.
struct LyingDisk {
  std::function<bool(const std::filesystem::path&)> ignores_sync;
  bool ignores_folder_sync = false;
};

/// One machine's disk. A process sees it through process(); when it dies, its view of the disk is
/// dead, too: nothing it still does has any effect.
class SimDisk {
 public:
  explicit SimDisk(std::uint64_t seed);
  ~SimDisk();
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  DiskFaults faults;
  LyingDisk lies;
  /// Told of every DiskWork: what, offset, bytes.
  std::function<void(DiskWork, std::uint64_t, std::uint64_t)> observer;

  /// The disk as a new process sees it. @pre the former process is dead
  std::shared_ptr<Disk> process();
  /// The process dies; what it has written stays.
  void kill();
  /// The same, and what was not synced stays, goes, or is torn.
  void power_cut();
  /// The process dies at its n-th DiskWork from now on (1: the next), before, in or after it.
  void die_at(std::uint64_t work, std::function<void()> died);
  bool is_alive() const noexcept;

  /// Operations of all processes so far.
  std::uint64_t operations() const noexcept;

 private:
  struct Inode;
  struct NameChange;
  struct State;
  class View;
  class Handle;

  std::unique_ptr<State> state_;
};

}  // namespace chorus::sim
