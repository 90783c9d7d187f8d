// One file within a zip archive.
#pragma once

#include <filesystem>
#include <memory>
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

 private:
  explicit ZipMember(std::string name) : name_(std::move(name)) {}

  Failure damaged(int code) const;

  std::string name_;
  void* file_ = nullptr;  // minizip's handle
  bool member_open_ = false;
};

}  // namespace chorus::client
