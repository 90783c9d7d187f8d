// In the place of OpenCL's back end where its headers were missing at build time.
#include "common/gpu/backends.hpp"

namespace chorus::gpu {

Found enumerate_opencl() {
  return {{}, {"no OpenCL: this program was built without its headers (opencl-headers)"}};
}

Result<std::unique_ptr<Device>> make_opencl(const DeviceInfo& /*info*/,
                                            const OpenOptions& /*options*/) {
  return fail(errc::unsupported_feature, "this program was built without OpenCL");
}

}  // namespace chorus::gpu
