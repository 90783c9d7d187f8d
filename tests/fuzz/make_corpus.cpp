// Writes the seeds of tests/fuzz/corpus: one valid frame, message and token of each kind. Not part
// of the tests; run it by hand when a message is added: make_corpus tests/fuzz/corpus
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "common/wire/frame.hpp"
#include "common/wire/join_token.hpp"
#include "common/wire/messages.hpp"
#include "tests/support/messages.hpp"

namespace {

void write(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
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
    std::vector<std::byte> tagged(frame.begin() + chorus::wire::kHeaderBytes, frame.end());
    tagged.insert(tagged.begin(), static_cast<std::byte>(kind));
    write(folder / "message" / name, tagged);
    if (chunk) frame.resize(frame.size() + 32);
    write(folder / "frame" / name, frame);
  }
  const auto token = chorus::wire::encode_join_token(
      {"example.org:7440", chorus::test::sha256_of_byte(7), "secret"});
  write(folder / "join_token" / "valid", std::as_bytes(std::span(*token)));
  return 0;
}
