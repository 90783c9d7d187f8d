// A stored update, cut into the payloads of its form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "common/codec/update_form.hpp"
#include "server/store/journal.hpp"

namespace chorus::server {

class UpdateBody {
 public:
  /// @errors of reading; as UpdateForm::offsets, where the body is not of this form
  static Result<UpdateBody> open(std::shared_ptr<const UpdateReader> reader,
                                 const codec::UpdateForm& form);

  std::uint64_t bytes(std::size_t piece) const noexcept {
    return offsets_[piece + 1] - offsets_[piece];
  }
  /// Part of a piece's payload. @errors of reading
  Result<void> read(std::size_t piece, std::uint64_t offset, std::span<std::byte> into) const {
    return reader_->read(offsets_[piece] + offset, into);
  }

 private:
  UpdateBody(std::shared_ptr<const UpdateReader> reader, std::vector<std::uint64_t> offsets)
      : reader_(std::move(reader)), offsets_(std::move(offsets)) {}

  std::shared_ptr<const UpdateReader> reader_;
  std::vector<std::uint64_t> offsets_;  ///< of each payload, and where the last one ends
};

/// Whether every payload is what its codec makes of values within the bound. Plain updates are
/// checked while they stream in (validator.hpp).
/// @errors as codec::Method::check; the detail names the tensor's elements
Result<void> check_payloads(const UpdateBody& body, const codec::UpdateForm& form, float value_max);

}  // namespace chorus::server
