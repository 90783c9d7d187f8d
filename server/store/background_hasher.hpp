// SHA-256 on a thread of its own, so that a version is hashed while its next bytes are computed and
// its last ones written.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <thread>

#include "chorus/result.hpp"
#include "common/crypto/digest.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::server {

/// For one thread, in this order: block(), submit(), again and again, then finish().
class BackgroundHasher {
 public:
  static constexpr std::size_t kBlockBytes = 1U << 20U;

  /// @param bytes_expected  so few that one block holds them: no thread is started
  /// @errors busy: no memory for the blocks
  Result<void> start(std::uint64_t bytes_expected);
  ~BackgroundHasher();

  /// A block of kBlockBytes to fill; waits for one. It may be read until the next call.
  std::span<std::byte> block();
  /// The first `bytes` of block() are what comes next.
  void submit(std::size_t bytes);
  /// The digest of everything submitted.
  Sha256 finish();

 private:
  static constexpr std::size_t kBlocks = 4;

  void run();
  void stop();

  tensor::AlignedBuffer<std::byte> memory_;
  std::array<std::size_t, kBlocks> lengths_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t submitted_ = 0;
  std::uint64_t hashed_ = 0;
  bool complete_ = false;
  std::thread thread_;
  Sha256Hasher hasher_;  ///< of the thread, if there is one
};

}  // namespace chorus::server
