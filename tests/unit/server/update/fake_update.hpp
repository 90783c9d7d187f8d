// An update in memory, where a lane expects a journal's.
#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "server/store/journal.hpp"

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

inline std::shared_ptr<FakeUpdate> update_of(std::vector<float> values) {
  return std::make_shared<FakeUpdate>(std::move(values));
}

}  // namespace chorus::server::test
