// What `chorus watch` shows, as pure functions of what the server says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace chorus::v1 {
class JobProgress;
class RoundSummary;
}  // namespace chorus::v1

namespace chorus::admin {

/// The job has ended, whether well or not.
bool has_ended(const v1::JobProgress& progress);

/// The round is closed and nothing more will be measured in it.
bool is_complete(const v1::RoundSummary& round, const v1::JobProgress& progress);

/// The picture on a terminal: the job, the progress bar, the table of the last rounds.
std::vector<std::string> picture(const v1::JobProgress& progress, std::int64_t now_ms);

/// "round 3/20  loss 0.4120  accuracy 0.8812  10 accepted  0 rejected  0 discarded  up 548 kB  down
/// 548 kB  1.20 s", for logs.
std::string round_line(const v1::RoundSummary& round, std::uint64_t rounds_total);

/// "Job 'digits' is finished after 20 rounds: …".
std::string ending(const v1::JobProgress& progress);

}  // namespace chorus::admin
