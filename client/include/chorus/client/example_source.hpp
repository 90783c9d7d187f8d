// Examples of your own: from a camera, a database, a file format that is not read here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "chorus/export.hpp"
#include "chorus/feature_scale.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// What all examples of a source have in common.
struct ExampleFormat {
  std::vector<std::uint64_t> feature_shape;  ///< of one example: {64} or {1, 8, 8}
  std::uint32_t classes = 0;                 ///< labels are below this; 0: there are no labels
  std::uint64_t target_count = 0;            ///< of one example; 0: none
  std::string name;                          ///< for messages: "'train.idx'", "camera"
  /// What features were normalised by: one for all, one per channel (the first extent of
  /// feature_shape), or one per feature; none: they are as measured. A plan that says how to
  /// normalise starts from what was measured.
  std::vector<FeatureScale> scales{};
};

/// Where the rows of a read go, example after example. An empty span is not wanted: a source that
/// has its labels in memory then leaves its features alone.
struct ExampleRows {
  std::span<float> features;        ///< f32[rows × product(feature_shape)]
  std::span<std::uint32_t> labels;  ///< u32[rows]; never asked of a source without labels
  std::span<float> targets;         ///< f32[rows × target_count]
};

/// Examples that the trainer reads as it needs them, so that they need not fit into memory. Make a
/// Dataset of it with Dataset::of().
///
/// A source does not change: format() and size() are asked once, and the same number gives the same
/// example every time, on which the determinism of training rests. read() may be called from
/// several threads at once, if several trainers share the source.
class CHORUS_EXPORT ExampleSource {
 public:
  virtual ~ExampleSource();

  virtual ExampleFormat format() const = 0;
  virtual std::size_t size() const = 0;

  /// Writes the examples with these numbers, in this order, to the spans of `into` that are not
  /// empty. A Failure ends the task that reads; say which file and which place. What is written is
  /// checked by the caller: a number that is not finite, or a label beyond the classes, is a
  /// Failure that names source and example.
  /// @param examples  each below size(); a number may occur more than once
  virtual Result<void> read(std::span<const std::uint32_t> examples,
                            const ExampleRows& into) const = 0;

 protected:
  ExampleSource() = default;
  ExampleSource(const ExampleSource&) = default;
  ExampleSource& operator=(const ExampleSource&) = default;
};

}  // namespace chorus::client
