// Examples that are files of classes, decoded whenever they are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/client/example_source.hpp"
#include "client/train/data/class_folders.hpp"
#include "common/base/try.hpp"

namespace chorus::client {

class FolderSource final : public ExampleSource {
 public:
  /// Writes the features of a file; called from several threads.
  using Decode =
      std::function<Result<void>(const std::filesystem::path& path, std::span<float> features)>;

  FolderSource(ExampleFormat format, std::vector<ClassFile> files, Decode decode)
      : format_(std::move(format)), files_(std::move(files)), decode_(std::move(decode)) {}

  ExampleFormat format() const override { return format_; }
  std::size_t size() const override { return files_.size(); }

  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    const std::size_t each = into.features.size() / std::max<std::size_t>(1, examples.size());
    for (std::size_t i = 0; i < examples.size(); ++i) {
      const ClassFile& file = files_[examples[i]];
      if (!into.labels.empty()) into.labels[i] = file.label;
      if (into.features.empty()) continue;
      CHORUS_OK(decode_(file.path, into.features.subspan(i * each, each)));
    }
    return {};
  }

 private:
  ExampleFormat format_;
  std::vector<ClassFile> files_;
  Decode decode_;
};

struct FolderReading {
  std::filesystem::path folder;  ///< for messages
  std::vector<std::uint64_t> feature_shape;
  FolderSource::Decode decode;
  bool stream = false;
  std::uint64_t bytes_max = 0;
};
/// A dataset of such files: with `stream` decoded as they are read and kept up to `bytes_max`, else
/// all at once, and then at most so many bytes of features.
/// @errors as Dataset::of(), cached(), loaded()
Result<FolderDataset> read_classes(ClassFolders classes, FolderReading how);

}  // namespace chorus::client
