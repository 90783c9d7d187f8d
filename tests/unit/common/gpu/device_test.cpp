// Names of devices, errors, memory, the kept OpenCL programs.
#include "common/gpu/device.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/gpu_calls.hpp"

#if defined(__SANITIZE_ADDRESS__)
// A plain device asks for more memory than there is, and is to be told so.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
#endif

namespace chorus::gpu {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

TEST(GpuDevice, NamesThatNameNoDevice) {
  for (const char* id : {"",
                         "cpu",
                         "gpu",
                         "cuda:",
                         "cuda:x",
                         "cuda:-1",
                         "cuda:1x",
                         "opencl:",
                         "opencl:99999999999",
                         "auto:0",
                         "plain:0",
                         "CUDA",
                         "cuda 0"}) {
    const auto device = open(id, with_kernels());
    ASSERT_FALSE(device) << id;
    EXPECT_EQ(device.error().code, errc::invalid_argument) << id;
    EXPECT_THAT(device.error().detail, HasSubstr("auto, cuda[:N] or opencl[:N]")) << id;
  }
}

TEST(GpuDevice, UnknownKernel) {
  const auto device = open("plain", with_kernels());
  ASSERT_TRUE(device);
  const auto done = (*device)->launch("fold_f16", 1, {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, errc::unsupported_feature);
  EXPECT_THAT(done.error().detail, HasSubstr("fold_f16"));
}

TEST(GpuDevice, MoreMemoryThanThereIs) {
  const auto device = open("plain", with_kernels());
  const auto buffer = (*device)->allocate(std::size_t{1} << 62U);
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().code, errc::busy);
  EXPECT_THAT(buffer.error().detail, HasSubstr("4611686018427387904 bytes"));
}

#ifdef CHORUS_TEST_DRIVERS

TEST(GpuDevice, AMissingDeviceSaysWhatThereIs) {
  for (const char* id : {"opencl:4000", "cuda:4000"}) {
    const auto device = open(id, with_kernels());
    ASSERT_FALSE(device) << id;
    EXPECT_EQ(device.error().code, errc::not_found);
    EXPECT_THAT(device.error().detail, HasSubstr(std::string("no device '") + id + "'"));
    for (const std::string& refused : enumerate(with_kernels().programs).refused) {
      EXPECT_THAT(device.error().detail, HasSubstr(refused));
    }
    for (const DeviceInfo& info : enumerate(with_kernels().programs).devices) {
      EXPECT_THAT(device.error().detail, HasSubstr(info.id() + " is " + info.name));
    }
  }
}

TEST(GpuDevice, AutoTakesNoCpu) {
  const auto devices = enumerate(with_kernels().programs).devices;
  const bool any = std::any_of(
      devices.begin(), devices.end(), [](const DeviceInfo& info) { return info.is_gpu; });
  const auto device = open("auto", with_kernels());
  EXPECT_EQ(static_cast<bool>(device), any);
  EXPECT_TRUE(!device || (*device)->info().is_gpu);
}

TEST(GpuDevice, AnInstalledOpenClDriverIsUsed) {
  const fs::path vendors = "/etc/OpenCL/vendors";
  if (!fs::exists(vendors) || fs::is_empty(vendors)) GTEST_SKIP() << "install pocl-opencl-icd";
  const auto device = open("opencl", with_kernels());
  ASSERT_TRUE(device) << device.error().to_string();
  const auto unknown = (*device)->launch("fold_f16", 1, {});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, errc::unsupported_feature);
  const auto buffer = (*device)->allocate(std::size_t{1} << 50U);
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().code, errc::busy) << buffer.error().detail;
}

// In the order of the queue: after the write, before the read.
TEST(GpuDevice, CopiesWithinADevice) {
  std::vector<std::string> ids{"plain"};
  for (const DeviceInfo& info : enumerate(with_kernels().programs).devices) {
    ids.push_back(info.id());
  }
  for (const std::string& id : ids) {
    auto device = open(id, with_kernels());
    ASSERT_TRUE(device) << device.error().to_string();
    const std::vector<float> numbers{1.5F, -2.0F, 3.25F};
    const auto from = (*device)->allocate(3 * sizeof(float));
    const auto to = (*device)->allocate(3 * sizeof(float));
    ASSERT_TRUE(from && to);
    ASSERT_TRUE((*device)->write(*from, std::as_bytes(std::span(numbers))));
    const std::vector<float> zeros(3);
    ASSERT_TRUE((*device)->write(*to, std::as_bytes(std::span(zeros))));
    ASSERT_TRUE((*device)->copy(*from, *to, 2 * sizeof(float)));
    std::vector<float> got(3);
    ASSERT_TRUE((*device)->read(*to, std::as_writable_bytes(std::span(got))));
    EXPECT_EQ(got, (std::vector<float>{1.5F, -2.0F, 0.0F})) << id;
  }
}

// Kept once, used, and compiled again when the file is cut short or of other bytes.
TEST(GpuDevice, OpenClProgramsAreKept) {
  if (!open("opencl", with_kernels())) GTEST_SKIP() << "no OpenCL here";
  const fs::path folder = fs::path(testing::TempDir()) / "chorus-gpu-programs";
  fs::remove_all(folder);
  OpenOptions options = with_kernels();
  options.cache_folder = folder.string();
  const auto works = [&] {
    auto device = open("opencl", options);
    ASSERT_TRUE(device) << device.error().to_string();
    for (Call& call : all_calls()) EXPECT_TRUE(execute(**device, call)) << call.kernel;
  };
  works();
  const std::vector<fs::path> files(fs::directory_iterator(folder), fs::directory_iterator{});
  ASSERT_EQ(files.size(), 1U);
  const std::string_view other = "not a program";
  // How large a program is says PoCL's own cache, too.
  EXPECT_GT(fs::file_size(files[0]), other.size());
  works();
  for (const std::string_view bytes : {std::string_view(), other}) {
    std::ofstream(files[0], std::ios::binary | std::ios::trunc) << bytes;
    works();
    EXPECT_GT(fs::file_size(files[0]), other.size());
  }
  fs::remove_all(folder);
}

#endif

}  // namespace
}  // namespace chorus::gpu
