// A byte stream into the frame reader and on into the message decoder, as a session does it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/wire/frame.hpp"
#include "common/wire/messages.hpp"

using chorus::wire::FrameReader;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::vector<std::byte> body(chorus::limits::kChunkBytesMax);
  std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  FrameReader reader;
  while (true) {
    if (reader.stage() == FrameReader::Stage::body) reader.set_body_buffer(body);
    const auto want = reader.want();
    if (reader.stage() == FrameReader::Stage::complete) {
      const auto message = chorus::wire::decode(reader.header().kind, reader.message());
      if (message) CHORUS_ASSERT(kind_of(*message) == reader.header().kind);
      reader.reset();
      continue;
    }
    CHORUS_ASSERT(!want.empty());
    if (bytes.size() < want.size()) return 0;
    std::copy_n(bytes.begin(), want.size(), want.begin());
    bytes = bytes.subspan(want.size());
    if (!reader.filled()) return 0;
  }
}
