#include "server/robust/update_set.hpp"

#include <string>
#include <utility>

#include "common/base/assert.hpp"

namespace chorus::server {
namespace {

class StagedUpdates final : public UpdateSet {
 public:
  StagedUpdates(std::vector<std::shared_ptr<const UpdateReader>> bodies, std::uint64_t parameters)
      : bodies_(std::move(bodies)), parameters_(parameters) {}

  std::size_t updates() const override { return bodies_.size(); }
  std::uint64_t parameters() const override { return parameters_; }
  Result<void> read(std::size_t update, std::uint64_t first, std::span<float> into) const override {
    CHORUS_ASSERT(update < bodies_.size() && first <= parameters_ &&
                  into.size() <= parameters_ - first);
    return bodies_[update]->read(first * sizeof(float), std::as_writable_bytes(into));
  }

 private:
  std::vector<std::shared_ptr<const UpdateReader>> bodies_;
  std::uint64_t parameters_;
};

}  // namespace

Result<std::unique_ptr<UpdateSet>> staged_updates(
    std::vector<std::shared_ptr<const UpdateReader>> bodies, std::uint64_t parameters) {
  for (std::size_t k = 0; k < bodies.size(); ++k) {
    if (bodies[k]->bytes() == parameters * sizeof(float)) continue;
    return fail(errc::shape_mismatch,
                "update " + std::to_string(k) + " of the set has " +
                    std::to_string(bodies[k]->bytes()) + " bytes; " + std::to_string(parameters) +
                    " parameters as float32 have " + std::to_string(parameters * sizeof(float)));
  }
  return std::unique_ptr<UpdateSet>(new StagedUpdates(std::move(bodies), parameters));
}

}  // namespace chorus::server
