#include "server/driver/audit_log.hpp"

#include <utility>

#include <boost/asio/post.hpp>

#include "common/base/limits.hpp"
#include "common/base/log.hpp"

namespace chorus::server {

AuditLog::AuditLog(boost::asio::any_io_executor store,
                   Ledger& ledger,
                   std::function<TimePoint()> now)
    : store_(std::move(store)), ledger_(ledger), now_(std::move(now)) {}

void AuditLog::add(std::string who, std::string what, std::string detail) {
  spdlog::warn("{}: {}: {}", what, who, detail);
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
