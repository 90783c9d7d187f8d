// OpenCL 1.2: one context, one in-order queue, the program compiled for the device.
#include <map>
#include <vector>

#include "common/base/try.hpp"
#include "common/gpu/backends.hpp"
#include "common/gpu/opencl_program.hpp"

namespace chorus::gpu {
namespace {

constexpr std::size_t kGroup = 64;

// Every device of every platform, in the loader's order: the numbers of "opencl:N".
std::vector<cl_device_id> all_devices(const OpenClDriver& driver) {
  cl_uint count = 0;
  if (driver.clGetPlatformIDs(0, nullptr, &count) != CL_SUCCESS || count == 0) return {};
  std::vector<cl_platform_id> platforms(count);
  if (driver.clGetPlatformIDs(count, platforms.data(), nullptr) != CL_SUCCESS) return {};
  std::vector<cl_device_id> all;
  for (cl_platform_id platform : platforms) {
    cl_uint here = 0;
    if (driver.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &here) != CL_SUCCESS) {
      continue;
    }
    std::vector<cl_device_id> devices(here);
    if (driver.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, here, devices.data(), nullptr) !=
        CL_SUCCESS) {
      continue;
    }
    all.insert(all.end(), devices.begin(), devices.end());
  }
  return all;
}

struct Session {
  OpenClDriver driver;
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;
  cl_program program = nullptr;
  std::map<std::string, cl_kernel, std::less<>> kernels;

  explicit Session(const OpenClDriver& loaded) : driver(loaded) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    for (const auto& [name, kernel] : kernels) driver.clReleaseKernel(kernel);
    if (program != nullptr) driver.clReleaseProgram(program);
    if (queue != nullptr) driver.clReleaseCommandQueue(queue);
    if (context != nullptr) driver.clReleaseContext(context);
  }

  Result<void> begin(cl_device_id device, const OpenOptions& options) {
    cl_int status = CL_SUCCESS;
    context = driver.clCreateContext(nullptr, 1, &device, nullptr, nullptr, &status);
    CHORUS_OK(OpenClDriver::check(status, "opening the device"));
    queue = driver.clCreateCommandQueue(context, device, 0, &status);
    CHORUS_OK(OpenClDriver::check(status, "making a queue"));
    CHORUS_TRY(
        program,
        build_program(driver,
                      {context, device, options.programs.opencl_source, options.cache_folder}));
    return {};
  }
};

class OpenClDevice final : public Device {
 public:
  OpenClDevice(const DeviceInfo& info, std::unique_ptr<Session> session)
      : Device(info), session_(std::move(session)), driver_(session_->driver) {}
  using Device::launch;

  Result<void> launch(std::string_view kernel,
                      std::uint64_t items,
                      std::span<const Argument> arguments) override {
    if (items == 0) return {};
    CHORUS_TRY(cl_kernel const function, function_of(kernel));
    cl_uint place = 0;
    for (const Argument& argument : arguments) {
      CHORUS_OK(OpenClDriver::check(
          driver_.clSetKernelArg(function, place, argument.size(), argument.data()),
          std::string(kernel) + ", argument " + std::to_string(place)));
      ++place;
    }
    const std::size_t global = (items + kGroup - 1) / kGroup * kGroup;
    return OpenClDriver::check(
        driver_.clEnqueueNDRangeKernel(
            session_->queue, function, 1, nullptr, &global, &kGroup, 0, nullptr, nullptr),
        "launching " + std::string(kernel));
  }

  Result<void> finish() override {
    return OpenClDriver::check(driver_.clFinish(session_->queue), "waiting");
  }

