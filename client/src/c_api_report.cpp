// What a custom trainer reports, in C. Checked as it is said, so that the trainer learns of a
// mistake at its place; what the plan has to do with it is checked by the task's runner.
#include <cmath>
#include <string>

#include "client/src/c_api_trainer.hpp"
#include "common/base/limits.hpp"
#include "common/wire/messages.hpp"

namespace chorus::capi {
namespace {

Result<void> add_metric(chorus_report* report, const char* name, double value) {
  CHORUS_TRY(auto* const opened, open_handle(report));
  CHORUS_TRY(const std::string_view text, not_null(name, "name"));
  if (!wire::valid_name(text)) {
    return fail(errc::invalid_argument,
                "'" + std::string(text) + "' is no name of a metric: expected 1 to " +
                    std::to_string(limits::kNameBytesMax) +
                    " characters a-z 0-9 . _ -, beginning with a letter or digit");
  }
  if (!std::isfinite(value)) {
    return fail(errc::not_finite,
                "the metric '" + std::string(text) + "' is " + std::to_string(value) +
                    "; expected a finite number");
  }
  if (opened->report.metrics.size() == limits::kMetricsMax) {
    return fail(errc::invalid_argument,
                "a report has at most " + std::to_string(limits::kMetricsMax) + " metrics");
  }
  opened->report.metrics.push_back({std::string(text), value});
  return {};
}

Result<void> add_part(chorus_report* report,
                      chorus_part part,
                      const float* numbers,
                      std::uint64_t count) {
  CHORUS_TRY(auto* const opened, open_handle(report));
  CHORUS_OK(not_null(numbers, "numbers"));
  if (part <= CHORUS_PART_DELTA || part > CHORUS_PART_REPRESENTATIONS) {
    return fail(errc::invalid_argument,
                "part is " + std::to_string(static_cast<unsigned>(part)) +
                    "; expected a chorus_part but CHORUS_PART_DELTA, which is reported by itself");
  }
  if (count == 0) return fail(errc::invalid_argument, "count is 0; a part has numbers");
  if (opened->report.parts.size() == limits::kReportPartsMax) {
    return fail(errc::invalid_argument,
                "a report has at most " + std::to_string(limits::kReportPartsMax) + " parts");
  }
  opened->report.parts.push_back({static_cast<ReportKind>(part), {numbers, numbers + count}});
  return {};
}

// Sets what `set` sets, of an open report.
template <class Set>
chorus_status with(chorus_report* report, Set&& set) noexcept {
  return guarded([&]() -> Result<void> {
    CHORUS_TRY(auto* const opened, open_handle(report));
    return set(opened->report);
  });
}

}  // namespace
}  // namespace chorus::capi

namespace capi = chorus::capi;
using chorus::Result;
using chorus::client::TaskReport;

extern "C" {

chorus_status chorus_report_examples(chorus_report* report, uint64_t examples) {
  return capi::with(report, [&](TaskReport& to) -> Result<void> {
    if (examples == 0) {
      return chorus::fail(chorus::errc::weight_out_of_range, "examples is 0; expected at least 1");
    }
    to.examples = examples;
    return {};
  });
}

chorus_status chorus_report_steps(chorus_report* report, uint64_t steps) {
  return capi::with(report, [&](TaskReport& to) -> Result<void> {
    to.steps = steps;
    return {};
  });
}

chorus_status chorus_report_epochs(chorus_report* report, double epochs) {
  return capi::with(report, [&](TaskReport& to) -> Result<void> {
    if (!std::isfinite(epochs) || epochs < 0.0) {
      return chorus::fail(
          chorus::errc::invalid_argument,
          "epochs is " + std::to_string(epochs) + "; expected a finite number of 0 or more");
    }
    to.epochs = epochs;
    return {};
  });
}

chorus_status chorus_report_ending(chorus_report* report, chorus_ending ending) {
  return capi::with(report, [&](TaskReport& to) -> Result<void> {
    if (ending < CHORUS_ENDING_BUDGET || ending > CHORUS_ENDING_DEVICE) {
      return chorus::fail(chorus::errc::invalid_argument,
                          "ending is " + std::to_string(static_cast<unsigned>(ending)) +
                              "; expected a chorus_ending");
    }
    to.ending = static_cast<chorus::Ending>(ending);
    return {};
  });
}

chorus_status chorus_report_metric(chorus_report* report, const char* name, double value) {
  return capi::guarded([&] { return capi::add_metric(report, name, value); });
}

chorus_status chorus_report_part(chorus_report* report,
                                 chorus_part part,
                                 const float* numbers,
                                 uint64_t count) {
  return capi::guarded([&] { return capi::add_part(report, part, numbers, count); });
}

chorus_status chorus_report_no_delta(chorus_report* report) {
  return capi::with(report, [&](TaskReport& to) -> Result<void> {
    to.delta = false;
    return {};
  });
}

chorus_status chorus_report_state_epoch(chorus_report* report, uint64_t epoch) {
  return capi::with(report, [&](TaskReport& to) -> Result<void> {
    to.state_epoch = epoch;
    return {};
  });
}

}  // extern "C"
