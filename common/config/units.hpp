// Durations and sizes as people write and read them: "90s", "1h30m", "250ms"; "64MiB", "1.5GiB".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/types.hpp"

namespace chorus::config {

/// "250ms", "30s", "1.5h", "1h30m", "2d", "0s". Units ms, s, m, h, d; no spaces, no sign. Parts of
/// a millisecond are an error, as is more than 10'000 days.
std::optional<Duration> parse_duration(std::string_view text) noexcept;

/// "512", "512B", "64KiB", "64MiB", "1.5GiB", "2TiB", and the decimal kB, MB, GB, TB. A fraction
/// must give whole bytes.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

/// The shortest text that parse_duration() reads back as the same value: "1h30m", "250ms", "0s".
std::string format_duration(Duration duration);

/// The shortest exact text of a size: "64MiB", "1000B".
std::string format_size(std::uint64_t bytes);

}  // namespace chorus::config
