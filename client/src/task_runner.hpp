// One task on the compute thread: trainer, update, checks, offer.
#pragma once

#include <memory>
#include <span>

#include "chorus/client/trainer.hpp"
#include "chorus/result.hpp"
#include "client/src/kept_state.hpp"
#include "client/src/state_folder.hpp"
#include "common/codec/basis.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "common/wire/messages.hpp"

namespace chorus::client {

/// Aligned: a plain update is trained in place, as floats.
using UpdateBuffer = tensor::AlignedBuffer<std::byte>;

struct FinishedTask {
  wire::Offer offer;
  std::shared_ptr<UpdateBuffer> update;   ///< the body; null for an evaluation
  std::shared_ptr<UpdateBuffer> scratch;  ///< of the next task; null if `update` will do
};

struct TaskInput {
  const wire::Work* work = nullptr;
  const TensorLayout* layout = nullptr;
  std::span<const float> parameters;  ///< the received model x
  const CancelToken* cancel = nullptr;
  const StateFolder* durable = nullptr;       ///< where the update is stored; null: nowhere
  KeptState* state = nullptr;                 ///< what the job keeps on the device; null: nothing
  std::shared_ptr<const codec::Basis> basis;  ///< of the round; null: none
  std::shared_ptr<UpdateBuffer> scratch;      ///< of a former task, to be used again; may be null
};

/// Calls the trainer, forms the body (y - x, compressed or with the other parts of the report
/// behind it), checks it and the report, and makes it durable, after the local state that belongs
/// to it.
/// @errors of the trainer; cancelled; not_finite (the body has a NaN or an infinity);
///         weight_out_of_range (no examples); invalid_argument (metrics, parts); busy (memory);
///         io_failed, disk_full; internal (an exception)
Result<FinishedTask> run_task(Trainer& trainer, const TaskInput& input);

}  // namespace chorus::client
