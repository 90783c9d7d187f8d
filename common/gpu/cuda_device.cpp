// CUDA by its driver: one primary context, one stream, the fatbin the build embedded.
#include <array>
#include <map>
#include <vector>

#include "common/base/try.hpp"
#include "common/gpu/backends.hpp"
#include "common/gpu/cuda_driver.hpp"

namespace chorus::gpu {
namespace {

constexpr unsigned kBlock = 256;
constexpr std::uint64_t kBlocksMax = 0x7FFFFFFF;

// The primary context, retained; given back with what was made in it.
struct Session {
  CudaDriver driver;
  int device = 0;
  void* context = nullptr;
  void* module = nullptr;
  void* stream = nullptr;

  explicit Session(const CudaDriver& loaded) : driver(loaded) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    if (context == nullptr) return;
    driver.context_set(context);
    if (stream != nullptr) driver.stream_destroy(stream);
    if (module != nullptr) driver.module_unload(module);
    driver.context_release(device);
  }

  Result<void> begin(unsigned index, const Programs& programs) {
    CHORUS_OK(driver.check(driver.init(0), "starting"));
    CHORUS_OK(
        driver.check(driver.device_get(&device, static_cast<int>(index)), "finding the device"));
    CHORUS_OK(driver.check(driver.context_retain(&context, device), "opening the device"));
    CHORUS_OK(driver.check(driver.context_set(context), "opening the device"));
    CHORUS_OK(driver.check(driver.module_load(&module, programs.cuda_image.data()),
                           "loading the kernels"));
    constexpr unsigned kNonBlocking = 1;
    return driver.check(driver.stream_create(&stream, kNonBlocking), "making a stream");
  }
};

class CudaDevice final : public Device {
 public:
  CudaDevice(const DeviceInfo& info, std::unique_ptr<Session> session)
      : Device(info), session_(std::move(session)), driver_(session_->driver) {}
  using Device::launch;

  Result<void> launch(std::string_view kernel,
                      std::uint64_t items,
                      std::span<const Argument> arguments) override {
    if (items == 0) return {};
    CHORUS_OK(enter());
    CHORUS_TRY(void* const function, function_of(kernel));
    const std::uint64_t blocks = (items + kBlock - 1) / kBlock;
    if (blocks > kBlocksMax) {
      return fail(errc::unsupported_feature, "more work items than CUDA launches at once");
    }
    std::vector<void*> values;
    for (const Argument& argument : arguments) {
      values.push_back(const_cast<void*>(argument.data()));  // NOLINT: read only
    }
    const auto grid = static_cast<unsigned>(blocks);
    return driver_.check(
        driver_.launch(
            function, grid, 1, 1, kBlock, 1, 1, 0, session_->stream, values.data(), nullptr),
        "launching " + std::string(kernel));
  }

  Result<void> finish() override {
    CHORUS_OK(enter());
    return driver_.check(driver_.stream_wait(session_->stream), "waiting");
  }

 private:
  Result<void> enter() { return driver_.check(driver_.context_set(session_->context), "entering"); }

  Result<void*> function_of(std::string_view kernel) {
    const auto known = functions_.find(kernel);
    if (known != functions_.end()) return known->second;
    const std::string symbol = "chorus_" + std::string(kernel);
    void* function = nullptr;
    const auto status = driver_.module_function(&function, session_->module, symbol.c_str());
    if (status == CudaDriver::kNotFound) {
      return fail(errc::unsupported_feature, "no GPU kernel named '" + std::string(kernel) + "'");
    }
    CHORUS_OK(driver_.check(status, "finding " + symbol));
    functions_.emplace(kernel, function);
    return function;
  }

  Result<std::uint64_t> take(std::size_t size) override {
    CHORUS_OK(enter());
    std::uint64_t handle = 0;
    CHORUS_OK(driver_.check(driver_.allocate(&handle, size),
                            "a buffer of " + std::to_string(size) + " bytes"));
    return handle;
  }
  void give(std::uint64_t handle) noexcept override {
    // What is queued may still use it; a lost device has nothing to give back.
    driver_.context_set(session_->context);
    driver_.stream_wait(session_->stream);
    driver_.free(handle);
  }
  Result<void> copy_in(std::uint64_t to, std::span<const std::byte> from) override {
    CHORUS_OK(enter());
    CHORUS_OK(driver_.check(driver_.copy_in(to, from.data(), from.size(), session_->stream),
                            "copying to the device"));
    return finish();
  }
  Result<void> copy_out(std::uint64_t from, std::span<std::byte> to) override {
    CHORUS_OK(enter());
    CHORUS_OK(driver_.check(driver_.copy_out(to.data(), from, to.size(), session_->stream),
                            "copying from the device"));
    return finish();
  }
  Result<void> copy_within(std::uint64_t from, std::uint64_t to, std::size_t size) override {
    CHORUS_OK(enter());
    return driver_.check(driver_.copy_within(to, from, size, session_->stream),
                         "copying within the device");
  }

  std::unique_ptr<Session> session_;
  const CudaDriver& driver_;
  std::map<std::string, void*, std::less<>> functions_;
};

}  // namespace

Found enumerate_cuda(const Programs& programs) {
  Found found;
  const auto driver = CudaDriver::load();
  if (!driver) {
    found.refused.push_back("no CUDA: " + driver.error().detail);
    return found;
  }
  int count = 0;
  CudaDriver::Status status = driver->init(0);
  if (status == CudaDriver::kSuccess) status = driver->device_count(&count);
  if (status != CudaDriver::kSuccess) {
    found.refused.push_back("no CUDA: the driver says " + driver->words(status));
    return found;
  }
  for (int i = 0; i < count; ++i) {
    int device = 0;
    std::array<char, 128> name{};
    std::size_t memory = 0;
    if (driver->device_get(&device, i) != CudaDriver::kSuccess ||
        driver->device_name(name.data(), static_cast<int>(name.size()), device) !=
            CudaDriver::kSuccess ||
        driver->device_memory(&memory, device) != CudaDriver::kSuccess) {
      found.refused.push_back("cuda:" + std::to_string(i) + " does not answer");
    } else if (programs.cuda_image.empty()) {
      found.refused.push_back("cuda:" + std::to_string(i) + " (" + name.data() +
                              "): this program was built without nvcc");
    } else {
      found.devices.push_back(
          {Backend::cuda, static_cast<unsigned>(i), name.data(), memory, true, true});
    }
  }
  return found;
}

Result<std::unique_ptr<Device>> make_cuda(const DeviceInfo& info, const OpenOptions& options) {
  CHORUS_TRY(const CudaDriver driver, CudaDriver::load());
  auto session = std::make_unique<Session>(driver);
  CHORUS_OK(session->begin(info.index, options.programs));
  return std::unique_ptr<Device>(std::make_unique<CudaDevice>(info, std::move(session)));
}

}  // namespace chorus::gpu
