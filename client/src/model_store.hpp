// The model of the task in hand: looked up, received straight into its place, verified, held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "client/src/version_cache.hpp"
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

  /// Makes room for a version and fills in what is there of it: all (then it is verified), a part,
  /// or nothing. @returns bytes that are there
  /// @errors of layout_of(); shape_mismatch (the size cannot be that of the model); busy (memory)
  Result<std::uint64_t> look_up(const wire::ModelRef& version, const ModelSpec& spec);

  /// The download begins anew.
  void restart();
  /// Where the next bytes of the file go. @pre offset + bytes <= size of the file
  std::span<std::byte> place(std::uint64_t offset, std::size_t bytes) noexcept;
  /// They are there, in order.
  void keep(std::uint64_t offset, std::size_t bytes);
  /// All bytes are there: digest and layout are right. After a failure nothing is held.
  /// @errors digest_mismatch; shape_mismatch (another layout than the spec's); malformed_file
  Result<void> verify();

  /// @pre verified
  std::span<const float> parameters() const noexcept;
  const TensorLayout& layout() const noexcept { return layout_; }

  /// The task is over: gives memory back if the version is large and can be read again.
  void release();

 private:
  std::span<std::byte> file() noexcept;
  Result<void> make_room(std::uint64_t bytes);
  bool read_from_cache();
  std::uint64_t read_part();
  Result<void> check_content();
  void forget();

  VersionCache* cache_;
  bool caching_ = false;  ///< this download is also written to the cache
  std::optional<wire::ModelRef> version_;
  TensorLayout layout_;
  tensor::AlignedBuffer<float> buffer_;
  std::uint64_t data_offset_ = 0;
  std::uint64_t kept_ = 0;  ///< bytes of the file that are there and hashed
  bool verified_ = false;
  Sha256Hasher hasher_;
};

}  // namespace chorus::client
