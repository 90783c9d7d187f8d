// Which parts of a model are trained, which stay on the device, and what is measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace chorus {

/// What training may change. A pattern is the name of a tensor in which '*' stands for any
/// characters and '?' for one: "dense2.*" is a layer, "*.bias" every bias. What is not trainable
/// (running values of norms too) keeps its bits, and costs no optimiser memory; nothing is computed
/// backwards beyond the first layer that is trained.
struct Trainable {
  std::vector<std::string> only{};    ///< patterns; empty: all tensors
  std::vector<std::string> frozen{};  ///< patterns; taken out of those
  bool mask = false;  ///< only elements where the task's vector "mask" is not 0 change
  bool operator==(const Trainable&) const = default;
};

/// What is measured at the received model, before the first step. Each is a part of the report, the
/// means over the first `batches` batches (in order of the data; 0: all).
struct Probe {
  bool gradient_norms = false;  ///< ‖∂f/∂tensor‖² of every tensor but buffers, in layout order; add
                                ///< those of a layer for its own. Also metrics norm_test_mean
                                ///< (mean ‖g_B‖² over batches) and norm_test_square (‖mean g_B‖²)
  bool losses = false;  ///< mean, standard deviation, least, quartiles (3), largest of the examples
  bool labels = false;  ///< examples of each class
  bool statistics = false;       ///< batch norm: every buffer, as the batches here alone make it
  std::string representation{};  ///< a layer's name or a mark's: its output, by class below
  bool by_class = false;         ///< mean per class (0 where there is none) instead of one mean
  std::uint32_t batches = 0;
  bool only = false;  ///< no training, and no difference of models
  bool operator==(const Probe&) const = default;
};

}  // namespace chorus
