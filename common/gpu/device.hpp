// GPUs, and the plain C++ that stands in for one in tests: enumerate, open, allocate, copy, launch.
// libOpenCL and CUDA's driver are loaded at run time; nothing links against them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "chorus/result.hpp"
#include "common/gpu/programs.hpp"

namespace chorus::gpu {

enum class Backend : std::uint8_t { plain, opencl, cuda };

struct DeviceInfo {
  Backend backend = Backend::plain;
  unsigned index = 0;              ///< of its back end, as in "opencl:1"
  std::string name;                ///< as the driver says it
  std::uint64_t memory_bytes = 0;  ///< 0: the host's
  bool computes_double = true;     ///< exact sums need it
  bool is_gpu = true;              ///< "auto" takes no other (OpenCL may run on the CPU)

  /// "cuda:0", as `open` takes it.
  std::string id() const;
};

/// What a back end found, and why it, or one of its devices, cannot be used.
struct Found {
  std::vector<DeviceInfo> devices;
  std::vector<std::string> refused;  ///< one sentence each
};

/// Devices of every back end, CUDA's first. Plain C++ is not listed: it is for tests.
Found enumerate(const Programs& programs);

/// A kernel's argument: the value's bytes, at most 8. A Buffer is passed by its handle.
class Argument {
 public:
  template <class T>
  Argument(const T& value);  // NOLINT: implicit, `launch(name, n, {x, 0.5F})` reads naturally

  const void* data() const noexcept { return bytes_.data(); }
  std::size_t size() const noexcept { return size_; }

 private:
  alignas(8) std::array<std::byte, 8> bytes_{};
  std::size_t size_ = 0;
};

class Device;

/// Memory of a device, given back when this ends. @pre it ends before its device
class Buffer {
 public:
  Buffer(Device& device, std::uint64_t handle, std::size_t size) noexcept
      : device_(&device), handle_(handle), size_(size) {}
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  std::uint64_t handle() const noexcept { return handle_; }
  std::size_t size_bytes() const noexcept { return size_; }

 private:
  Device* device_;
  std::uint64_t handle_;
  std::size_t size_;
};

/// One device with one queue that works in order. Not for several threads at once.
/// @errors busy: the device's memory is used up; io_failed: the device or its driver failed (a lost
///         device fails every call after it); unsupported_feature: no such kernel on this device
class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceInfo& info() const noexcept { return info_; }

  /// @pre size > 0
  Result<Buffer> allocate(std::size_t size);

  /// Copies wait for what was queued before, and are done on return. @pre sizes fit the buffer
  Result<void> write(const Buffer& to, std::span<const std::byte> from);
  Result<void> read(const Buffer& from, std::span<std::byte> to);
  /// Queues a copy of the first `size` bytes within the device; does not wait.
  /// @pre both buffers are this device's and hold so many
  Result<void> copy(const Buffer& from, const Buffer& to, std::size_t size);

  /// Queues `items` work items of the kernel; does not wait.
  /// @pre the arguments are the kernel's, in its order
  virtual Result<void> launch(std::string_view kernel,
                              std::uint64_t items,
                              std::span<const Argument> arguments) = 0;
  Result<void> launch(std::string_view kernel,
                      std::uint64_t items,
                      std::initializer_list<Argument> arguments) {
    return launch(kernel, items, std::span(arguments.begin(), arguments.size()));
  }

  /// Waits until the queue is empty. Failures of kernels show here at the latest.
  virtual Result<void> finish() = 0;

 protected:
  explicit Device(DeviceInfo info) : info_(std::move(info)) {}

 private:
  friend class Buffer;
  virtual Result<std::uint64_t> take(std::size_t size) = 0;
  virtual void give(std::uint64_t handle) noexcept = 0;
  virtual Result<void> copy_in(std::uint64_t to, std::span<const std::byte> from) = 0;
  virtual Result<void> copy_out(std::uint64_t from, std::span<std::byte> to) = 0;
  virtual Result<void> copy_within(std::uint64_t from, std::uint64_t to, std::size_t size) = 0;

  DeviceInfo info_;
};

struct OpenOptions {
  Programs programs;
  std::string cache_folder;  ///< where compiled OpenCL programs are kept; empty: nowhere
};

/// Opens "cuda", "cuda:N", "opencl", "opencl:N", "auto" (the first GPU of
/// `enumerate`), or "plain".
/// @errors invalid_argument: not such a name; not_found: no such device, with what was found
/// instead
Result<std::unique_ptr<Device>> open(std::string_view id, const OpenOptions& options);

template <class T>
Argument::Argument(const T& value) {
  if constexpr (std::is_same_v<T, Buffer>) {
    *this = Argument(value.handle());
  } else {
    static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8);
    size_ = sizeof(T);
    __builtin_memcpy(bytes_.data(), &value, sizeof(T));
  }
}

}  // namespace chorus::gpu
