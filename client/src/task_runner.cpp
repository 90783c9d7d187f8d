#include "client/src/task_runner.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "chorus/kernels/kernels.hpp"
#include "client/src/update_encoder.hpp"
#include "common/base/clock.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/tensor/plan_rules.hpp"

namespace chorus::client {
namespace {

static_assert(std::endian::native == std::endian::little,
              "update bodies are little-endian and sent as they lie in memory");

constexpr std::size_t kTileFloats = 64U << 10U;  // stays in the L2 cache through all passes

Result<void> check_report(const TaskReport& report) {
  if (report.examples == 0) {
    return fail(errc::weight_out_of_range, "the trainer reports 0 examples; expected at least 1");
  }
  if (report.metrics.size() > limits::kMetricsMax) {
    return fail(errc::invalid_argument,
                "the trainer reports " + std::to_string(report.metrics.size()) +
                    " metrics; at most " + std::to_string(limits::kMetricsMax) + " are allowed");
  }
  if (report.parts.size() > limits::kReportPartsMax) {
    return fail(errc::invalid_argument,
                "the trainer reports " + std::to_string(report.parts.size()) + " parts; at most " +
                    std::to_string(limits::kReportPartsMax) + " are allowed");
  }
  const bool empty = std::any_of(report.parts.begin(),
                                 report.parts.end(),
                                 [](const ReportPart& part) { return part.numbers.empty(); });
  if (empty || (!report.delta && report.parts.empty())) {
    return fail(errc::invalid_argument, "the trainer reports a part without numbers, or no part");
  }
  if (!std::isfinite(report.epochs) || report.epochs < 0.0) {
    return fail(errc::invalid_argument,
                "the trainer reports " + std::to_string(report.epochs) + " epochs");
  }
  for (const Metric& metric : report.metrics) {
    if (!wire::valid_name(metric.name)) {
      return fail(errc::invalid_argument,
                  "the trainer reports a metric named '" + metric.name +
                      "'; expected a name of a-z 0-9 . _ -");
    }
    if (!std::isfinite(metric.value)) {
      return fail(errc::not_finite,
                  "the trainer reports " + metric.name + " = " + std::to_string(metric.value));
    }
  }
  return {};
}

Result<TaskReport> call(Trainer& trainer, const TaskInput& input, std::span<float> y) {
  const wire::Work& work = *input.work;
  try {
    if (const auto* plan = std::get_if<TrainPlan>(&work.plan)) {
      const TrainTask task{work.task.job.value,
                           work.task.round.value,
                           *plan,
                           &work.spec,
                           input.layout,
                           input.cancel,
                           {},
                           input.state};
      return trainer.train(task, y);
    }
    const EvaluateTask task{work.task.job.value,
                            work.task.round.value,
                            std::get<EvaluatePlan>(work.plan),
                            &work.spec,
                            input.layout,
                            input.cancel};
    return trainer.evaluate(task, input.parameters);
  } catch (const std::exception& error) {
    return fail(errc::internal, std::string("the trainer threw an exception: ") + error.what());
  } catch (...) {
    return fail(errc::internal, "the trainer threw an exception of an unknown type");
  }
}

// A trainer that passes over a field of the plan would report something else than the server takes
// it for.
Result<void> check_kinds(const TaskReport& report, const TrainPlan& plan) {
  std::vector<ReportKind> kinds;
  if (report.delta) kinds.push_back(ReportKind::delta);
  for (const ReportPart& part : report.parts) kinds.push_back(part.kind);
  if (kinds == tensor::reports_of(plan)) return {};
  return fail(errc::unsupported_feature,
              "the trainer's report has other parts than the plan asks for");
}

Result<void> check_finite(std::span<const float> tile, std::string_view what, std::size_t at) {
  if (kernels::stats_f32(tile).finite) return {};
  return fail(errc::not_finite,
              std::string(what) + " holds a NaN or an infinity within elements " +
                  std::to_string(at) + " to " + std::to_string(at + tile.size() - 1) +
                  "; training diverged");
}

// Codecs are for the difference of models; nobody has asked for other parts beside it yet. And who
// dies before it hears that its update was accepted must be able to ask, where the next one goes on
// from it.
Result<void> check_compression(const TrainPlan& plan, const TaskInput& input) {
  if (!plan.compression) return {};
  if (tensor::reports_of(plan) != std::vector{ReportKind::delta}) {
    return fail(errc::unsupported_feature,
                "the plan compresses a report that is not the difference of models alone");
  }
  if (plan.compression->feedback == Feedback::difference && input.durable == nullptr) {
    return fail(errc::unsupported_feature,
                "the plan wants differences to what was accepted before, and this client was made "
                "with durable_upload = false: it could not tell after its death what was");
  }
  return {};
}

// Body and hash of a report, written as it is formed.
class BodyMaker {
 public:
  explicit BodyMaker(std::optional<StateFolder::UploadWriter>& writer) : writer_(writer) {}

  // y becomes y - x, tile by tile: subtracted, checked, hashed and written while in the cache.
  Result<void> add_difference(std::span<float> y, std::span<const float> x) {
    for (std::size_t at = 0; at < y.size(); at += kTileFloats) {
      const auto tile = y.subspan(at, std::min(kTileFloats, y.size() - at));
      kernels::subtract_f32(tile, x.subspan(at, tile.size()), tile);
      CHORUS_OK(check_finite(tile, "the update", at));
      CHORUS_OK(add_bytes(std::as_bytes(tile)));
    }
    return {};
  }

  Result<void> add(std::span<const float> numbers, std::string_view what) {
    for (std::size_t at = 0; at < numbers.size(); at += kTileFloats) {
      const auto tile = numbers.subspan(at, std::min(kTileFloats, numbers.size() - at));
      CHORUS_OK(check_finite(tile, what, at));
      CHORUS_OK(add_bytes(std::as_bytes(tile)));
    }
    return {};
  }

