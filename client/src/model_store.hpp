// The model of the task in hand: looked up, received straight into its place or made from a version
// that is there already, verified, held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "client/src/download.hpp"
#include "client/src/version_cache.hpp"
#include "common/codec/version_steps.hpp"
#include "common/crypto/digest.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "common/wire/messages.hpp"

namespace chorus::client {

/// Not thread-safe: look_up() and verify() take long and run on the compute thread, while the
/// network thread waits for their answer; the rest belongs to the network thread.
class ModelStore {
 public:
  /// @param cache  null: versions are kept in memory only
  explicit ModelStore(VersionCache* cache) : cache_(cache) {}

  /// Makes room for a task's version and sees what there is of it: the whole version (then it is
  /// verified), one that the task's steps begin with, a part of its file, or nothing.
  /// @errors of layout_of(); shape_mismatch (the size cannot be that of the model); busy (memory)
  Result<Download> look_up(const wire::Work& work);

  /// The download begins anew, of the file.
  void restart();
  /// Where the next bytes of the download go. @pre offset + bytes <= its total
  std::span<std::byte> place(std::uint64_t offset, std::size_t bytes) noexcept;
  /// They are there, in order.
  void keep(std::uint64_t offset, std::size_t bytes);
  /// All bytes are there: steps are made, digest and layout are right. After a failure nothing is
  /// held.
  /// @errors digest_mismatch; shape_mismatch (another layout than the spec's); malformed_file; of
  ///         the steps' bodies
  Result<void> verify();

  /// @pre verified
  std::span<const float> parameters() const noexcept;
  const TensorLayout& layout() const noexcept { return layout_; }

  /// The task is over: gives memory back if the version is large and can be read again.
  void release();

 private:
  enum class Cached : std::uint8_t { absent, damaged, good };

  std::span<std::byte> file() noexcept;
  Download of_file(std::uint64_t there) const noexcept { return {version_->bytes, there, 0}; }
  Download of_steps() const noexcept;
  Result<void> make_room(std::uint64_t bytes);
  Cached read_from_cache();
  void remove_from_cache(const Sha256& version);
  std::uint64_t read_part();
  /// Puts the version into the buffer that the fewest of the task's steps begin with.
  /// @param held  the version that the buffer has
  /// @returns whether there is one
  bool begin_steps(const wire::Work& work, std::optional<Sha256> held);
  bool read_base(const Sha256& base, std::optional<Sha256>& held);
  bool put_zeros(const wire::Work& work);
  Result<void> make_steps();
  void distrust_steps(const Failure& why);
  Result<void> check_content();
  Result<void> keep_in_cache();
  void forget();

  VersionCache* cache_;
  bool caching_ = false;  ///< this download is also written to the cache
  std::optional<wire::ModelRef> version_;
  TensorLayout layout_;
  tensor::AlignedBuffer<float> buffer_;
  std::uint64_t data_offset_ = 0;
  std::uint64_t kept_ = 0;  ///< bytes of the download that are there, and of a file hashed
  bool verified_ = false;
  Sha256Hasher hasher_;
  std::optional<codec::VersionSteps> steps_;  ///< those that are fetched; the buffer has their base
  tensor::AlignedBuffer<std::byte> bodies_;   ///< theirs
  std::uint64_t stood_at_ = 0;       ///< bytes of theirs that were there when they were looked up
  unsigned broken_steps_ = 0;        ///< times in a row that they did not come out right
  std::uint64_t without_steps_ = 0;  ///< versions that are fetched as files because of that
};

}  // namespace chorus::client
