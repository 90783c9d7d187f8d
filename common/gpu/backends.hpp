// The back ends behind device.hpp, for open.cpp alone.
#pragma once

#include "common/gpu/device.hpp"

namespace chorus::gpu {

std::unique_ptr<Device> make_plain(const Programs& programs);

Found enumerate_opencl();
Result<std::unique_ptr<Device>> make_opencl(const DeviceInfo& info, const OpenOptions& options);

Found enumerate_cuda(const Programs& programs);
Result<std::unique_ptr<Device>> make_cuda(const DeviceInfo& info, const OpenOptions& options);

}  // namespace chorus::gpu
