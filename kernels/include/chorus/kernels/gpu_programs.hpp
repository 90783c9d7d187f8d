// The kernels of kernels/gpu/body in the three forms a device takes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace chorus::kernels::gpu {

/// Does one work item. `arguments[i]` points at the kernel's i-th argument; pointers are passed as
/// 8-byte values.
using PlainKernel = void (*)(std::uint64_t work_item, const void* const* arguments);

/// The kernel of that name, e.g. "fold_f32", in plain C++; nullptr if there is none.
PlainKernel plain_kernel(std::string_view name) noexcept;

/// Every kernel's name, in the order of the bodies.
std::span<const std::string_view> kernel_names() noexcept;

/// One OpenCL C source with the dialect and all bodies.
std::string_view opencl_source() noexcept;

/// A fatbin for CUDA's driver; empty where the build found no nvcc.
std::span<const unsigned char> cuda_image() noexcept;

}  // namespace chorus::kernels::gpu
