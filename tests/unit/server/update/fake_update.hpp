// An update in memory, where a lane expects a journal's.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "server/store/journal.hpp"
#include "server/update/lane.hpp"

namespace chorus::server::test {

class FakeUpdate final : public UpdateReader {
 public:
  explicit FakeUpdate(std::vector<float> values) : values_(std::move(values)) {}

  std::uint64_t bytes() const override { return values_.size() * sizeof(float); }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (offset + into.size() > bytes()) return fail(errc::invalid_argument, "beyond the end");
    if (fails_from && offset + into.size() > *fails_from) {
      return fail(errc::io_failed, "the disk does not answer");
    }
    std::memcpy(
        into.data(), reinterpret_cast<const std::byte*>(values_.data()) + offset, into.size());
    return {};
  }

  std::optional<std::uint64_t> fails_from;  ///< bytes from here on cannot be read

 private:
  std::vector<float> values_;
};

/// Bytes of a compressed update, where a lane expects a journal's.
class FakeBytes final : public UpdateReader {
 public:
  explicit FakeBytes(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  std::uint64_t bytes() const override { return bytes_.size(); }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (offset + into.size() > bytes()) return fail(errc::invalid_argument, "beyond the end");
    if (fails_from && offset + into.size() > *fails_from) {
      return fail(errc::io_failed, "the disk does not answer");
    }
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  }

  std::optional<std::uint64_t> fails_from;  ///< as above

 private:
  std::vector<std::byte> bytes_;
};

inline std::shared_ptr<FakeUpdate> update_of(std::vector<float> values) {
  return std::make_shared<FakeUpdate>(std::move(values));
}

inline Lane::Form plain_form(std::uint64_t parameters) {
  return std::make_shared<const codec::UpdateForm>(codec::UpdateForm::plain(parameters));
}

inline std::shared_ptr<const UpdateBody> body_of(
    const std::shared_ptr<const UpdateReader>& reader,
    const codec::UpdateForm& form = codec::UpdateForm::plain(0)) {
  return std::make_shared<const UpdateBody>(UpdateBody::open(reader, form).value());
}

inline Contribution contribution_of(std::vector<float> values, std::uint64_t weight) {
  return {body_of(update_of(std::move(values))), weight};
}

}  // namespace chorus::server::test
