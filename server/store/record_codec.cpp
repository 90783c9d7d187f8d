#include "server/store/record_codec.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <xxhash.h>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::server {

using journal_format::RecordKind;

namespace {

std::uint64_t hash(std::span<const std::byte> data, std::uint64_t seed = 0) {
  return XXH3_64bits_withSeed(data.data(), data.size(), seed);
}

std::uint64_t record_checksum(std::span<const std::byte> checked_header,
                              std::span<const std::byte> payload,
                              std::uint64_t seed) {
  return hash(payload, hash(checked_header, seed));
}

template <std::size_t N>
std::array<std::byte, N> exactly(const ByteWriter& writer) {
  CHORUS_ASSERT(writer.view().size() == N);
  std::array<std::byte, N> bytes{};
  std::copy_n(writer.view().begin(), N, bytes.begin());
  return bytes;
}

bool has_magic(ByteReader& reader, std::string_view magic) {
  const auto found = reader.view(magic.size());
  return found.size() == magic.size() && std::memcmp(found.data(), magic.data(), magic.size()) == 0;
}

}  // namespace

void ByteWriter::put(const void* data, std::size_t size) {
  const auto* first = static_cast<const std::byte*>(data);
  data_.insert(data_.end(), first, first + size);
}

void ByteWriter::text(std::string_view value) {
  u32(static_cast<std::uint32_t>(value.size()));
  raw(value);
}

void ByteReader::bytes(std::span<std::byte> into) noexcept {
  const auto found = view(into.size());
  if (ok_) {
    std::copy(found.begin(), found.end(), into.begin());
  } else {
    std::fill(into.begin(), into.end(), std::byte{0});
  }
}

std::span<const std::byte> ByteReader::view(std::size_t size) noexcept {
  if (!ok_ || size > rest_.size()) {
    ok_ = false;
    return {};
  }
  const auto found = rest_.first(size);
  rest_ = rest_.subspan(size);
  return found;
}

std::string ByteReader::text(std::size_t bytes_max) {
  const std::uint32_t size = u32();
  if (size > bytes_max) ok_ = false;
  const auto found = view(size);
  return std::string(reinterpret_cast<const char*>(found.data()), found.size());
}

Result<void> check_meta(const UpdateMeta& meta) {
  if (meta.client.value.empty() || meta.client.value.size() > limits::kNameBytesMax) {
    return fail(errc::invalid_argument,
                fmt::format("a device name has {} bytes; expected 1 to {}",
                            meta.client.value.size(),
                            limits::kNameBytesMax));
  }
  if (meta.bytes > limits::kModelBytesMax) {
    return fail(errc::invalid_argument,
                fmt::format("the update of '{}' has {} bytes; at most {} are allowed",
                            meta.client.value,
                            meta.bytes,
                            limits::kModelBytesMax));
  }
  if (meta.metrics.size() > limits::kMetricsMax) {
    return fail(errc::invalid_argument,
                fmt::format("the update of '{}' has {} metrics; at most {} are allowed",
                            meta.client.value,
                            meta.metrics.size(),
                            limits::kMetricsMax));
  }
  for (const Metric& metric : meta.metrics) {
    if (metric.name.size() > limits::kNameBytesMax) {
      return fail(errc::invalid_argument,
                  fmt::format("a metric name of '{}' has {} bytes; at most {} are allowed",
                              meta.client.value,
                              metric.name.size(),
                              limits::kNameBytesMax));
    }
  }
  return {};
}

std::vector<std::byte> encode_meta(const UpdateMeta& meta) {
  ByteWriter writer;
  writer.text(meta.client.value);
  writer.u64(meta.bytes);
  writer.bytes(meta.digest.bytes);
  writer.bytes(meta.base.bytes);
  writer.u64(meta.examples.value);
  writer.u64(meta.steps);
  writer.f64(meta.seconds);
  writer.u32(static_cast<std::uint32_t>(meta.metrics.size()));
  for (const Metric& metric : meta.metrics) {
    writer.text(metric.name);
    writer.f64(metric.value);
  }
  return std::move(writer).take();
}

Result<UpdateMeta> parse_meta(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  UpdateMeta meta;
  meta.client.value = reader.text(limits::kNameBytesMax);
  meta.bytes = reader.u64();
  reader.bytes(meta.digest.bytes);
  reader.bytes(meta.base.bytes);
  meta.examples.value = reader.u64();
  meta.steps = reader.u64();
  meta.seconds = reader.f64();
  const std::uint32_t metrics = reader.u32();
  if (metrics > limits::kMetricsMax) {
    return fail(errc::corrupt_data,
                fmt::format("an update's metadata announces {} metrics; at most {} are allowed",
                            metrics,
                            limits::kMetricsMax));
  }
  for (std::uint32_t i = 0; i < metrics; ++i) {
    Metric metric;
    metric.name = reader.text(limits::kNameBytesMax);
    metric.value = reader.f64();
    meta.metrics.push_back(std::move(metric));
  }
  if (!reader.finished()) {
    return fail(errc::corrupt_data,
                fmt::format("an update's metadata of {} bytes is {}",
                            payload.size(),
                            reader.ok() ? "too long" : "too short"));
  }
  if (auto checked = check_meta(meta); !checked) {
    return fail(errc::corrupt_data, checked.error().detail);
  }
  return meta;
}

