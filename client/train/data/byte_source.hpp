// Bytes one after the other, wherever they come from.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "chorus/result.hpp"

namespace chorus::client {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Fills `into` as far as the source reaches; fewer bytes than asked mean the end.
  /// @errors io_failed; malformed_file: damaged or truncated compression
  virtual Result<std::size_t> read(std::span<std::byte> into) = 0;

  /// For messages: "'x.npy'" or "'all.npz' array 'x'".
  virtual std::string name() const = 0;

 protected:
  ByteSource() = default;
};

}  // namespace chorus::client
