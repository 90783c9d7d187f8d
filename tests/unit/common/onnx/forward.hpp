// What the trainer's own engine says of a model: outputs of a batch in evaluation.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/model.hpp"
#include "client/train/tape/tape.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::test {

inline std::vector<float> outputs_of(const ModelSpec& model,
                                     std::span<const float> parameters,
                                     std::span<const float> inputs,
                                     std::size_t batch) {
  const auto layout = layout_of(model);
  EXPECT_TRUE(layout) << layout.error().detail;
  if (!layout) return {};
  tensor::AlignedBuffer<float> held(parameters.size());
  std::copy(parameters.begin(), parameters.end(), held.begin());
  std::vector<float> outputs;
  const train::ThreadLimit one(1);
  const auto done = train::guarded([&] {
    train::Tape tape({&model, &*layout, held.data(), nullptr, batch, train::Tape::Mode::evaluate});
    ASSERT_EQ(tape.input().size(), inputs.size());
    std::copy(inputs.begin(), inputs.end(), tape.input().begin());
    tape.forward();
    outputs.assign(tape.output().begin(), tape.output().end());
  });
  EXPECT_TRUE(done) << done.error().detail;
  return outputs;
}

}  // namespace chorus::test
