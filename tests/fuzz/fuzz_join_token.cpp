// Text as a person pastes it. What parses encodes to a text that parses to the same token.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/assert.hpp"
#include "common/wire/join_token.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto token = chorus::wire::parse_join_token(text);
  if (!token) return 0;
  const auto again = chorus::wire::encode_join_token(*token);
  CHORUS_ASSERT(again.has_value() && chorus::wire::parse_join_token(*again).value() == *token);
  return 0;
}
