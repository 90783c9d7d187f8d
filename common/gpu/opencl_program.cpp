#include "common/gpu/opencl_program.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <unistd.h>
#include <vector>

#include "common/base/try.hpp"

namespace chorus::gpu {
namespace {

namespace fs = std::filesystem;

std::string options_of(const OpenClDriver& driver, cl_device_id device) {
  std::string options = "-cl-std=CL1.2";
  const auto floats = driver.number<cl_device_fp_config>(device, CL_DEVICE_SINGLE_FP_CONFIG);
  // Else division and square root may be off by some units in the last place.
  if ((floats & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT) != 0) {
    options += " -cl-fp32-correctly-rounded-divide-sqrt";
  }
  const auto doubles = driver.number<cl_device_fp_config>(device, CL_DEVICE_DOUBLE_FP_CONFIG);
  return options + (doubles != 0 ? " -DCHORUS_DOUBLE=1" : " -DCHORUS_DOUBLE=0");
}

// FNV-1a: names a file; what is in it is judged by the driver.
std::string digest(const std::string& text) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  std::string name(16, '0');
  for (std::size_t i = 0; i < name.size(); ++i) {
    name[i] = "0123456789abcdef"[(hash >> (60 - 4 * i)) & 15U];
  }
  return name;
}

fs::path cache_file(const OpenClDriver& driver,
                    const ProgramPlace& place,
                    const std::string& options) {
  std::string key = options;
  constexpr std::array<cl_device_info, 4> kParts = {
      CL_DEVICE_NAME, CL_DEVICE_VENDOR, CL_DEVICE_VERSION, CL_DRIVER_VERSION};
  for (const cl_device_info part : kParts) {
    key += '\n' + driver.text(place.device, part);
  }
  key += '\n' + std::string(place.source);
  return fs::path(place.cache_folder) / ("opencl-" + digest(key) + ".bin");
}

cl_program from_file(const OpenClDriver& driver, const ProgramPlace& place, const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (bytes.empty()) return nullptr;
  const std::size_t size = bytes.size();
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  cl_int status = CL_SUCCESS;
  cl_program program = driver.clCreateProgramWithBinary(
      place.context, 1, &place.device, &size, &data, nullptr, &status);
  if (status != CL_SUCCESS || program == nullptr) return nullptr;
  if (driver.clBuildProgram(program, 1, &place.device, "", nullptr, nullptr) == CL_SUCCESS) {
    return program;
  }
  driver.clReleaseProgram(program);
  return nullptr;
}

void to_file(const OpenClDriver& driver, cl_program program, const fs::path& file) {
  std::size_t size = 0;
  if (driver.clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, nullptr) !=
          CL_SUCCESS ||
      size == 0) {
    return;
  }
  std::vector<unsigned char> bytes(size);
  unsigned char* data = bytes.data();
  if (driver.clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(data), &data, nullptr) !=
      CL_SUCCESS) {
    return;
  }
  // Two programs may write at once: each its own file, the rename takes effect at once.
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  const fs::path temporary = file.string() + "." + std::to_string(::getpid());
  {
    std::ofstream out(temporary, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(size));
    if (!out.flush()) failed = std::make_error_code(std::errc::io_error);
  }
  if (!failed) fs::rename(temporary, file, failed);
  if (failed) fs::remove(temporary, failed);
}

std::string build_log(const OpenClDriver& driver, cl_program program, cl_device_id device) {
  std::size_t size = 0;
  driver.clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &size);
  std::string log(size, '\0');
  if (size > 0) {
    driver.clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log.data(), nullptr);
  }
  return log.c_str();
}

}  // namespace

Result<cl_program> build_program(const OpenClDriver& driver, const ProgramPlace& place) {
  const std::string options = options_of(driver, place.device);
  const fs::path file = place.cache_folder.empty() ? "" : cache_file(driver, place, options);
  if (!file.empty()) {
    if (cl_program kept = from_file(driver, place, file)) return kept;
  }
  const std::string_view source = place.source;
  const char* text = source.data();
  const std::size_t size = source.size();
  cl_int status = CL_SUCCESS;
  cl_program program = driver.clCreateProgramWithSource(place.context, 1, &text, &size, &status);
  CHORUS_OK(OpenClDriver::check(status, "taking the kernels"));
  status = driver.clBuildProgram(program, 1, &place.device, options.c_str(), nullptr, nullptr);
  if (status != CL_SUCCESS) {
    constexpr std::size_t kShown = 400;  // the first mistake; what follows from it fills pages
    const std::string log = build_log(driver, program, place.device).substr(0, kShown);
    driver.clReleaseProgram(program);
    return fail(errc::internal, "OpenCL does not compile the kernels: " + log);
  }
  if (!file.empty()) to_file(driver, program, file);
  return program;
}

}  // namespace chorus::gpu