std::vector<std::byte> encode_commit(std::span<const std::uint64_t> ids) {
  ByteWriter writer;
  for (const std::uint64_t id : ids) writer.u64(id);
  return std::move(writer).take();
}

Result<std::vector<std::uint64_t>> parse_commit(std::span<const std::byte> payload) {
  if (payload.empty() || payload.size() % sizeof(std::uint64_t) != 0) {
    return fail(errc::corrupt_data,
                fmt::format("a commit has {} bytes; expected 8 for each update", payload.size()));
  }
  ByteReader reader(payload);
  std::vector<std::uint64_t> ids(payload.size() / sizeof(std::uint64_t));
  for (std::uint64_t& id : ids) id = reader.u64();
  return ids;
}

RecordHeaderBytes encode_record_header(const RecordHeader& header,
                                       std::span<const std::byte> payload,
                                       std::uint64_t seed) {
  CHORUS_ASSERT(payload.size() == header.payload_bytes);
  ByteWriter writer;
  writer.u32(journal_format::kRecordMagic);
  writer.u32(static_cast<std::uint32_t>(header.kind));
  writer.u64(header.update);
  writer.u64(header.body_offset);
  writer.u32(header.payload_bytes);
  writer.u32(0);
  writer.u64(record_checksum(writer.view(), payload, seed));
  return exactly<journal_format::kRecordHeaderBytes>(writer);
}

std::optional<RecordHeader> parse_record_header(const RecordHeaderBytes& bytes) {
  ByteReader reader(bytes);
  RecordHeader header;
  const std::uint32_t magic = reader.u32();
  const std::uint32_t kind = reader.u32();
  header.update = reader.u64();
  header.body_offset = reader.u64();
  header.payload_bytes = reader.u32();
  const std::uint32_t reserved = reader.u32();
  if (magic != journal_format::kRecordMagic || reserved != 0 || kind < 1 ||
      kind > static_cast<std::uint32_t>(RecordKind::abandon) ||
      header.payload_bytes > journal_format::kPayloadBytesMax) {
    return std::nullopt;
  }
  header.kind = static_cast<RecordKind>(kind);
  return header;
}

bool checksum_matches(const RecordHeaderBytes& header,
                      std::span<const std::byte> payload,
                      std::uint64_t seed) {
  const std::span<const std::byte> all(header);
  ByteReader stored(all.subspan(journal_format::kRecordCheckedBytes));
  const auto checked = all.first(journal_format::kRecordCheckedBytes);
  return stored.u64() == record_checksum(checked, payload, seed);
}

std::uint64_t journal_identity(std::string_view name) {
  return hash(std::as_bytes(std::span(name)));
}

SegmentHeaderBytes encode_segment_header(std::uint64_t identity,
                                         std::uint64_t number,
                                         std::uint64_t salt) {
  ByteWriter writer;
  writer.raw(journal_format::kSegmentMagic);
  writer.u32(journal_format::kVersion);
  writer.u32(0);
  writer.u64(number);
  writer.u64(salt);
  writer.u64(hash(writer.view(), identity));
  return exactly<journal_format::kSegmentHeaderBytes>(writer);
}

std::optional<std::uint64_t> parse_segment_header(const SegmentHeaderBytes& bytes,
                                                  std::uint64_t identity,
                                                  std::uint64_t number) {
  ByteReader reader(bytes);
  const bool magic = has_magic(reader, journal_format::kSegmentMagic);
  const std::uint32_t version = reader.u32();
  const std::uint32_t reserved = reader.u32();
  const std::uint64_t stored_number = reader.u64();
  const std::uint64_t salt = reader.u64();
  const std::uint64_t checksum = reader.u64();
  const auto checked = std::span<const std::byte>(bytes).first(bytes.size() - sizeof checksum);
  if (!magic || version != journal_format::kVersion || reserved != 0 || stored_number != number ||
      checksum != hash(checked, identity)) {
    return std::nullopt;
  }
  return salt;
}

MarkBytes encode_mark(journal_format::Position position) {
  ByteWriter writer;
  writer.raw(journal_format::kMarkMagic);
  writer.u64(position.segment);
  writer.u64(position.offset);
  writer.u64(hash(writer.view()));
  return exactly<journal_format::kMarkBytes>(writer);
}

std::optional<journal_format::Position> parse_mark(const MarkBytes& bytes) {
  ByteReader reader(bytes);
  const bool magic = has_magic(reader, journal_format::kMarkMagic);
  journal_format::Position position;
  position.segment = reader.u64();
  position.offset = reader.u64();
  const std::uint64_t checksum = reader.u64();
  const auto checked = std::span<const std::byte>(bytes).first(bytes.size() - sizeof checksum);
  if (!magic || checksum != hash(checked)) return std::nullopt;
  return position;
}

}  // namespace chorus::server
