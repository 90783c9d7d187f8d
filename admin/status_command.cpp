#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "admin/commands.hpp"
#include "admin/message_json.hpp"
#include "admin/replies.hpp"
#include "chorus/v1/admin.pb.h"
#include "common/base/try.hpp"

namespace chorus::admin {

Result<void> status(Console& console, AdminLink& link, const Federation& federation) {
  v1::AdminRequest request;
  request.mutable_server_status();
  CHORUS_TRY(const auto reply, link.call(request));
  if (!reply.has_status()) return wrong_reply("its status");
  const auto& status = reply.status();
  if (console.json()) console.value(to_json(status));
  console.line(fact("server", federation.server));
  console.line(
      fact("software", fmt::format("{}, kernels {}", status.software(), status.kernels())));
  console.line(fact("started",
                    fmt::format("{} ({})",
                                human_instant(status.started_ms()),
                                human_distance(status.started_ms(), now_ms()))));
  console.line(fact("connections", human_count(status.sessions())));
  console.line(fact("open jobs", human_count(status.jobs_open())));
  console.line(fact("memory",
                    fmt::format("{} of {} granted",
                                human_bytes(status.memory_granted_bytes()),
                                human_bytes(status.memory_budget_bytes()))));
  return {};
}

Result<void> audit(Console& console, AdminLink& link, std::uint32_t last) {
  v1::AdminRequest request;
  request.mutable_list_audit()->set_last(last);
  CHORUS_TRY(const auto reply, link.call(request));
  if (!reply.has_audit()) return wrong_reply("its audit log");
  if (console.json()) console.value(to_json(reply.audit()));
  if (reply.audit().entries().empty()) {
    console.line("Nothing has been recorded yet.");
    return {};
  }
  Table table({{"when"}, {"who"}, {"what"}, {"detail"}});
  for (const auto& entry : reply.audit().entries()) {
    table.add({human_instant(entry.at_ms()), entry.who(), entry.what(), entry.detail()});
  }
  for (const auto& line : table.lines()) console.line(line);
  return {};
}

}  // namespace chorus::admin
