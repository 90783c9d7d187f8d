#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "admin/commands.hpp"
#include "admin/message_json.hpp"
#include "admin/replies.hpp"
#include "chorus/v1/admin.pb.h"
#include "common/base/try.hpp"

namespace chorus::admin {
namespace {

std::string state_of(const v1::DeviceSummary& device) {
  if (device.state() != "enrolled") return device.state();
  return device.connected() ? "connected" : "away";
}

// All pages.
Result<v1::DeviceList> all_devices(AdminLink& link) {
  v1::DeviceList all;
  std::string after;
  do {
    v1::AdminRequest request;
    request.mutable_list_devices()->set_after(after);
    CHORUS_TRY(auto reply, link.call(request));
    if (!reply.has_devices()) return wrong_reply("the list of devices");
    const auto next = reply.devices().next();
    if (!next.empty() && next <= after) return wrong_reply("the next page of devices");
    all.mutable_devices()->MergeFrom(reply.devices().devices());
    after = next;
  } while (!after.empty());
  return all;
}

Result<v1::DeviceDetail> device_reply(AdminLink& link, const v1::AdminRequest& request) {
  CHORUS_TRY(auto reply, link.call(request));
  if (!reply.has_device()) return wrong_reply("a device");
  return std::move(*reply.mutable_device());
}

}  // namespace

Result<void> device_list(Console& console, AdminLink& link) {
  CHORUS_TRY(const auto list, all_devices(link));
  if (console.json()) console.value(to_json(list));
  if (list.devices().empty()) {
    console.line("No devices yet. 'chorus enroll' makes a join token for one.");
    return {};
  }
  using enum Table::Align;
  Table table({{"device", left},
               {"state", left},
               {"last seen", left},
               {"accepted", right},
               {"rejected", right},
               {"certificate ends", left}});
  const auto now = now_ms();
  for (const auto& device : list.devices()) {
    table.add({device.device(),
               state_of(device),
               human_distance(device.last_seen_ms(), now),
               human_count(device.updates_accepted()),
               human_count(device.updates_rejected()),
               human_distance(device.certificate_expires_ms(), now)});
  }
  for (const auto& line : table.lines()) console.line(line);
  return {};
}

Result<void> device_show(Console& console, AdminLink& link, const std::string& device) {
  v1::AdminRequest request;
  request.mutable_show_device()->set_device(device);
  CHORUS_TRY(const auto detail, device_reply(link, request));
  if (console.json()) {
    console.value(to_json(detail));
    return {};
  }
  const auto& summary = detail.summary();
  console.line(fact("device", summary.device()));
  console.line(fact("state", state_of(summary)));
  console.line(fact("enrolled", human_instant(summary.enrolled_ms())));
  console.line(fact("last seen", human_instant(summary.last_seen_ms())));
  console.line(fact(
      "updates",
      fmt::format(
          "{} accepted, {} rejected", summary.updates_accepted(), summary.updates_rejected())));
  console.line(fact("certificate", summary.certificate_sha256()));
  console.line(fact("valid until", human_instant(summary.certificate_expires_ms())));
  if (detail.recent().empty()) return {};
  Table table({{"when"}, {"what"}, {"detail"}});
  for (const auto& entry : detail.recent()) {
    table.add({human_instant(entry.at_ms()), entry.what(), entry.detail()});
  }
  console.line();
  for (const auto& line : table.lines()) console.line(line);
  return {};
}

Result<void> device_revoke(Console& console,
                           AdminLink& link,
                           const std::string& device,
                           const std::string& why) {
  v1::AdminRequest request;
  request.mutable_revoke_device()->set_device(device);
  request.mutable_revoke_device()->set_why(why);
  CHORUS_TRY(const auto detail, device_reply(link, request));
  if (console.json()) console.value(to_json(detail));
  console.line(
      fmt::format("Device '{}' is revoked: it is cut off, and its certificate is worth "
                  "nothing any more.",
                  printable(detail.summary().device())));
  return {};
}

}  // namespace chorus::admin
