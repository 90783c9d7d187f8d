// Plain C++ in the place of a device: the reference that the others are tested against.
#include <cstring>
#include <new>
#include <vector>

#include "common/gpu/backends.hpp"

namespace chorus::gpu {
namespace {

class PlainDevice final : public Device {
 public:
  explicit PlainDevice(const Programs& programs)
      : Device({Backend::plain, 0, "plain C++", 0, true, false}), programs_(programs) {}
  using Device::launch;

  Result<void> launch(std::string_view kernel,
                      std::uint64_t items,
                      std::span<const Argument> arguments) override {
    const auto run = programs_.plain_kernel(kernel);
    if (run == nullptr) {
      return fail(errc::unsupported_feature, "no GPU kernel named '" + std::string(kernel) + "'");
    }
    std::vector<const void*> values;
    for (const Argument& argument : arguments) values.push_back(argument.data());
    for (std::uint64_t i = 0; i < items; ++i) run(i, values.data());
    return {};
  }

  Result<void> finish() override { return {}; }

 private:
  Result<std::uint64_t> take(std::size_t size) override {
    void* const memory = ::operator new (size, std::align_val_t{64}, std::nothrow);
    if (memory == nullptr) {
      return fail(errc::busy, "no memory for a buffer of " + std::to_string(size) + " bytes");
    }
    return reinterpret_cast<std::uint64_t>(memory);
  }
  void give(std::uint64_t handle) noexcept override {
    ::operator delete (at(handle), std::align_val_t{64});
  }
  Result<void> copy_in(std::uint64_t to, std::span<const std::byte> from) override {
    std::memcpy(at(to), from.data(), from.size());
    return {};
  }
  Result<void> copy_out(std::uint64_t from, std::span<std::byte> to) override {
    std::memcpy(to.data(), at(from), to.size());
    return {};
  }
  Result<void> copy_within(std::uint64_t from, std::uint64_t to, std::size_t size) override {
    std::memcpy(at(to), at(from), size);
    return {};
  }

  Programs programs_;

  static void* at(std::uint64_t handle) { return reinterpret_cast<void*>(handle); }  // NOLINT
};

}  // namespace

std::unique_ptr<Device> make_plain(const Programs& programs) {
  return std::make_unique<PlainDevice>(programs);
}

}  // namespace chorus::gpu
