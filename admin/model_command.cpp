#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "admin/commands.hpp"
#include "admin/message_json.hpp"
#include "admin/replies.hpp"
#include "chorus/v1/admin.pb.h"
#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/onnx/onnx.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_metadata.hpp"

namespace chorus::admin {
namespace fs = std::filesystem;
namespace {

Result<v1::ModelDetail> model_reply(AdminLink& link,
                                    const std::string& job,
                                    const std::string& version) {
  v1::AdminRequest request;
  request.mutable_show_model()->set_job(job);
  request.mutable_show_model()->set_version(version);
  CHORUS_TRY(auto reply, link.call(request));
  if (!reply.has_model()) return wrong_reply("a model");
  return std::move(*reply.mutable_model());
}

std::string round_text(const v1::ModelSummary& model) {
  return model.round() == 0 ? "initial" : std::to_string(model.round());
}

// A file that takes its name only when it is complete; else it disappears.
class PartFile {
 public:
  static Result<PartFile> create(const fs::path& target) {
    auto part = target;
    part += fmt::format(".part-{}", ::getpid());
    CHORUS_TRY(auto fd, open_file(part, O_WRONLY | O_CREAT | O_TRUNC));
    return PartFile(std::move(part), std::move(fd));
  }
  PartFile(PartFile&& other) noexcept
      : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)), bytes_(other.bytes_) {}
  PartFile& operator=(PartFile&&) = delete;
  ~PartFile() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove(path_, ignored);
  }

  Result<void> append(std::span<const std::byte> data) {
    CHORUS_OK(write_at(fd_.get(), bytes_, data, path_));
    bytes_ += data.size();
    hasher_.update(data);
    return {};
  }
  Result<void> check(const Sha256& expected) {
    if (const auto found = hasher_.finish(); found != expected) {
      return fail(errc::digest_mismatch,
                  fmt::format("the model arrived with SHA-256 {}, expected {}; try again",
                              hex(found),
                              hex(expected)));
    }
    return {};
  }
  Result<void> commit(const fs::path& target, const Sha256& expected) {
    CHORUS_OK(check(expected));
    CHORUS_OK(sync_file(fd_.get(), path_));
    std::error_code error;
    fs::rename(path_, target, error);
    if (error) return fail(errc::io_failed, target.string() + ": " + error.message());
    path_.clear();
    return sync_folder(fs::absolute(target).parent_path());
  }
  std::uint64_t bytes() const noexcept { return bytes_; }
  const fs::path& path() const noexcept { return path_; }

 private:
  PartFile(fs::path path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  fs::path path_;
  UniqueFd fd_;
  std::uint64_t bytes_ = 0;
  Sha256Hasher hasher_;
};

// A version's file says its architecture itself.
Result<void> write_onnx(const fs::path& version, const fs::path& target) {
  CHORUS_TRY(const auto file, tensor::read_safetensors(version));
  const auto about = tensor::version_metadata(file.metadata);
  if (!about) return wrong_reply("a model with its architecture");
  CHORUS_TRY(const auto bytes,
             onnx::export_model(about->model, file.data.span(), about->normalise));
  return write_durably(target, std::string_view(bytes));
}

}  // namespace

Result<void> model_list(Console& console, AdminLink& link, const std::string& job) {
  v1::AdminRequest request;
  request.mutable_list_models()->set_job(job);
  CHORUS_TRY(const auto reply, link.call(request));
  if (!reply.has_models()) return wrong_reply("the list of models");
  if (console.json()) console.value(to_json(reply.models()));
  using enum Table::Align;
  Table table({{"version", left}, {"round", right}, {"size", right}, {"made", left}, {"", left}});
  for (const auto& model : reply.models().models()) {
    table.add({short_digest(model.sha256()),
               round_text(model),
               human_bytes(model.bytes()),
               human_instant(model.created_ms()),
               model.current()   ? "current"
               : model.removed() ? "removed"
                                 : ""});
  }
  for (const auto& line : table.lines()) console.line(line);
  return {};
}

Result<void> model_show(Console& console,
                        AdminLink& link,
                        const std::string& job,
                        const std::string& version) {
  CHORUS_TRY(const auto model, model_reply(link, job, version));
  if (console.json()) {
    console.value(to_json(model));
    return {};
  }
  const auto& summary = model.summary();
  console.line(fact("version", summary.sha256() + (summary.current() ? "  (current)" : "")));
  console.line(fact("job", summary.job()));
  console.line(fact("round", round_text(summary)));
  console.line(fact("size", human_bytes(summary.bytes())));
  console.line(fact("parameters", human_count(summary.parameters())));
  console.line(fact("made", human_instant(summary.created_ms())));
  for (const auto& metric : summary.metrics()) {
    console.line(fact(metric.name(), human_metric(metric.value())));
  }
  Table table({{"tensor"}, {"shape"}});
  for (const auto& tensor : model.tensors()) {
    table.add({tensor.name(), fmt::format("{}", fmt::join(tensor.shape(), "×"))});
  }
  console.line();
  for (const auto& line : table.lines()) console.line(line);
  return {};
}

Result<void> model_export(Console& console, AdminLink& link, const ExportOptions& options) {
  std::error_code ignored;
  if (!options.overwrite && fs::exists(options.output, ignored)) {
    return fail(errc::already_exists,
                fmt::format("'{}' exists; --overwrite replaces it", options.output.string()));
  }
  CHORUS_TRY(const auto model, model_reply(link, options.job, options.version));
  const auto& summary = model.summary();
  CHORUS_TRY(const auto digest, parse_sha256(summary.sha256()));
  if (summary.bytes() == 0 || summary.bytes() > limits::kModelBytesMax)
    return wrong_reply("a model");
  CHORUS_TRY(auto file, PartFile::create(options.output));
  const auto total = summary.bytes();
  const AdminLink::Sink sink = [&](std::span<const std::byte> data) -> Result<void> {
    CHORUS_OK(file.append(data));
    console.progress("exporting", file.bytes(), total);
    return {};
  };
  CHORUS_OK(link.fetch(digest, total, sink));
  if (options.format == ExportFormat::onnx) {
    CHORUS_OK(file.check(digest));
    CHORUS_OK(write_onnx(file.path(), options.output));
  } else {
    CHORUS_OK(file.commit(options.output, digest));
  }
  if (console.json()) {
    nlohmann::ordered_json value;
    value["path"] = fs::absolute(options.output).string();
    value["model"] = to_json(summary);
    console.value(value);
  }
  if (options.format == ExportFormat::onnx) {
    console.line(fmt::format("{}: {}, ONNX opset {}, from version {}",
                             options.output.string(),
                             human_bytes(fs::file_size(options.output, ignored)),
                             onnx::kExportOpset,
                             short_digest(summary.sha256())));
    return {};
  }
  console.line(fmt::format(
      "{}: {}, SHA-256 {}", options.output.string(), human_bytes(total), summary.sha256()));
  return {};
}

}  // namespace chorus::admin
