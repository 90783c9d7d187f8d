// What a device fetches to have a version.
#pragma once

#include <cstdint>

namespace chorus::client {

/// What is to be fetched for a version, and how much of it is there.
struct Download {
  std::uint64_t total = 0;  ///< bytes: of the version's file, or of the bodies of the steps
  std::uint64_t there = 0;  ///< the first of those; all of them: nothing is to be fetched
  std::uint32_t steps = 0;  ///< the last so many of the task's steps; 0: the file
  bool operator==(const Download&) const = default;
};

}  // namespace chorus::client
