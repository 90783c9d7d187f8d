// Bodies of compressed updates: the table, then every payload. The first byte chooses the codec.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/assert.hpp"
#include "server/update/lane.hpp"
#include "tests/fuzz/update_input.hpp"

namespace {

using namespace chorus;

class MemoryUpdate final : public server::UpdateReader {
 public:
  explicit MemoryUpdate(std::span<const std::byte> bytes) : bytes_(bytes.begin(), bytes.end()) {}
  std::uint64_t bytes() const override { return bytes_.size(); }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    CHORUS_ASSERT(offset + into.size() <= bytes_.size());
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr float kValueMax = 100.0F;
  const auto form = std::make_shared<const codec::UpdateForm>(fuzz::update_form(data[0]));
  const auto reader =
      std::make_shared<MemoryUpdate>(std::as_bytes(std::span(data, size).subspan(1)));
  auto body = server::UpdateBody::open(reader, *form);
  if (!body || !server::check_payloads(*body, *form, kValueMax)) return 0;
  auto lane = server::Lane::create(form, {1, 1, form->lane_value_max(kValueMax)}).value();
  const server::Contribution one{std::make_shared<const server::UpdateBody>(std::move(*body)), 1};
  for (server::LaneRange& range : lane.shards(1)) CHORUS_ASSERT(lane.fold({&one, 1}, range));
  lane.count_weights({&one, 1});
  std::vector<float> mean(lane.parameters());
  lane.mean(0, mean);
  return 0;
}
