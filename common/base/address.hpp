// "host:port" as people write it, and where a server is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chorus/result.hpp"

namespace chorus {

struct Address {
  std::string host;  ///< a name or an IP address, without the brackets of IPv6
  std::uint16_t port = 0;

  bool operator==(const Address&) const = default;
};

/// "fed.example.org:7440", "127.0.0.1:0", "[::1]:7440".
/// @errors invalid_argument
Result<Address> parse_address(std::string_view text);

/// The inverse: brackets around addresses of IPv6.
std::string to_string(const Address& address);

}  // namespace chorus
