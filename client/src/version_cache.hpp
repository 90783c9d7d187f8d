// Versions of models as files, so that a device neither downloads one twice nor starts an
// interrupted download from the beginning, and has what the next one is a change of.
//
//   <sha256>.safetensors   whole; its digest was right when it was put there
//   <sha256>.part          the first bytes of one
//
// Nothing is synced: whoever reads a file checks its digest, and can always download it again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "chorus/result.hpp"
#include "common/base/files.hpp"
#include "common/base/types.hpp"

namespace chorus::client {

class VersionCache {
 public:
  /// @pre the folder exists
  explicit VersionCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Reads a whole version of exactly into.size() bytes; false if there is none.
  Result<bool> read(const Sha256& version, std::span<std::byte> into) const;

  /// Opens the partial download, removing those of other versions. What it holds is read into the
  /// front of `into`; gives the number of bytes. More than fit are dropped. Later writes go through
  /// write_part().
  Result<std::uint64_t> open_part(const Sha256& version, std::span<std::byte> into);
  Result<void> write_part(std::uint64_t offset, std::span<const std::byte> data);
  /// The part begins anew.
  Result<void> clear_part();
  /// The part is whole and its digest is right: it becomes a version. Versions beyond
  /// limits::kCachedVersionsMax, the longest unused first, are removed.
  Result<void> finish_part();

  /// A version that was made here, its digest right.
  Result<void> put(const Sha256& version, std::span<const std::byte> file);

  /// Removes a version that proved to be damaged.
  Result<void> remove(const Sha256& version) const;

 private:
  std::filesystem::path version_path(const Sha256& version) const;
  std::filesystem::path part_path(const Sha256& version) const;
  Result<void> remove_other_parts(const Sha256& version) const;
  Result<void> prune() const;

  std::filesystem::path folder_;
  std::optional<Sha256> part_version_;
  UniqueFd part_;
};

}  // namespace chorus::client
