// Working memory of the calling thread, kept from bucket to bucket: devices' stacks are small.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace chorus::codec {

/// Whose it is: two that are in use at once differ.
enum class Scratch { codes, rotated, chosen, fold };

/// n elements, of any values. Valid until the same is asked for again.
template <class T, Scratch kWhose>
std::span<T> scratch(std::size_t n) {
  thread_local std::vector<T> memory;
  if (memory.size() < n) memory.resize(n);
  return std::span(memory).first(n);
}

}  // namespace chorus::codec
