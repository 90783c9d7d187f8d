// The basis of the task in hand (common/codec/basis.hpp): received, verified, held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "common/codec/basis.hpp"
#include "common/wire/work.hpp"

namespace chorus::client {

/// Not thread-safe: verify() and take() run on the compute thread, while the network thread waits.
class BasisStore {
 public:
  /// Makes room for one; what was held before is gone.
  void begin(const wire::ModelRef& wanted);
  /// Where the next bytes of it go. @pre offset + bytes <= its size
  std::span<std::byte> place(std::uint64_t offset, std::size_t bytes) noexcept;
  /// All bytes are there. After a failure nothing is held.
  /// @errors digest_mismatch; as codec::basis_from
  Result<void> verify();
  /// Null if none was verified since the last one was taken.
  std::shared_ptr<const codec::Basis> take() noexcept;

 private:
  wire::ModelRef wanted_;
  std::vector<std::byte> bytes_;
  std::shared_ptr<const codec::Basis> basis_;
};

}  // namespace chorus::client
