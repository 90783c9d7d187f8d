// First byte: the kind; the rest: its message. What decodes encodes again, to the same value.
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/assert.hpp"
#include "common/wire/frame.hpp"
#include "common/wire/messages.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto kind = static_cast<chorus::wire::FrameKind>(data[0]);
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  static_cast<void>(chorus::wire::task_of_work(bytes));
  const auto message = chorus::wire::decode(kind, bytes);
  if (!message) return 0;
  CHORUS_ASSERT(kind_of(*message) == kind);
  const auto frame = chorus::wire::encode(*message);
  CHORUS_ASSERT(frame.has_value());  // what is not known is dropped: it can only shrink
  const auto again =
      chorus::wire::decode(kind, std::span(*frame).subspan(chorus::wire::kHeaderBytes));
  CHORUS_ASSERT(again.has_value() && *again == *message);
  return 0;
}
