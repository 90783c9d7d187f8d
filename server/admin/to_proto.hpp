// Rows and runners as the messages administrators receive.
#pragma once

#include "chorus/v1/admin.pb.h"
#include "server/driver/board.hpp"
#include "server/store/ledger.hpp"

namespace chorus::server {

void put(const JobRunner& runner, v1::JobSummary& out);
void put(const RoundRow& row, v1::RoundSummary& out);
void put(const ReceiptRow& row, v1::RoundDevice& out);
void put(const DeviceRow& row, bool connected, v1::DeviceSummary& out);
void put(const VersionRow& row, const Sha256& current, v1::ModelSummary& out);
void put(const PlanLine& line, v1::PlanLine& out);
void put(const AuditRow& row, v1::AuditEntry& out);
void put(const std::vector<Metric>& metrics,
         google::protobuf::RepeatedPtrField<v1::MetricPoint>& out);

}  // namespace chorus::server
