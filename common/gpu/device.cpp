// What all back ends share, and the choice of one.
#include "common/gpu/device.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "common/gpu/backends.hpp"

namespace chorus::gpu {
namespace {

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "chorus: gpu: %s\n", what);
  std::abort();
}

struct Wanted {
  std::optional<Backend> backend;  // none: any
  unsigned index = 0;
};

Result<Wanted> parse(std::string_view id) {
  const std::size_t colon = id.find(':');
  const std::string_view name = id.substr(0, colon);
  Wanted wanted;
  if (name == "cuda") wanted.backend = Backend::cuda;
  if (name == "opencl") wanted.backend = Backend::opencl;
  const bool numbered = colon != std::string_view::npos;
  bool good = wanted.backend.has_value() || (name == "auto" && !numbered);
  if (good && numbered) {
    const std::string_view digits = id.substr(colon + 1);
    const char* const end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, wanted.index);
    good = error == std::errc() && stop == end;
  }
  if (good) return wanted;
  return fail(errc::invalid_argument,
              std::string("no GPU is named '").append(id) + "'; use auto, cuda[:N] or opencl[:N]");
}

std::string describe(const Found& found) {
  std::vector<std::string> parts;
  for (const DeviceInfo& device : found.devices)
    parts.push_back(device.id() + " is " + device.name);
  parts.insert(parts.end(), found.refused.begin(), found.refused.end());
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text.append("; ");
    text.append(part);
  }
  return text;
}

}  // namespace

std::string DeviceInfo::id() const {
  switch (backend) {
    case Backend::plain:
      return "plain";
    case Backend::opencl:
      return std::string("opencl:").append(std::to_string(index));
    case Backend::cuda:
      break;
  }
  return std::string("cuda:").append(std::to_string(index));
}

Buffer::Buffer(Buffer&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)), handle_(other.handle_), size_(other.size_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(handle_, other.handle_);
  std::swap(size_, other.size_);
  return *this;
}

Buffer::~Buffer() {
  if (device_ != nullptr) device_->give(handle_);
}

Result<Buffer> Device::allocate(std::size_t size) {
  expect(size > 0, "a buffer of no bytes");
  auto handle = take(size);
  if (!handle) return std::move(handle).error().during("allocating on " + info_.id());
  return Buffer(*this, *handle, size);
}

Result<void> Device::write(const Buffer& to, std::span<const std::byte> from) {
  expect(from.size() <= to.size_bytes(), "a copy longer than the buffer");
  return copy_in(to.handle(), from);
}

Result<void> Device::read(const Buffer& from, std::span<std::byte> to) {
  expect(to.size() <= from.size_bytes(), "a copy longer than the buffer");
  return copy_out(from.handle(), to);
}

Result<void> Device::copy(const Buffer& from, const Buffer& to, std::size_t size) {
  expect(size <= from.size_bytes() && size <= to.size_bytes(), "a copy longer than the buffer");
  return copy_within(from.handle(), to.handle(), size);
}

Found enumerate(const Programs& programs) {
  Found all = enumerate_cuda(programs);
  Found more = enumerate_opencl();
  for (DeviceInfo& device : more.devices) all.devices.push_back(std::move(device));
  for (std::string& refused : more.refused) all.refused.push_back(std::move(refused));
  return all;
}

Result<std::unique_ptr<Device>> open(std::string_view id, const OpenOptions& options) {
  if (id == "plain") return make_plain(options.programs);
  auto parsed = parse(id);
  if (!parsed) return std::move(parsed).error();
  const Wanted wanted = *parsed;
  const Found found = enumerate(options.programs);
  for (const DeviceInfo& device : found.devices) {
    const bool fits = wanted.backend
                          ? *wanted.backend == device.backend && wanted.index == device.index
                          : device.is_gpu;
    if (!fits) continue;
    return device.backend == Backend::cuda ? make_cuda(device, options)
                                           : make_opencl(device, options);
  }
  return fail(errc::not_found, "no device '" + std::string(id) + "': " + describe(found));
}

}  // namespace chorus::gpu
