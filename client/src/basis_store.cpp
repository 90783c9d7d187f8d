#include "client/src/basis_store.hpp"

#include <fmt/format.h>
#include <utility>

#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"

namespace chorus::client {

void BasisStore::begin(const wire::ModelRef& wanted) {
  wanted_ = wanted;
  basis_.reset();
  bytes_.assign(static_cast<std::size_t>(wanted.bytes), std::byte{0});
}

std::span<std::byte> BasisStore::place(std::uint64_t offset, std::size_t bytes) noexcept {
  return std::span(bytes_).subspan(static_cast<std::size_t>(offset), bytes);
}

Result<void> BasisStore::verify() {
  const std::vector<std::byte> bytes = std::exchange(bytes_, {});
  const Sha256 found = sha256(bytes);
  if (found != wanted_.sha256) {
    return fail(
        errc::digest_mismatch,
        fmt::format("the basis's SHA-256 is {}; expected {}", hex(found), hex(wanted_.sha256)));
  }
  CHORUS_TRY(auto basis, codec::basis_from(bytes));
  basis_ = std::make_shared<const codec::Basis>(std::move(basis));
  return {};
}

std::shared_ptr<const codec::Basis> BasisStore::take() noexcept {
  return std::exchange(basis_, nullptr);
}

}  // namespace chorus::client
