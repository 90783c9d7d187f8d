// Shared by the commands: asking, and what several of them show.
#pragma once

#include <string>
#include <string_view>

#include "admin/admin_link.hpp"
#include "admin/text.hpp"
#include "chorus/result.hpp"

namespace chorus::v1 {
class JobSummary;
class RoundSummary;
}  // namespace chorus::v1

namespace chorus::admin {

/// The failure for a reply of another kind than was asked for.
Failure wrong_reply(std::string_view wanted);

/// The value of a round's metric, NaN when it is not there. "loss" is that of the evaluation, or,
/// without one, the mean the devices reported from training.
double metric_of(const v1::RoundSummary& round, std::string_view name);

/// Seconds from opening to closing; to `now_ms` while it is open.
double seconds_of(const v1::RoundSummary& round, std::int64_t now_ms);

/// round, loss, accuracy, accepted, rejected, discarded, up, down, time.
Table round_table();
void add_round(Table& table, const v1::RoundSummary& round, std::int64_t now_ms);

/// "name:" and value, aligned.
std::string fact(std::string_view name, std::string_view value);

/// Milliseconds since the epoch.
std::int64_t now_ms();

}  // namespace chorus::admin
