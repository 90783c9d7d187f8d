// Calls of every GPU kernel with fixed inputs, for tests and deploy/gpu-check: standard library
// only.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "common/gpu/device.hpp"

namespace chorus::gpu {

/// A kernel's argument: an array that is copied to the device and back, or a value.
struct Operand {
  std::vector<std::byte> array;
  std::optional<Argument> value;

  template <class T>
  static Operand of(const std::vector<T>& values) {
    Operand operand;
    operand.array.resize(values.size() * sizeof(T));
    std::memcpy(operand.array.data(), values.data(), operand.array.size());
    return operand;
  }
  template <class T>
  static Operand of(const T& value) {
    Operand operand;
    operand.value = Argument(value);
    return operand;
  }
  template <class T>
  std::vector<T> as() const {
    std::vector<T> values(array.size() / sizeof(T));
    std::memcpy(values.data(), array.data(), array.size());
    return values;
  }
};

struct Call {
  std::string kernel;
  std::uint64_t items = 0;
  bool exact = true;  ///< every dialect gives the same bits; else float32 within 1e-5
  std::vector<Operand> operands;
};

/// This build's kernels, for `open`.
OpenOptions with_kernels();

/// One call of every kernel, sizes no multiple of any group.
std::vector<Call> all_calls();

/// Does the call and puts into its arrays what the device left there.
Result<void> execute(Device& device, Call& call);

/// Empty if both calls' arrays agree, else where they do not.
std::string difference(const Call& got, const Call& expected);

}  // namespace chorus::gpu
