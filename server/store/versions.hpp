// Immutable models, one file each, named by the SHA-256 of the file: `sha256sum` agrees. The file
// is safetensors, readable by the usual tools; metadata "chorus.model" holds the architecture,
// "chorus.normalise" how the job normalises features, if it says so.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "chorus/feature_scale.hpp"
#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/base/disk.hpp"
#include "common/base/types.hpp"

namespace chorus::server {

struct VersionInfo {
  Sha256 sha256;
  std::uint64_t bytes = 0;
  bool operator==(const VersionInfo&) const = default;
};

/// Reads one version. Usable on any thread.
class VersionReader {
 public:
  virtual ~VersionReader() = default;
  virtual const VersionInfo& info() const = 0;
  virtual const TensorLayout& layout() const = 0;
  virtual const ModelSpec& model() const = 0;
  /// Raw bytes of the file: what a device downloads.
  virtual Result<void> read_bytes(std::uint64_t offset, std::span<std::byte> into) const = 0;
  /// Parameters [first, first + into.size()).
  virtual Result<void> read_parameters(std::uint64_t first, std::span<float> into) const = 0;
  /// A hint: nobody is expected to read the parameters before `end` again. Who does, waits for the
  /// disk.
  virtual void forget(std::uint64_t end) const = 0;
};

/// Writes one version: append all parameters in order, then commit. Destroying it without commit
/// leaves nothing behind.
class VersionWriter {
 public:
  virtual ~VersionWriter() = default;
  virtual Result<void> append(std::span<const float> parameters) = 0;
  /// fsync, rename to its name, fsync of the folder. Writing an existing version again is fine.
  virtual Result<VersionInfo> commit() = 0;
};

/// The folder of versions. Thread-safe.
class VersionStore {
 public:
  /// Opens or creates; removes temporary files left by a crash.
  static Result<std::unique_ptr<VersionStore>> open(const std::filesystem::path& folder,
                                                    Disk& disk = local_disk());
  virtual ~VersionStore() = default;

  /// @param normalise  of the job's plan
  virtual Result<std::unique_ptr<VersionWriter>> begin(const ModelSpec& model,
                                                       std::span<const FeatureScale> normalise) = 0;
  /// @errors not_found; corrupt_data when header or length are wrong
  virtual Result<std::shared_ptr<const VersionReader>> open_version(const Sha256& name) const = 0;
  /// Re-reads the whole file and compares its digest with its name.
  virtual Result<void> verify(const Sha256& name) const = 0;
  virtual Result<std::vector<Sha256>> list() const = 0;
  virtual Result<void> remove(const Sha256& name) = 0;
  virtual std::filesystem::path path_of(const Sha256& name) const = 0;
};

}  // namespace chorus::server
