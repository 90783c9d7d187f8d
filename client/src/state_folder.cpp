#include "client/src/state_folder.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/crypto/x509.hpp"
#include "common/tensor/json_text.hpp"

namespace chorus::client {
namespace {

constexpr unsigned kMode = 0700;
constexpr unsigned kFileMode = 0600;
constexpr std::size_t kPemBytesMax = 64U << 10U;
constexpr std::string_view kIdentityFormat = "chorus-identity-1";

Result<std::string> text_field(const nlohmann::json& document,
                               const char* key,
                               const std::filesystem::path& path) {
  const auto found = document.find(key);
  if (found == document.end() || !found->is_string()) {
    return fail(errc::malformed_file,
                "'" + path.string() + "' has no text \"" + key + "\"; enrol the device anew");
  }
  return found->get<std::string>();
}

}  // namespace

Result<StateFolder> StateFolder::open(const std::filesystem::path& folder, Disk& disk) {
  CHORUS_OK(disk.make_folder(folder, kMode));
  auto lock = disk.lock(folder);
  if (!lock) {
    const bool busy = lock.error().code == errc::busy;
    const std::string hint = busy ? "; every device needs a state folder of its own" : "";
    return fail(lock.error().code, lock.error().detail + hint);
  }
  CHORUS_OK(disk.make_folder(folder / "versions", kMode));
  return StateFolder(folder, disk, std::move(*lock));
}

// ---- identity ----

bool StateFolder::has_identity() const {
  const auto there = disk_->exists(path_ / "identity.json");
  return there && *there;
}

Result<DeviceIdentity> StateFolder::identity() const {
  const auto path = path_ / "identity.json";
  if (!has_identity()) {
    return fail(errc::not_found,
                "the state folder '" + path_.string() +
                    "' holds no identity; enrol the device with a join token first");
  }
  CHORUS_TRY(const std::string text, read_text(path, kPemBytesMax));
  auto document = tensor::parse_json(text, {});
  if (!document) {
    return fail(errc::malformed_file, "'" + path.string() + "': " + document.error().detail);
  }
  CHORUS_TRY(const std::string format, text_field(*document, "format", path));
  if (format != kIdentityFormat) {
    return fail(errc::malformed_file,
                "'" + path.string() + "' has the format '" + format + "'; expected " +
                    std::string(kIdentityFormat));
  }
  DeviceIdentity identity;
  CHORUS_TRY(identity.server, text_field(*document, "server", path));
  CHORUS_TRY(identity.name, text_field(*document, "name", path));
  CHORUS_TRY(identity.certificate_pem, read_text(path_ / "certificate.pem", kPemBytesMax));
  CHORUS_TRY(identity.key_pem, read_text(path_ / "key.pem", kPemBytesMax));
  CHORUS_TRY(identity.ca_pem, read_text(path_ / "ca.pem", kPemBytesMax));
  return identity;
}

Result<std::string> StateFolder::key_pem() const {
  auto text = read_text(path_ / "key.pem", kPemBytesMax);
  if (!text && text.error().code == errc::not_found) return std::string();
  return text;
}

Result<void> StateFolder::store_key(const std::string& pem) const {
  return disk_->write_durably(path_ / "key.pem", bytes_of(pem), kFileMode);
}

Result<void> StateFolder::store_certificate(const std::string& pem) const {
  return disk_->write_durably(path_ / "certificate.pem", bytes_of(pem));
}

Result<void> StateFolder::store_identity(const DeviceIdentity& identity) const {
  CHORUS_OK(disk_->write_durably(path_ / "ca.pem", bytes_of(identity.ca_pem)));
  CHORUS_OK(store_certificate(identity.certificate_pem));
  const nlohmann::json document = {
      {"format", kIdentityFormat}, {"server", identity.server}, {"name", identity.name}};
  const std::string text = document.dump(2) + "\n";
  return disk_->write_durably(path_ / "identity.json", bytes_of(text));
}

// ---- the unfinished upload ----

Result<StateFolder::UploadWriter> StateFolder::write_upload() const {
  CHORUS_OK(drop_upload());
  CHORUS_TRY(auto file, disk_->open(path_ / "upload.body", FileUse::replace, kFileMode));
  return UploadWriter(*disk_, std::move(file));
}

Result<void> StateFolder::UploadWriter::append(std::span<const std::byte> data) {
  CHORUS_OK(file_->write(bytes_, data));
  bytes_ += data.size();
  return {};
}

Result<void> StateFolder::UploadWriter::commit(const wire::Offer& offer) {
  CHORUS_OK(file_->sync());
  CHORUS_TRY(const auto frame, wire::encode(offer));
  // Syncs the folder, too, in which the body's name is as new as the offer's.
  const auto offer_path = file_->path().parent_path() / "upload.offer";
  return disk_->write_durably(offer_path, std::span<const std::byte>(frame), kFileMode);
}

Result<wire::Offer> StateFolder::read_offer() const {
  const auto path = path_ / "upload.offer";
  CHORUS_TRY(const auto whole,
             disk_->read_whole(path, wire::kHeaderBytes + limits::kMessageBytesMax));
  const std::span<const std::byte> bytes(whole);
  if (bytes.size() < wire::kHeaderBytes) {
    return fail(errc::corrupt_data, "'" + path.string() + "' is shorter than a frame's header");
  }
  CHORUS_TRY(const auto header, wire::decode_header(bytes.first<wire::kHeaderBytes>()));
  const auto rest = bytes.subspan(wire::kHeaderBytes);
  if (header.kind != wire::FrameKind::offer || header.message_bytes != rest.size()) {
    return fail(errc::corrupt_data, "'" + path.string() + "' is not the frame of an offer");
  }
  CHORUS_TRY(auto message, wire::decode(header.kind, rest));
  return std::get<wire::Offer>(std::move(message));
}

Result<std::optional<wire::Offer>> StateFolder::unfinished_upload(std::string* damage) const {
  auto offer = read_offer();
  if (!offer && offer.error().code == errc::not_found) {
    CHORUS_OK(drop_upload());  // a body without its offer was never finished
    return std::optional<wire::Offer>();
  }
  const auto body_path = path_ / "upload.body";
  const auto body_bytes = [&]() -> Result<std::uint64_t> {
    CHORUS_TRY(const auto body, disk_->open(body_path, FileUse::read));
    return body->size();
  }();
  if (offer && body_bytes && *body_bytes == offer->bytes) {
    return std::optional<wire::Offer>(std::move(*offer));
  }
  *damage = offer ? "'" + body_path.string() + "' does not have the " +
                        std::to_string(offer->bytes) + " bytes of its offer"
                  : offer.error().detail;
  CHORUS_OK(drop_upload());
  return std::optional<wire::Offer>();
}

Result<void> StateFolder::read_upload(std::span<std::byte> into) const {
  CHORUS_TRY(const auto file, disk_->open(path_ / "upload.body", FileUse::read));
  return file->read(0, into);
}

Result<void> StateFolder::drop_upload() const {
  // The offer first: without it the body does not count. Not synced: if a power cut brings it back,
  // the server answers the repeated offer as it did before.
  CHORUS_OK(disk_->remove_if_there(path_ / "upload.offer"));
  return disk_->remove_if_there(path_ / "upload.body");
}

}  // namespace chorus::client
