// Writes the seeds of tests/fuzz/corpus: one valid frame, message, token and payload of each kind.
// Not part of the tests; run it by hand when a message or a codec is added: make_corpus
// tests/fuzz/corpus
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "common/codec/method.hpp"
#include "common/codec/update.hpp"
#include "common/wire/frame.hpp"
#include "common/wire/join_token.hpp"
#include "common/wire/messages.hpp"
#include "tests/fuzz/codec_input.hpp"
#include "tests/fuzz/update_input.hpp"
#include "tests/support/messages.hpp"

namespace {

void write(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

// A payload of each kind, and with entropy, of a short vector.
void write_payloads(const std::filesystem::path& folder) {
  std::vector<float> x(100);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 37 % 101) - 50.0F;
  for (unsigned kind = 1; kind <= static_cast<unsigned>(chorus::CodecKind::subspace); ++kind) {
    for (const bool entropy : {false, true}) {
      chorus::fuzz::CodecInput input{.codec = {}, .count = static_cast<std::uint16_t>(x.size())};
      input.codec.kind = static_cast<chorus::CodecKind>(kind);
      input.codec.bits = 3;
      input.codec.bucket = 64;
      input.codec.density = 0.1;
      input.codec.rank = 3;
      input.codec.columns = 10;
      input.codec.entropy = entropy;
      const auto payload = chorus::codec::encode(input.codec, x, {.round = 1, .device = 2}).value();
      const auto header = chorus::fuzz::header_of(input);
      std::vector<std::byte> bytes(header.size() + payload.size());
      std::copy(
          payload.begin(), payload.end(), std::copy(header.begin(), header.end(), bytes.begin()));
      write(folder / (std::to_string(kind) + (entropy ? "_entropy" : "")), bytes);
    }
  }
}

// A body of each form.
void write_updates(const std::filesystem::path& folder) {
  for (std::uint8_t choice = 0; choice < 10; ++choice) {
    const auto form = chorus::fuzz::update_form(choice);
    std::vector<float> delta(form.parameters());
    for (std::size_t i = 0; i < delta.size(); ++i) delta[i] = static_cast<float>(i * 37 % 101) - 50;
    auto bytes = chorus::codec::encode_update(form, delta).value();
    bytes.insert(bytes.begin(), static_cast<std::byte>(choice));
    write(folder / std::to_string(choice), bytes);
  }
}

// What fuzz_message reads: its kind, then the message.
std::vector<std::byte> tagged(const chorus::wire::Message& message) {
  const bool chunk = kind_of(message) == chorus::wire::FrameKind::chunk;
  auto bytes = chorus::wire::encode(message, chunk ? 32 : 0).value();
  bytes.erase(bytes.begin(), bytes.begin() + chorus::wire::kHeaderBytes);
  bytes.insert(bytes.begin(), static_cast<std::byte>(kind_of(message)));
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::puts("usage: make_corpus FOLDER"), 2;
  const std::filesystem::path folder(argv[1]);
  for (const auto& message : chorus::test::every_message()) {
    const auto kind = kind_of(message);
    const std::string name(chorus::wire::name_of(kind));
    const bool chunk = kind == chorus::wire::FrameKind::chunk;
    auto frame = chorus::wire::encode(message, chunk ? 32 : 0).value();
    write(folder / "message" / name, tagged(message));
    if (chunk) frame.resize(frame.size() + 32);
    write(folder / "frame" / name, frame);
  }
  auto work = chorus::test::some_work();
  work.steps = chorus::test::two_steps();
  work.basis = work.model;
  write(folder / "message" / "work_steps", tagged(work));
  const auto token = chorus::wire::encode_join_token(
      {"example.org:7440", chorus::test::sha256_of_byte(7), "secret"});
  write(folder / "join_token" / "valid", std::as_bytes(std::span(*token)));
  write_payloads(folder / "codec");
  write_updates(folder / "update");
  return 0;
}
