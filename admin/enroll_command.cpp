#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "admin/commands.hpp"
#include "admin/replies.hpp"
#include "chorus/v1/admin.pb.h"
#include "common/base/address.hpp"
#include "common/base/try.hpp"
#include "common/config/units.hpp"
#include "common/crypto/digest.hpp"
#include "common/wire/join_token.hpp"

namespace chorus::admin {

Result<void> enroll(Console& console,
                    AdminLink& link,
                    const Federation& federation,
                    const EnrollOptions& options) {
  if (!options.device.empty() && options.uses != 1) {
    return fail(errc::invalid_argument,
                "a token with a device's name can be used once; leave out --name or --uses");
  }
  const auto server = options.address.empty() ? address_for_devices(federation) : options.address;
  CHORUS_OK(parse_address(server));
  v1::AdminRequest request;
  auto& wanted = *request.mutable_create_token();
  wanted.set_device(options.device);
  wanted.set_uses(options.uses);
  wanted.set_valid_for_ms(static_cast<std::uint64_t>(options.valid.count()));
  CHORUS_TRY(const auto reply, link.call(request));
  if (!reply.has_token()) return wrong_reply("a token");
  wire::JoinToken token;
  token.server = server;
  token.secret = reply.token().secret();
  CHORUS_TRY(token.ca_sha256, sha256_from_bytes(bytes_of(reply.token().ca_sha256())));
  CHORUS_TRY(const auto text, wire::encode_join_token(token));
  if (console.json()) {
    nlohmann::ordered_json value;
    value["token"] = text;
    value["server"] = server;
    value["device"] = options.device;
    value["uses"] = options.uses;
    value["expires_ms"] = reply.token().expires_ms();
    console.value(value);
  }
  console.line(text);
  console.line();
  console.line(fmt::format(
      "Good for {} until {}. It is a secret, and not shown again. On the device:",
      options.uses == 1 ? std::string("one device") : fmt::format("{} devices", options.uses),
      human_instant(reply.token().expires_ms())));
  console.line(fmt::format("  chorus-agent enroll --state DIR --token {}", text));
  return {};
}

}  // namespace chorus::admin
