// The kernels compiled for one OpenCL device, kept in a folder between runs.
#pragma once

#include "common/gpu/opencl_driver.hpp"

namespace chorus::gpu {

struct ProgramPlace {
  cl_context context = nullptr;
  cl_device_id device = nullptr;
  std::string_view source;
  std::string cache_folder;  ///< empty: nowhere
};

/// The program, from the folder if it holds one of this device, driver and source, else compiled
/// and put there. A file that cannot be read, used or written costs only the compilation.
/// @errors internal: the source does not compile, with the compiler's words
Result<cl_program> build_program(const OpenClDriver& driver, const ProgramPlace& place);

}  // namespace chorus::gpu
