// The stretch of coordinates that a rule is working on, of all updates. Coded updates are decoded
// here once, by several threads, and then looked at by several: a set lane's tiles are narrower
// than what must be decoded at once.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "common/tensor/aligned_buffer.hpp"
#include "server/robust/update_set.hpp"

namespace chorus::server {

inline constexpr std::uint64_t kWindowElements = 1ULL << 20U;    ///< of each update, at most
inline constexpr std::uint64_t kWindowBytesMax = 256ULL << 20U;  ///< of all decoded updates

/// A set that can be read where the window stands. Updates that are not coded are read where they
/// are, and the window takes no memory.
class UpdateWindow final : public UpdateSet {
 public:
  /// @param updates  outlives it
  /// @errors busy: there is not enough memory
  static Result<std::unique_ptr<UpdateWindow>> create(const UpdateSet& updates);
  /// What it takes, at most, for sets of up to so many updates.
  static std::uint64_t bytes_max(std::uint64_t updates, std::uint64_t parameters);

  /// To the run at `first`, or as much of it as fits, or several short ones. Nobody may be reading.
  /// @pre first < parameters()
  UpdateRun move_to(std::uint64_t first);
  /// Whether load() has anything to do: the updates are coded.
  bool loads() const { return updates_.coded(); }
  /// Decodes one update's part, once after each move to what is sent; different ones on several
  /// threads at once.
  /// @errors of reading the update
  Result<void> load(std::size_t update);

  std::size_t updates() const override { return updates_.updates(); }
  std::uint64_t parameters() const override { return updates_.parameters(); }
  /// @pre within the window, and loaded
  Result<void> read(std::size_t update, std::uint64_t first, std::span<float> into) const override;

 private:
  UpdateWindow(const UpdateSet& updates, std::uint64_t width, tensor::AlignedBuffer<float> rows)
      : updates_(updates), width_(width), rows_(std::move(rows)) {}
  std::span<float> row(std::size_t update);

  const UpdateSet& updates_;
  std::uint64_t width_;
  tensor::AlignedBuffer<float> rows_;  ///< f32[updates][width], none of updates that are not coded
  std::uint64_t first_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace chorus::server
