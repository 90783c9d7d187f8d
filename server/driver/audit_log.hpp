// Writes what an auditor wants to know to the ledger, in batches, without making anybody wait.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "common/base/types.hpp"
#include "server/store/ledger.hpp"

namespace chorus::server {

class AuditLog {
 public:
  AuditLog(boost::asio::any_io_executor store, Ledger& ledger, std::function<TimePoint()> now);

  /// Any thread. `what` is one of the words docs/operations.md lists; it is logged, too, as a
  /// warning unless it is what administrators are there to do. When more entries wait than
  /// limits::kAuditPendingMax the surplus is counted and the count recorded instead.
  void add(std::string who, std::string what, std::string detail);

 private:
  void flush();  // on the store thread

  boost::asio::any_io_executor store_;
  Ledger& ledger_;
  std::function<TimePoint()> now_;
  std::mutex mutex_;
  std::vector<AuditRow> pending_;
  std::uint64_t dropped_ = 0;
  bool scheduled_ = false;
};

}  // namespace chorus::server
