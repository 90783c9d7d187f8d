// "host:port" as people write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chorus/result.hpp"

namespace chorus::config {

struct HostPort {
  std::string host;  ///< a name or an address, without the brackets of IPv6
  std::uint16_t port = 0;

  bool operator==(const HostPort&) const = default;
};

/// "fed.example.org:7440", "127.0.0.1:0", "[::1]:7440".
/// @errors invalid_argument
Result<HostPort> parse_host_port(std::string_view text);

/// The inverse: brackets around addresses of IPv6.
std::string to_string(const HostPort& address);

}  // namespace chorus::config
