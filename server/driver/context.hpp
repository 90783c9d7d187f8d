// What every part of the daemon that performs actions needs: where work runs, and the stores.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "common/base/disk.hpp"
#include "common/base/types.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "server/store/changes.hpp"
#include "server/store/ledger.hpp"
#include "server/store/versions.hpp"

namespace chorus::server {

class AuditLog;
class SpareSegments;

/// Bytes handed out for bodies in flight, never more than the budget. Thread-safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::uint64_t bytes) : budget_(bytes) {}

  /// Owns `bytes` of the budget until destroyed.
  class Grant {
   public:
    Grant() = default;
    Grant(MemoryBudget* owner, std::uint64_t bytes) : owner_(owner), bytes_(bytes) {}
    Grant(Grant&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), bytes_(other.bytes_) {}
    Grant& operator=(Grant&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Grant() {
      if (owner_ != nullptr) owner_->granted_.fetch_sub(bytes_);
    }
    explicit operator bool() const noexcept { return owner_ != nullptr; }

   private:
    MemoryBudget* owner_ = nullptr;
    std::uint64_t bytes_ = 0;
  };

  /// An empty grant when the budget is used up.
  Grant take(std::uint64_t bytes) {
    if (granted_.fetch_add(bytes) + bytes <= budget_) return Grant(this, bytes);
    granted_.fetch_sub(bytes);
    return {};
  }
  std::uint64_t granted() const noexcept { return granted_.load(); }
  std::uint64_t budget() const noexcept { return budget_; }

 private:
  const std::uint64_t budget_;
  std::atomic<std::uint64_t> granted_{0};
};

/// Built by main, outlives everything that refers to it.
/// Parameters that came with a job, and the memory they take.
struct InitialParameters {
  MemoryBudget::Grant grant;
  tensor::AlignedBuffer<float> values;
};

struct Context {
  boost::asio::any_io_executor control;  ///< one thread: rounds, devices, administrators
  boost::asio::any_io_executor store;    ///< one thread: ledger and journals
  boost::asio::any_io_executor compute;  ///< a pool: folding, finalising
  unsigned compute_threads = 1;
  Ledger* ledger = nullptr;                 ///< on `store` only
  VersionStore* versions = nullptr;         ///< any thread
  ChangeStore* changes = nullptr;           ///< any thread, a job at a time
  AuditLog* audit = nullptr;                ///< any thread
  MemoryBudget* memory = nullptr;           ///< any thread
  SpareSegments* spare_segments = nullptr;  ///< on `store` only
  Disk* disk = &local_disk();               ///< of the journals
  std::filesystem::path journal_folder;
  std::uint64_t journal_segment_bytes = 256ULL << 20U;
  std::uint64_t checkpoint_after_bytes = 4ULL << 30U;
  bool durable = true;             ///< acknowledge after fsync, else after write
  std::function<TimePoint()> now;  ///< never steps back; any thread
};

}  // namespace chorus::server
