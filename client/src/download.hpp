// What a device fetches for a task: a version of the model, and the basis of a round that has one.
#pragma once

#include <cstdint>

namespace chorus::client {

/// What is to be fetched, and how much of it is there.
struct Download {
  std::uint64_t total = 0;  ///< bytes: of the version's file, of the bodies of the steps, the basis
  std::uint64_t there = 0;  ///< the first of those; all of them: nothing is to be fetched
  std::uint32_t steps = 0;  ///< the last so many of the task's steps; 0: the file
  bool basis = false;       ///< the task's basis, not its model
  bool operator==(const Download&) const = default;
};

}  // namespace chorus::client
