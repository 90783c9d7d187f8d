#include "client/src/kept_state.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/tensor/json_text.hpp"
#include "common/wire/messages.hpp"

namespace chorus::client {
namespace {

constexpr std::string_view kFormat = "chorus-state-1";
constexpr std::size_t kHeaderBytesMax = 64U << 10U;
constexpr std::size_t kDigestBytes = 16;

struct Content {
  std::string job;
  std::uint64_t round = 0;
  std::string layout;
  std::uint64_t epoch = 0;
  std::map<std::string, std::vector<float>, std::less<>> vectors;
};

std::string layout_id(const TensorLayout& layout) {
  BodyHasher hasher;
  for (const TensorSpec& tensor : layout.tensors) {
    std::string text = tensor.name + (tensor.buffer ? "\nbuffer" : "\n");
    for (const std::uint64_t side : tensor.shape) text += " " + std::to_string(side);
    text += "\n";
    hasher.update(std::as_bytes(std::span(text)));
  }
  return hex(hasher.digest());
}

std::vector<std::byte> bytes_of_content(const Content& content) {
  nlohmann::json vectors = nlohmann::json::array();
  for (const auto& [name, numbers] : content.vectors) {
    vectors.push_back({{"name", name}, {"count", numbers.size()}});
  }
  const nlohmann::json header = {{"format", kFormat},
                                 {"job", content.job},
                                 {"round", content.round},
                                 {"layout", content.layout},
                                 {"epoch", content.epoch},
                                 {"vectors", vectors}};
  const std::string text = header.dump();
  std::size_t total = sizeof(std::uint32_t) + text.size() + kDigestBytes;
  for (const auto& [name, numbers] : content.vectors) total += numbers.size() * sizeof(float);
  std::vector<std::byte> out;
  out.reserve(total);
  out.resize(sizeof(std::uint32_t));
  const auto length = static_cast<std::uint32_t>(text.size());
  std::memcpy(out.data(), &length, sizeof(length));
  const auto add = [&out](std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  add(std::as_bytes(std::span(text)));
  for (const auto& [name, numbers] : content.vectors) add(std::as_bytes(std::span(numbers)));
  BodyHasher hasher;
  hasher.update(out);
  const BodyDigest digest = hasher.digest();
  add(std::as_bytes(std::span(digest.bytes)));
  return out;
}

Failure damaged(const std::filesystem::path& path, std::string_view what) {
  return fail(errc::corrupt_data, "'" + path.string() + "' " + std::string(what));
}

Result<void> read_header(const nlohmann::json& header, Content& into, std::size_t& numbers) {
  const bool fits = header.is_object() && header.value("format", "") == kFormat &&
                    header.contains("vectors") && header["vectors"].is_array();
  if (!fits) return fail(errc::corrupt_data, "another format");
  into.job = header.value("job", "");
  into.round = header.value("round", std::uint64_t{0});
  into.layout = header.value("layout", "");
  into.epoch = header.value("epoch", std::uint64_t{0});
  for (const auto& vector : header["vectors"]) {
    const auto count = vector.value("count", std::uint64_t{0});
    if (count > limits::kModelBytesMax / sizeof(float)) return fail(errc::corrupt_data, "a count");
    into.vectors[vector.value("name", "")].resize(0);
    numbers += count;
  }
  return {};
}

Result<Content> read_content(Disk& disk, const std::filesystem::path& path) {
  CHORUS_TRY(const auto bytes,
             disk.read_whole(path, limits::kStateVectorsMax * limits::kModelBytesMax));
  std::uint32_t length = 0;
  if (bytes.size() < sizeof(length) + kDigestBytes) return damaged(path, "is too short");
  std::memcpy(&length, bytes.data(), sizeof(length));
  const auto content = std::span(bytes).first(bytes.size() - kDigestBytes);
  BodyHasher hasher;
  hasher.update(content);
  if (std::memcmp(hasher.digest().bytes.data(), bytes.data() + content.size(), kDigestBytes) != 0) {
    return damaged(path, "does not have the digest that it ends with");
  }
  if (length > kHeaderBytesMax || length > content.size() - sizeof(length)) {
    return damaged(path, "has a header of " + std::to_string(length) + " bytes");
  }
  const std::string text(reinterpret_cast<const char*>(bytes.data()) + sizeof(length), length);
  auto header = tensor::parse_json(text, {});
  if (!header) return damaged(path, header.error().detail);
  Content made;
  std::size_t numbers = 0;
  try {
    if (const auto read = read_header(*header, made, numbers); !read) {
      return damaged(path, "has a header with " + read.error().detail);
    }
    auto next = content.subspan(sizeof(length) + length);
    if (next.size() != numbers * sizeof(float)) return damaged(path, "has another length");
    for (const auto& vector : (*header)["vectors"]) {
      auto& into = made.vectors[vector["name"].get<std::string>()];
      into.resize(vector["count"].get<std::size_t>());
      std::memcpy(into.data(), next.data(), into.size() * sizeof(float));
      next = next.subspan(into.size() * sizeof(float));
    }
  } catch (const std::exception& error) {
    return damaged(path, error.what());
  }
  return made;
}

std::filesystem::path state_path(const std::filesystem::path& folder, const std::string& job) {
  return folder / (job + ".state");
}

}  // namespace

void KeptState::read_once() const {
  if (std::exchange(read_, true)) return;
  const auto path = state_path(place_.folder, place_.task.job.value);
  auto content = read_content(*place_.disk, path);
  if (!content && content.error().code == errc::not_found) return;
  if (content && content->layout != layout_id(*place_.layout)) {
    content = damaged(path, "belongs to another layout of tensors");
  }
  if (!content) {
    spdlog::warn("local state of job {} begins anew: {}",
                 place_.task.job.value,
                 content.error().to_string());
    return;
  }
  epoch_ = content->epoch;
  vectors_ = std::move(content->vectors);
}

std::uint64_t KeptState::epoch() const {
  read_once();
  return epoch_;
}

Result<std::optional<std::vector<float>>> KeptState::load(std::string_view name) {
  read_once();
  const auto found = vectors_.find(name);
  if (found == vectors_.end()) return std::optional<std::vector<float>>();
  return std::optional(found->second);
}

Result<void> KeptState::store(std::string_view name, std::span<const float> numbers) {
  read_once();
  if (!wire::valid_name(name)) {
    return fail(errc::invalid_argument,
                "local state named '" + std::string(name) + "'; expected a name of a-z 0-9 . _ -");
  }
  staged_.insert_or_assign(std::string(name), std::vector<float>(numbers.begin(), numbers.end()));
  std::size_t names = staged_.size();
  for (const auto& [kept, unused] : vectors_) names += staged_.contains(kept) ? 0 : 1;
  if (names <= limits::kStateVectorsMax) return {};
  staged_.erase(staged_.find(name));
  return fail(errc::invalid_argument,
              "local state of more than " + std::to_string(limits::kStateVectorsMax) + " vectors");
}

Result<void> KeptState::stage() {
  if (staged_.empty()) return {};
  CHORUS_OK(place_.disk->make_folder(place_.folder, 0700));
  Content content{place_.task.job.value,
                  place_.task.round.value,
                  layout_id(*place_.layout),
                  epoch_ + 1,
                  staged_};
  content.vectors.insert(vectors_.begin(), vectors_.end());  // what is staged stays
  const auto bytes = bytes_of_content(content);
  return place_.disk->write_durably(place_.folder / "next", bytes, 0600);
}

Result<void> KeptState::accept(const std::filesystem::path& folder,
                               const TaskRef& task,
                               Disk& disk) {
  const auto next = folder / "next";
  const auto content = read_content(disk, next);
  if (!content && content.error().code == errc::not_found) {
    // It was accepted before, maybe by a process that died before the name was durable.
    CHORUS_TRY(const bool there, disk.exists(folder));
    return there ? disk.sync_folder(folder) : Result<void>();
  }
  if (!content) return content.error();
  if (content->job != task.job.value || content->round != task.round.value) {
    return discard(folder, disk);
  }
  CHORUS_OK(disk.rename(next, state_path(folder, content->job)));
  return disk.sync_folder(folder);
}

Result<void> KeptState::discard(const std::filesystem::path& folder, Disk& disk) {
  return disk.remove_if_there(folder / "next");
}

}  // namespace chorus::client
