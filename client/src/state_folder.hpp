// The device's state folder: who it is, the versions it keeps, the update it has not delivered.
//
// - lock: held while a process uses the folder
// - key.pem: the private key, 0600; written before it is first used, kept on renewal
// - ca.pem, certificate.pem: the latter is replaced as one step on renewal
// - identity.json: server, name, fingerprint of the CA; written last: with it the identity is whole
// - upload.body: an update, raw float32
// - upload.offer: the frame of its offer; written after the body is on disk: with it the upload
//   counts, without it the body is rubbish
// - versions/: see version_cache.hpp
// - kept/: see kept_state.hpp
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "chorus/result.hpp"
#include "common/base/disk.hpp"
#include "common/base/types.hpp"
#include "common/wire/messages.hpp"

namespace chorus::client {

/// Who the device is, as enrolment left it.
struct DeviceIdentity {
  std::string server;  ///< "host:port" that it enrolled at
  std::string name;
  std::string certificate_pem;
  std::string key_pem;
  std::string ca_pem;
};

class StateFolder {
 public:
  /// Makes the folder (0700) when missing and locks it.
  /// @errors busy: another process uses it; io_failed, disk_full
  static Result<StateFolder> open(const std::filesystem::path& folder, Disk& disk = local_disk());

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path versions_path() const { return path_ / "versions"; }
  std::filesystem::path kept_path() const { return path_ / "kept"; }
  Disk& disk() const noexcept { return *disk_; }

  // ---- identity ----

  bool has_identity() const;
  /// @errors not_found (enrol first), malformed_file
  Result<DeviceIdentity> identity() const;
  /// The key of an enrolment that was begun, or empty. @errors malformed_file
  Result<std::string> key_pem() const;
  Result<void> store_key(const std::string& pem) const;
  /// Everything but the key, in the order that leaves no half identity behind.
  Result<void> store_identity(const DeviceIdentity& identity) const;
  Result<void> store_certificate(const std::string& pem) const;

  // ---- the unfinished upload ----

  /// A body that is being written. Destroyed before commit(): the upload does not exist.
  class UploadWriter {
   public:
    Result<void> append(std::span<const std::byte> data);
    /// Makes body and offer durable, in this order.
    Result<void> commit(const wire::Offer& offer);

   private:
    friend class StateFolder;
    UploadWriter(Disk& disk, std::unique_ptr<File> file) : disk_(&disk), file_(std::move(file)) {}
    Disk* disk_;
    std::unique_ptr<File> file_;
    std::uint64_t bytes_ = 0;
  };
  /// Begins a new one; what was there before is gone.
  Result<UploadWriter> write_upload() const;
  /// The offer of an upload that a former process left; none also when what is there is damaged
  /// (it is then removed, and `damage` says why).
  Result<std::optional<wire::Offer>> unfinished_upload(std::string* damage) const;
  /// Reads the body of unfinished_upload(). @pre into.size() == offer.bytes
  Result<void> read_upload(std::span<std::byte> into) const;
  Result<void> drop_upload() const;

 private:
  StateFolder(std::filesystem::path path, Disk& disk, std::unique_ptr<FolderLock> lock)
      : path_(std::move(path)), disk_(&disk), lock_(std::move(lock)) {}
  Result<wire::Offer> read_offer() const;

  std::filesystem::path path_;
  Disk* disk_;
  std::unique_ptr<FolderLock> lock_;
};

}  // namespace chorus::client
