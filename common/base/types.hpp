// Ids, counts and instants as distinct types, so that they cannot be mixed up.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace chorus {

/// An integer with a name. `RoundId{3}`, `.value`, ordered, not convertible to another.
template <class Tag>
struct StrongInt {
  std::uint64_t value = 0;
  constexpr auto operator<=>(const StrongInt&) const = default;
};

/// A string with a name.
template <class Tag>
struct StrongString {
  std::string value;
  auto operator<=>(const StrongString&) const = default;
};

using RoundId = StrongInt<struct RoundTag>;      ///< counts from 1 within a job
using Examples = StrongInt<struct ExamplesTag>;  ///< training examples a device claims
using Bytes = StrongInt<struct BytesTag>;

using JobId = StrongString<struct JobTag>;  ///< the name in job.toml: [a-z0-9-], 1..63
using ClientId =
    StrongString<struct ClientTag>;  ///< CN of the device's certificate: [a-z0-9._-], 1..63

/// Milliseconds since the Unix epoch on a clock that never steps back within a process. Pure code
/// receives it as an argument; only the driver reads it from a clock.
struct MachineClock {
  using rep = std::int64_t;
  using period = std::milli;
  using duration = std::chrono::milliseconds;
  using time_point = std::chrono::time_point<MachineClock>;
  static constexpr bool is_steady = true;
};
using TimePoint = MachineClock::time_point;
using Duration = MachineClock::duration;

/// SHA-256, names a version.
struct Sha256 {
  std::array<std::byte, 32> bytes{};
  auto operator<=>(const Sha256&) const = default;
};

/// XXH3-128 of an update body, canonical (big-endian) byte order.
struct BodyDigest {
  std::array<std::byte, 16> bytes{};
  auto operator<=>(const BodyDigest&) const = default;
};

/// One thing a device is asked to do in one round. With the device's id it names an offer.
enum class TaskKind : std::uint8_t { train = 1, evaluate = 2 };

struct TaskRef {
  JobId job;
  RoundId round;
  TaskKind kind = TaskKind::train;
  auto operator<=>(const TaskRef&) const = default;
};

}  // namespace chorus

template <class Tag>
struct std::hash<chorus::StrongString<Tag>> {
  std::size_t operator()(const chorus::StrongString<Tag>& id) const noexcept {
    return std::hash<std::string>{}(id.value);
  }
};
