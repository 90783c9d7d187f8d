// Gradients and losses over any number of rows, a batch at a time, and what was met on the way.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "client/train/network.hpp"
#include "client/train/plan/totals.hpp"
#include "client/train/plan/vectors.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "common/tensor/tensor_selection.hpp"

namespace chorus::train {

using Rows = std::span<const std::uint32_t>;

/// 0, 1, …, count − 1.
std::vector<std::uint32_t> first_rows(std::size_t count);

/// Whether a pass counts in the metrics: of two passes over the same rows only one does.
enum class Counted : bool { no, yes };

class Passes {
 public:
  /// @pre check_augmentation(augmentation, data.feature_shape())
  Passes(Network& network,
         const client::Dataset& data,
         const TrainPlan& plan,
         const client::Augmentation& augmentation = {});

  Network& network() noexcept { return network_; }
  const client::Dataset& data() const noexcept { return data_; }
  const TrainPlan& plan() const noexcept { return plan_; }
  /// What is trained, without buffers; buffers. Set by choose(), like the two below.
  vectors::Ranges trained() const noexcept { return trained_; }
  vectors::Ranges buffers() const noexcept { return buffers_; }
  const std::vector<bool>& trained_tensors() const noexcept { return chosen_; }
  bool trains_all() const noexcept;
  /// @errors as tensor::trainable_of
  Result<void> choose();

  /// From here on examples are augmented, as pass `number` over the data wants it; until
  /// end_training(), the plain ones again.
  void begin_pass(std::uint64_t number);
  void end_training() noexcept { training_ = false; }

  /// Number of the next batch, from which dropout draws.
  std::uint64_t number() const noexcept { return next_; }

  /// network().gradient() ← the gradient of the mean loss over the rows, in what is trained.
  /// @errors not_finite: the loss is not; as Network
  Result<void> gradient(Rows rows, Counted counted = Counted::yes);
  /// The same with the dropout of the passes from `number` on.
  Result<void> gradient_as(std::uint64_t number, Rows rows, Counted counted);
  /// One batch; dense layers step their own weights.
  Result<void> fused(Rows rows, const FusedStep& step);
  /// The mean loss, as in evaluation. Counts.
  Result<double> loss(Rows rows);
  Result<double> loss_uncounted(Rows rows);

  /// Rows of a batch, and the batch that tapes are made for.
  Batch batch(Rows rows) noexcept {
    return {rows, capacity_, training_ && augmenter_ ? &*augmenter_ : nullptr};
  }
  std::size_t batch_size() const noexcept { return plan_.batch_size; }
  Totals& totals() noexcept { return totals_; }
  std::uint64_t steps = 0;  ///< made so far

  Failure diverged() const;

 private:
  Result<void> one(Rows rows, const FusedStep* fused, Counted counted);

  Network& network_;
  const client::Dataset& data_;
  const TrainPlan& plan_;
  std::size_t capacity_;
  Totals totals_;
  std::optional<Augmenter> augmenter_;
  bool training_ = false;
  std::vector<bool> chosen_;
  std::vector<tensor::Range> trained_;
  std::vector<tensor::Range> buffers_;
  tensor::AlignedBuffer<float> sum_;
  std::uint64_t key_ = 0;
  std::uint64_t next_ = 0;
};

/// Saves buffers (batch norm's running values) and gives them their values back at its end.
class BuffersKept {
 public:
  explicit BuffersKept(Passes& passes);
  BuffersKept(const BuffersKept&) = delete;
  BuffersKept& operator=(const BuffersKept&) = delete;
  ~BuffersKept();

 private:
  Passes& passes_;
  std::vector<float> values_;
};

}  // namespace chorus::train
