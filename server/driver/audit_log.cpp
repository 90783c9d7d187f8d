#include "server/driver/audit_log.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include <boost/asio/post.hpp>

#include "common/base/limits.hpp"
#include "common/base/log.hpp"

namespace chorus::server {

namespace {

/// What administrators are there to do is no reason to look; everything else is.
spdlog::level::level_enum level_of(std::string_view what) {
  constexpr std::string_view kOrdinary[] = {
      "token_created", "device_revoked", "job_submitted", "job_controlled", "round_controlled"};
  const bool ordinary =
      std::find(std::begin(kOrdinary), std::end(kOrdinary), what) != std::end(kOrdinary);
  return ordinary ? spdlog::level::info : spdlog::level::warn;
}

}  // namespace

AuditLog::AuditLog(boost::asio::any_io_executor store,
                   Ledger& ledger,
                   std::function<TimePoint()> now)
    : store_(std::move(store)), ledger_(ledger), now_(std::move(now)) {}

void AuditLog::add(std::string who, std::string what, std::string detail) {
  spdlog::log(level_of(what), "{}: {}: {}", what, who, detail);
  const std::lock_guard lock(mutex_);
  if (pending_.size() >= limits::kAuditPendingMax) {
    ++dropped_;
    return;
  }
  pending_.push_back(AuditRow{now_(), std::move(who), std::move(what), std::move(detail)});
  if (std::exchange(scheduled_, true)) return;
  boost::asio::post(store_, [this] { flush(); });
}

void AuditLog::flush() {
  std::vector<AuditRow> rows;
  {
    const std::lock_guard lock(mutex_);
    rows.swap(pending_);
    scheduled_ = false;
    if (dropped_ > 0) {
      rows.push_back(AuditRow{now_(),
                              "chorusd",
                              "audit_overflow",
                              std::to_string(dropped_) + " entries were not recorded"});
      dropped_ = 0;
    }
  }
  if (auto written = ledger_.add_audit(rows); !written) {
    spdlog::error("writing the audit table: {}", written.error().to_string());
  }
}

}  // namespace chorus::server
