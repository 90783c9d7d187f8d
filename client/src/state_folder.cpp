#include "client/src/state_folder.hpp"

#include <cerrno>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/crypto/x509.hpp"
#include "common/tensor/json_text.hpp"

namespace chorus::client {
namespace {

constexpr std::size_t kPemBytesMax = 64U << 10U;
constexpr std::string_view kIdentityFormat = "chorus-identity-1";

// Does not mind if the file is not there.
Result<void> remove_file(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return errno_failure(errno, "removing", path);
  }
  return {};
}

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

Result<wire::Offer> read_offer(const std::filesystem::path& path) {
  CHORUS_TRY(const std::string text,
             read_text(path, wire::kHeaderBytes + limits::kMessageBytesMax));
  const auto bytes = bytes_of(text);
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

}  // namespace

Result<StateFolder> StateFolder::open(const std::filesystem::path& folder) {
  CHORUS_OK(make_folders(folder, 0700));
  auto lock = lock_folder(folder);
  if (!lock) {
    const bool busy = lock.error().code == errc::busy;
    const std::string hint = busy ? "; every device needs a state folder of its own" : "";
    return fail(lock.error().code, lock.error().detail + hint);
  }
  CHORUS_OK(make_folders(folder / "versions", 0700));
  return StateFolder(folder, std::move(*lock));
}

// ---- identity ----

bool StateFolder::has_identity() const {
  std::error_code ignored;
  return std::filesystem::exists(path_ / "identity.json", ignored);
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
  return write_durably(path_ / "key.pem", pem, 0600);
}

Result<void> StateFolder::store_certificate(const std::string& pem) const {
  return write_durably(path_ / "certificate.pem", pem);
}

Result<void> StateFolder::store_identity(const DeviceIdentity& identity) const {
  CHORUS_OK(write_durably(path_ / "ca.pem", identity.ca_pem));
  CHORUS_OK(store_certificate(identity.certificate_pem));
  const nlohmann::json document = {
      {"format", kIdentityFormat}, {"server", identity.server}, {"name", identity.name}};
  return write_durably(path_ / "identity.json", document.dump(2) + "\n");
}

// ---- the unfinished upload ----

Result<StateFolder::UploadWriter> StateFolder::write_upload() const {
  CHORUS_OK(drop_upload());
  CHORUS_TRY(UniqueFd file, open_file(path_ / "upload.body", O_WRONLY | O_CREAT | O_TRUNC, 0600));
  return UploadWriter(path_, std::move(file));
}

Result<void> StateFolder::UploadWriter::append(std::span<const std::byte> data) {
  CHORUS_OK(write_at(file_.get(), bytes_, data, folder_ / "upload.body"));
  bytes_ += data.size();
  return {};
}

Result<void> StateFolder::UploadWriter::commit(const wire::Offer& offer) {
  CHORUS_OK(sync_file(file_.get(), folder_ / "upload.body"));
  CHORUS_TRY(const auto frame, wire::encode(offer));
  // Syncs the folder, too, in which the body's name is as new as the offer's.
  return write_durably(folder_ / "upload.offer", std::span<const std::byte>(frame), 0600);
}

Result<std::optional<wire::Offer>> StateFolder::unfinished_upload(std::string* damage) const {
  const auto offer_path = path_ / "upload.offer";
  const auto body_path = path_ / "upload.body";
  std::error_code ignored;
  if (!std::filesystem::exists(offer_path, ignored)) {
    CHORUS_OK(drop_upload());  // a body without its offer was never finished
    return std::optional<wire::Offer>();
  }
  auto offer = read_offer(offer_path);
  std::error_code error;
  const auto body_bytes = std::filesystem::file_size(body_path, error);
  if (offer && !error && body_bytes == offer->bytes) {
    return std::optional<wire::Offer>(std::move(*offer));
  }
  *damage = offer ? "'" + body_path.string() + "' does not have the " +
                        std::to_string(offer->bytes) + " bytes of its offer"
                  : offer.error().detail;
  CHORUS_OK(drop_upload());
  return std::optional<wire::Offer>();
}

Result<void> StateFolder::read_upload(std::span<std::byte> into) const {
  const auto path = path_ / "upload.body";
  CHORUS_TRY(const UniqueFd file, open_file(path, O_RDONLY));
  return read_at(file.get(), 0, into, path);
}

Result<void> StateFolder::drop_upload() const {
  // The offer first: without it the body does not count. Not synced: if a power cut brings it back,
  // the server answers the repeated offer as it did before.
  CHORUS_OK(remove_file(path_ / "upload.offer"));
  return remove_file(path_ / "upload.body");
}

}  // namespace chorus::client