 private:
  Result<cl_kernel> function_of(std::string_view kernel) {
    const auto known = session_->kernels.find(kernel);
    if (known != session_->kernels.end()) return known->second;
    const std::string symbol = "chorus_" + std::string(kernel);
    cl_int status = CL_SUCCESS;
    cl_kernel function = driver_.clCreateKernel(session_->program, symbol.c_str(), &status);
    if (status == CL_INVALID_KERNEL_NAME) {
      return fail(errc::unsupported_feature,
                  "no GPU kernel named '" + std::string(kernel) + "' on " + info().id() +
                      (info().computes_double ? "" : ", which does not compute in double"));
    }
    CHORUS_OK(OpenClDriver::check(status, "finding " + symbol));
    session_->kernels.emplace(kernel, function);
    return function;
  }

  Result<std::uint64_t> take(std::size_t size) override {
    cl_int status = CL_SUCCESS;
    cl_mem memory =
        driver_.clCreateBuffer(session_->context, CL_MEM_READ_WRITE, size, nullptr, &status);
    CHORUS_OK(OpenClDriver::check(status, "a buffer of " + std::to_string(size) + " bytes"));
    return reinterpret_cast<std::uint64_t>(memory);
  }
  // The queue holds on to what it still uses.
  void give(std::uint64_t handle) noexcept override { driver_.clReleaseMemObject(at(handle)); }
  Result<void> copy_in(std::uint64_t to, std::span<const std::byte> from) override {
    return OpenClDriver::check(
        driver_.clEnqueueWriteBuffer(
            session_->queue, at(to), CL_TRUE, 0, from.size(), from.data(), 0, nullptr, nullptr),
        "copying to the device");
  }
  Result<void> copy_out(std::uint64_t from, std::span<std::byte> to) override {
    return OpenClDriver::check(
        driver_.clEnqueueReadBuffer(
            session_->queue, at(from), CL_TRUE, 0, to.size(), to.data(), 0, nullptr, nullptr),
        "copying from the device");
  }
  Result<void> copy_within(std::uint64_t from, std::uint64_t to, std::size_t size) override {
    return OpenClDriver::check(
        driver_.clEnqueueCopyBuffer(
            session_->queue, at(from), at(to), 0, 0, size, 0, nullptr, nullptr),
        "copying within the device");
  }

  static cl_mem at(std::uint64_t handle) { return reinterpret_cast<cl_mem>(handle); }  // NOLINT

  std::unique_ptr<Session> session_;
  const OpenClDriver& driver_;
};

}  // namespace

Found enumerate_opencl() {
  Found found;
  const auto driver = OpenClDriver::load();
  if (!driver) {
    found.refused.push_back("no OpenCL: " + driver.error().detail);
    return found;
  }
  unsigned index = 0;
  for (cl_device_id device : all_devices(*driver)) {
    DeviceInfo info{Backend::opencl, index++, driver->text(device, CL_DEVICE_NAME)};
    info.memory_bytes = driver->number<cl_ulong>(device, CL_DEVICE_GLOBAL_MEM_SIZE);
    info.computes_double =
        driver->number<cl_device_fp_config>(device, CL_DEVICE_DOUBLE_FP_CONFIG) != 0;
    info.is_gpu =
        (driver->number<cl_device_type>(device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_GPU) != 0;
    if (driver->number<cl_bool>(device, CL_DEVICE_COMPILER_AVAILABLE) == CL_FALSE) {
      found.refused.push_back(info.id() + " (" + info.name + "): its driver compiles no programs");
    } else {
      found.devices.push_back(std::move(info));
    }
  }
  if (index == 0) found.refused.push_back("no OpenCL: the loader finds no driver (clinfo)");
  return found;
}

Result<std::unique_ptr<Device>> make_opencl(const DeviceInfo& info, const OpenOptions& options) {
  CHORUS_TRY(const OpenClDriver driver, OpenClDriver::load());
  const std::vector<cl_device_id> devices = all_devices(driver);
  if (info.index >= devices.size()) return fail(errc::not_found, info.id() + " went away");
  auto session = std::make_unique<Session>(driver);
  CHORUS_OK(session->begin(devices[info.index], options));
  return std::unique_ptr<Device>(std::make_unique<OpenClDevice>(info, std::move(session)));
}

}  // namespace chorus::gpu
