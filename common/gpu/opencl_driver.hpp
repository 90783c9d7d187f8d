// The part of OpenCL 1.2 that is used, loaded at run time.
#pragma once

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <string>

#include "common/gpu/library.hpp"

namespace chorus::gpu {

// clang-format off
#define CHORUS_OPENCL_FUNCTIONS(X) \
  X(clGetPlatformIDs) X(clGetDeviceIDs) X(clGetDeviceInfo) \
  X(clCreateContext) X(clReleaseContext) X(clCreateCommandQueue) \
  X(clReleaseCommandQueue) X(clCreateProgramWithSource) X(clCreateProgramWithBinary) \
  X(clBuildProgram) X(clGetProgramBuildInfo) X(clGetProgramInfo) \
  X(clReleaseProgram) X(clCreateKernel) X(clReleaseKernel) \
  X(clSetKernelArg) X(clEnqueueNDRangeKernel) X(clCreateBuffer) \
  X(clReleaseMemObject) X(clEnqueueWriteBuffer) X(clEnqueueReadBuffer) \
  X(clEnqueueCopyBuffer) X(clFinish)
// clang-format on

struct OpenClDriver {
#define CHORUS_OPENCL_MEMBER(name) decltype(&::name) name = nullptr;
  CHORUS_OPENCL_FUNCTIONS(CHORUS_OPENCL_MEMBER)
#undef CHORUS_OPENCL_MEMBER

  /// @errors not_found: no loader, or one without a function that is needed
  static Result<OpenClDriver> load() {
    auto library = Library::load({"libOpenCL.so.1", "libOpenCL.so"});
    if (!library) return std::move(library).error().during("OpenCL's loader");
    OpenClDriver d;
    const char* missing = nullptr;
#define CHORUS_OPENCL_FIND(name) \
  if (!library->find(#name, d.name)) missing = #name;
    CHORUS_OPENCL_FUNCTIONS(CHORUS_OPENCL_FIND)
#undef CHORUS_OPENCL_FIND
    if (missing == nullptr) return d;
    return fail(errc::not_found, std::string("OpenCL's loader has no ") + missing);
  }

  static Result<void> check(cl_int status, const std::string& doing) {
    if (status == CL_SUCCESS) return {};
    const bool memory = status == CL_MEM_OBJECT_ALLOCATION_FAILURE ||
                        status == CL_OUT_OF_RESOURCES || status == CL_OUT_OF_HOST_MEMORY ||
                        status == CL_INVALID_BUFFER_SIZE;
    return fail(memory ? errc::busy : errc::io_failed,
                "OpenCL, " + doing + ": error " + std::to_string(status));
  }

  std::string text(cl_device_id device, cl_device_info what) const {
    std::size_t size = 0;
    if (clGetDeviceInfo(device, what, 0, nullptr, &size) != CL_SUCCESS || size == 0) return "";
    std::string value(size, '\0');
    if (clGetDeviceInfo(device, what, size, value.data(), nullptr) != CL_SUCCESS) return "";
    value.resize(size - 1);
    return value;
  }
  template <class T>
  T number(cl_device_id device, cl_device_info what) const {
    T value{};
    if (clGetDeviceInfo(device, what, sizeof(value), &value, nullptr) != CL_SUCCESS) return T{};
    return value;
  }
};

}  // namespace chorus::gpu
