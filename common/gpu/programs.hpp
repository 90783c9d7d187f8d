// The kernels in the forms devices take them, handed in by whoever opens a device: common knows no
// kernels. chorus/kernels/gpu_programs.hpp has them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace chorus::gpu {

struct Programs {
  std::string_view opencl_source;
  std::span<const unsigned char> cuda_image;  ///< a fatbin; empty: built without nvcc
  /// The kernel of that name in plain C++, or nullptr; does one work item.
  void (*(*plain_kernel)(std::string_view))(std::uint64_t, const void* const*) = nullptr;
};

}  // namespace chorus::gpu
