// Local state on disk: what a job's trainer keeps between tasks, in the folder kept/ of the state
// folder.
//
//   <job>.state   as the last accepted task left it
//   next          as the task in hand will leave it, once it is accepted; then renamed
//
// A file: its JSON header's length (u32, little-endian), the header (format, job, round, layout,
// epoch, vectors with name and count), the vectors (float32, little-endian), XXH3-128 of it all.
// What is damaged or of another layout of tensors is dropped with a line in the log.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/client/local_state.hpp"
#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/base/disk.hpp"
#include "common/base/types.hpp"

namespace chorus::client {

class KeptState final : public LocalState {
 public:
  struct Place {
    std::filesystem::path folder;  ///< made when missing, 0700
    TaskRef task;                  ///< the task in hand
    const TensorLayout* layout = nullptr;
    Disk* disk = &local_disk();
  };
  /// Reads nothing before it is asked to.
  explicit KeptState(Place place) : place_(std::move(place)) {}

  std::uint64_t epoch() const override;
  Result<std::optional<std::vector<float>>> load(std::string_view name) override;
  /// @errors invalid_argument: a bad name, or more than limits::kStateVectorsMax
  Result<void> store(std::string_view name, std::span<const float> numbers) override;

  /// Makes what was stored durable as `next`; without store() nothing.
  /// @errors io_failed, disk_full
  Result<void> stage();

  /// The task was accepted: what it staged, if anything, counts now, also after a power cut.
  static Result<void> accept(const std::filesystem::path& folder,
                             const TaskRef& task,
                             Disk& disk = local_disk());
  /// No task in hand: what is staged came to nothing.
  static Result<void> discard(const std::filesystem::path& folder, Disk& disk = local_disk());

 private:
  using Vectors = std::map<std::string, std::vector<float>, std::less<>>;
  void read_once() const;

  Place place_;
  mutable bool read_ = false;
  mutable std::uint64_t epoch_ = 0;
  mutable Vectors vectors_;
  Vectors staged_;
};

}  // namespace chorus::client
