// Small datasets and models for tests of the trainer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/client/dataset.hpp"
#include "chorus/model.hpp"
#include "common/base/rng.hpp"

namespace chorus::test {

/// Random features (normal), labels that follow from them: learnable by a linear model.
inline client::Dataset make_examples(std::vector<std::uint64_t> shape,
                                     std::size_t count,
                                     std::uint32_t classes,
                                     std::uint64_t seed = 1) {
  const std::size_t features =
      std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
  Rng rng(seed);
  client::Dataset::Parts parts;
  parts.feature_shape = std::move(shape);
  parts.classes = classes;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<double> scores(classes);
    for (std::size_t k = 0; k < features; ++k) {
      const double value = rng.normal();
      parts.features.push_back(static_cast<float>(value));
      scores[k % classes] += value;
    }
    std::uint32_t best = 0;
    for (std::uint32_t c = 1; c < classes; ++c) {
      if (scores[c] > scores[best]) best = c;
    }
    parts.labels.push_back(best);
  }
  auto dataset = client::Dataset::create(std::move(parts));
  EXPECT_TRUE(dataset) << dataset.error().to_string();
  return std::move(dataset).value();
}

inline std::vector<std::string> list_of(const client::ExampleKeys& keys) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < keys.size(); ++i) all.push_back(keys[i]);
  return all;
}

inline client::ExampleKeys keys_of(const std::vector<std::string>& names) {
  client::ExampleKeys keys;
  for (const std::string& name : names) keys.add(name);
  return keys;
}

inline std::vector<std::uint32_t> rows_up_to(std::size_t count) {
  std::vector<std::uint32_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0U);
  return rows;
}

inline std::vector<float> start_of(const ModelSpec& model, std::uint64_t seed = 3) {
  auto parameters = initial_parameters(model, seed);
  EXPECT_TRUE(parameters) << parameters.error().to_string();
  return std::move(parameters).value();
}

}  // namespace chorus::test
