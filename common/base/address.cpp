#include "common/base/address.hpp"

#include <algorithm>
#include <charconv>

namespace chorus {
namespace {

constexpr std::size_t kHostBytesMax = 253;  // RFC 1035

Failure malformed(std::string_view text) {
  return fail(errc::invalid_argument,
              "'" + std::string(text.substr(0, 80)) +
                  "' is no address: expected host:port such as fed.example.org:7440, "
                  "127.0.0.1:7440 or [::1]:7440");
}

bool host_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}
bool ip_letter(char c) noexcept {
  return host_letter(c) || c == ':' || c == '%';
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return malformed(text);
  auto host = text.substr(0, colon);
  const auto number = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (bracketed && host.find(':') == std::string_view::npos) return malformed(text);
  if (host.empty() || host.size() > kHostBytesMax) return malformed(text);
  if (!std::all_of(host.begin(), host.end(), bracketed ? ip_letter : host_letter)) {
    return malformed(text);
  }
  std::uint16_t port = 0;
  const auto* end = number.data() + number.size();
  const auto [rest, error] = std::from_chars(number.data(), end, port);
  if (error != std::errc() || rest != end) return malformed(text);
  return Address{std::string(host), port};
}

std::string to_string(const Address& address) {
  const bool bracketed = address.host.find(':') != std::string::npos;
  return (bracketed ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace chorus
