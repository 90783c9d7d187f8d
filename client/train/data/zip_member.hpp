// One file within a zip archive.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "chorus/result.hpp"
#include "client/train/data/byte_source.hpp"

namespace chorus::client {

/// Reads the bytes of a member, stored or deflated, and checks its checksum at its end.
class ZipMember final : public ByteSource {
 public:
  /// @param member  its name in the archive, such as "x.npy"
  /// @errors not_found, io_failed; malformed_file: no zip archive, no such member (the message
  ///         names those that are there), encrypted, another compression, damaged
  static Result<std::unique_ptr<ZipMember>> open(const std::filesystem::path& archive,
                                                 const std::string& member);
  ~ZipMember() override;
  ZipMember(const ZipMember&) = delete;
  ZipMember& operator=(const ZipMember&) = delete;

  /// @errors malformed_file: damaged, cut short, or a wrong checksum
  Result<std::size_t> read(std::span<std::byte> into) override;
  std::string name() const override { return name_; }

  /// Where its bytes lie in the archive as they are; none: they are compressed.
  std::optional<std::uint64_t> stored_at() const noexcept { return stored_at_; }
  std::uint64_t size() const noexcept { return size_; }  ///< of its bytes, as the archive says
  std::uint64_t position() const noexcept { return position_; }  ///< of the next read()

 private:
  explicit ZipMember(std::string name) : name_(std::move(name)) {}

  Failure damaged(int code) const;

  std::string name_;
  void* file_ = nullptr;  // minizip's handle
  bool member_open_ = false;
  std::optional<std::uint64_t> stored_at_;
  std::uint64_t size_ = 0;
  std::uint64_t position_ = 0;
};

}  // namespace chorus::client
