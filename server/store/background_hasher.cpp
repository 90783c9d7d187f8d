#include "server/store/background_hasher.hpp"

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::server {

Result<void> BackgroundHasher::start(std::uint64_t bytes_expected) {
  const bool alone = bytes_expected > kBlockBytes;
  CHORUS_TRY(memory_,
             tensor::AlignedBuffer<std::byte>::create((alone ? kBlocks : 1) * kBlockBytes));
  if (alone) thread_ = std::thread([this] { run(); });
  return {};
}

BackgroundHasher::~BackgroundHasher() {
  stop();
}

std::span<std::byte> BackgroundHasher::block() {
  if (!thread_.joinable()) return memory_.span();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return submitted_ - hashed_ < kBlocks; });
  return memory_.span().subspan((submitted_ % kBlocks) * kBlockBytes, kBlockBytes);
}

void BackgroundHasher::submit(std::size_t bytes) {
  CHORUS_ASSERT(bytes <= kBlockBytes);
  if (!thread_.joinable()) {
    hasher_.update(memory_.span().first(bytes));
    return;
  }
  const std::lock_guard lock(mutex_);
  lengths_[submitted_ % kBlocks] = bytes;
  ++submitted_;
  changed_.notify_all();
}

Sha256 BackgroundHasher::finish() {
  stop();
  return hasher_.finish();
}

void BackgroundHasher::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    complete_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void BackgroundHasher::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return complete_ || hashed_ < submitted_; });
    if (hashed_ == submitted_) return;
    const std::size_t at = hashed_ % kBlocks;
    const auto next = memory_.span().subspan(at * kBlockBytes, lengths_[at]);
    lock.unlock();
    hasher_.update(next);
    lock.lock();
    ++hashed_;
    changed_.notify_all();
  }
}

}  // namespace chorus::server
