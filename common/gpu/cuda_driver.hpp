// The part of CUDA's driver API that is used, as its documentation declares it: nothing of the
// toolkit is needed to build or to run this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/gpu/library.hpp"

namespace chorus::gpu {

struct CudaDriver {
  using Status = int;
  static constexpr Status kSuccess = 0;
  static constexpr Status kOutOfMemory = 2;
  static constexpr Status kNotFound = 500;

  Status (*init)(unsigned) = nullptr;
  Status (*error_string)(Status, const char**) = nullptr;
  Status (*device_count)(int*) = nullptr;
  Status (*device_get)(int*, int) = nullptr;
  Status (*device_name)(char*, int, int) = nullptr;
  Status (*device_memory)(std::size_t*, int) = nullptr;
  Status (*context_retain)(void**, int) = nullptr;
  Status (*context_release)(int) = nullptr;
  Status (*context_set)(void*) = nullptr;
  Status (*module_load)(void**, const void*) = nullptr;
  Status (*module_unload)(void*) = nullptr;
  Status (*module_function)(void**, void*, const char*) = nullptr;
  Status (*allocate)(std::uint64_t*, std::size_t) = nullptr;
  Status (*free)(std::uint64_t) = nullptr;
  Status (*copy_in)(std::uint64_t, const void*, std::size_t, void*) = nullptr;
  Status (*copy_out)(void*, std::uint64_t, std::size_t, void*) = nullptr;
  Status (*copy_within)(std::uint64_t, std::uint64_t, std::size_t, void*) = nullptr;
  Status (*stream_create)(void**, unsigned) = nullptr;
  Status (*stream_destroy)(void*) = nullptr;
  Status (*stream_wait)(void*) = nullptr;
  Status (*launch)(void*,
                   unsigned,
                   unsigned,
                   unsigned,
                   unsigned,
                   unsigned,
                   unsigned,
                   unsigned,
                   void*,
                   void**,
                   void**) = nullptr;

  /// @errors not_found: no driver, or one without a function that is needed
  static Result<CudaDriver> load() {
    auto library = Library::load({"libcuda.so.1", "libcuda.so"});
    if (!library) return std::move(library).error().during("CUDA's driver");
    CudaDriver d;
    const char* missing = nullptr;
    const auto need = [&](const char* name, auto& function) {
      if (!library->find(name, function)) missing = name;
    };
    need("cuInit", d.init);
    need("cuGetErrorString", d.error_string);
    need("cuDeviceGetCount", d.device_count);
    need("cuDeviceGet", d.device_get);
    need("cuDeviceGetName", d.device_name);
    need("cuDeviceTotalMem_v2", d.device_memory);
    need("cuDevicePrimaryCtxRetain", d.context_retain);
    need("cuDevicePrimaryCtxRelease_v2", d.context_release);
    need("cuCtxSetCurrent", d.context_set);
    need("cuModuleLoadData", d.module_load);
    need("cuModuleUnload", d.module_unload);
    need("cuModuleGetFunction", d.module_function);
    need("cuMemAlloc_v2", d.allocate);
    need("cuMemFree_v2", d.free);
    need("cuMemcpyHtoDAsync_v2", d.copy_in);
    need("cuMemcpyDtoHAsync_v2", d.copy_out);
    need("cuMemcpyDtoDAsync_v2", d.copy_within);
    need("cuStreamCreate", d.stream_create);
    need("cuStreamDestroy_v2", d.stream_destroy);
    need("cuStreamSynchronize", d.stream_wait);
    need("cuLaunchKernel", d.launch);
    if (missing == nullptr) return d;
    return fail(errc::not_found, std::string("CUDA's driver has no ") + missing + "; update it");
  }

  std::string words(Status status) const {
    const char* text = nullptr;
    if (error_string(status, &text) == kSuccess && text != nullptr) return text;
    return "error " + std::to_string(status);
  }

  Result<void> check(Status status, const std::string& doing) const {
    if (status == kSuccess) return {};
    const errc code = status == kOutOfMemory ? errc::busy : errc::io_failed;
    return fail(code, "CUDA, " + doing + ": " + words(status));
  }
};

}  // namespace chorus::gpu