  Result<void> add_bytes(std::span<const std::byte> bytes) {
    hasher_.update(bytes);
    if (!writer_) return {};
    return writer_->append(bytes);
  }

  BodyDigest digest() const { return hasher_.digest(); }

 private:
  std::optional<StateFolder::UploadWriter>& writer_;
  BodyHasher hasher_;
};

// The parts as they will lie behind each other in the body. Of a plain report there is one: y - x.
std::vector<wire::ReportPart> parts_of(const TaskReport& report, std::size_t parameters) {
  std::vector<wire::ReportPart> parts;
  if (report.delta) parts.push_back({ReportKind::delta, parameters});
  for (const ReportPart& part : report.parts) parts.push_back({part.kind, part.numbers.size()});
  return parts;
}

std::span<float> floats_of(UpdateBuffer& buffer) {
  return {reinterpret_cast<float*>(buffer.data()), buffer.size() / sizeof(float)};
}

// A body of several parts, in a buffer of its own: y is where the first one is.
Result<std::shared_ptr<UpdateBuffer>> gather(const TaskReport& report, std::span<const float> y) {
  std::size_t count = report.delta ? y.size() : 0;
  for (const ReportPart& part : report.parts) count += part.numbers.size();
  CHORUS_TRY(auto made, UpdateBuffer::create(count * sizeof(float)));
  auto* next = floats_of(made).data();
  if (report.delta) next = std::copy(y.begin(), y.end(), next);
  for (const ReportPart& part : report.parts) {
    next = std::copy(part.numbers.begin(), part.numbers.end(), next);
  }
  return std::make_shared<UpdateBuffer>(std::move(made));
}

Result<std::shared_ptr<UpdateBuffer>> copy_of(const TaskInput& input) {
  std::shared_ptr<UpdateBuffer> y = input.scratch;
  if (y == nullptr || y->size() != input.parameters.size_bytes()) {
    y.reset();
    CHORUS_TRY(auto fresh, UpdateBuffer::create(input.parameters.size_bytes()));
    y = std::make_shared<UpdateBuffer>(std::move(fresh));
  }
  std::copy(input.parameters.begin(), input.parameters.end(), floats_of(*y).begin());
  return y;
}

// y becomes y - x.
Result<void> subtract(std::span<float> y, std::span<const float> x) {
  kernels::subtract_f32(y, x, y);
  return check_finite(y, "the update", 0);
}

Result<std::shared_ptr<UpdateBuffer>> buffer_of(std::span<const std::byte> body) {
  CHORUS_TRY(auto made, UpdateBuffer::create(body.size()));
  std::copy(body.begin(), body.end(), made.begin());
  return std::make_shared<UpdateBuffer>(std::move(made));
}

wire::Offer offer_of(const wire::Work& work, const TaskReport& report, double seconds) {
  wire::Offer offer;
  offer.task = work.task;
  offer.base = work.model.sha256;
  offer.examples = Examples{report.examples};
  offer.steps = report.steps;
  offer.seconds = seconds;
  offer.metrics = report.metrics;
  offer.epochs = report.epochs;
  offer.ending = report.ending;
  offer.state_epoch = report.state_epoch;
  return offer;
}

}  // namespace

Result<FinishedTask> run_task(Trainer& trainer, const TaskInput& input) {
  const auto began = SteadyClock::now();
  const bool trains = input.work->task.kind == TaskKind::train;
  if (trains) CHORUS_OK(check_compression(std::get<TrainPlan>(input.work->plan), input));
  FinishedTask finished;
  std::span<float> y;
  if (trains) {
    CHORUS_TRY(finished.update, copy_of(input));
    y = floats_of(*finished.update);
  }
  CHORUS_TRY(const TaskReport report, call(trainer, input, y));
  if (input.cancel->cancelled()) return fail(errc::cancelled, "the task is no longer wanted");
  CHORUS_OK(check_report(report));
  if (trains) CHORUS_OK(check_kinds(report, std::get<TrainPlan>(input.work->plan)));
  const std::chrono::duration<double> seconds = SteadyClock::now() - began;
  finished.offer = offer_of(*input.work, report, seconds.count());
  if (!trains) return finished;

  const auto& plan = std::get<TrainPlan>(input.work->plan);
  std::optional<StateFolder::UploadWriter> writer;
  if (input.durable != nullptr) {
    CHORUS_TRY(writer, input.durable->write_upload());
  }
  BodyMaker body(writer);
  if (plan.compression) {
    CHORUS_OK(subtract(y, input.parameters));
    CHORUS_TRY(const auto encoded, encode_update(plan, *input.layout, y, input.state, input.basis));
    if (encoded.state_epoch) finished.offer.state_epoch = encoded.state_epoch;
    finished.scratch = std::move(finished.update);
    CHORUS_TRY(finished.update, buffer_of(encoded.body));
    CHORUS_OK(body.add_bytes(finished.update->span()));
  } else {
    if (report.delta) CHORUS_OK(body.add_difference(y, input.parameters));
    for (const ReportPart& part : report.parts) CHORUS_OK(body.add(part.numbers, "the report"));
  }
  if (!report.parts.empty()) {
    finished.offer.parts = parts_of(report, y.size());
    CHORUS_TRY(finished.update, gather(report, y));
  }
  finished.offer.digest = body.digest();
  finished.offer.bytes = finished.update->size();
  // An upload that counts has its state beside it.
  if (input.state != nullptr) CHORUS_OK(input.state->stage());
  if (writer) CHORUS_OK(writer->commit(finished.offer));
  return finished;
}

}  // namespace chorus::client
