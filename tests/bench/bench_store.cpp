// What the store costs: update bodies into the journal with their commits, and whole versions.
// The folder is CHORUS_BENCH_DIR, or the system's temporary folder: put it on the disk in question.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "server/store/journal.hpp"
#include "server/store/versions.hpp"

namespace {

using chorus::Result;
using chorus::server::JournalOptions;
using chorus::server::RoundJournal;
using chorus::server::UpdateMeta;
using chorus::server::VersionStore;

constexpr std::uint64_t kChunk = 1U << 20U;

std::filesystem::path bench_folder() {
  const char* const chosen = std::getenv("CHORUS_BENCH_DIR");
  const auto parent =
      chosen != nullptr ? std::filesystem::path(chosen) : std::filesystem::temp_directory_path();
  std::string pattern = (parent / "chorus-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    std::perror(pattern.c_str());
    std::exit(1);
  }
  return pattern;
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
    std::exit(1);
  }
  return std::move(result).value();
}
void must(Result<void> result) {
  if (result) return;
  std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
  std::exit(1);
}

UpdateMeta meta_of(std::size_t device, std::uint64_t bytes) {
  UpdateMeta meta;
  meta.client.value = "device-" + std::to_string(device);
  meta.bytes = bytes;
  meta.examples.value = 1;
  return meta;
}

/// Uploads side by side, a chunk each in turn; the devices commit together, or each alone when
/// `together` is 0, one after the other.
void journal(benchmark::State& state) {
  const auto devices = static_cast<std::size_t>(state.range(0));
  const auto bytes = static_cast<std::uint64_t>(state.range(1));
  const bool together = state.range(2) != 0;
  JournalOptions options;
  options.sync = state.range(3) != 0;
  const std::vector<std::byte> chunk(kChunk, std::byte{0x5a});
  const auto folder = bench_folder();
  for (auto _ : state) {
    RoundJournal::Recovered recovered;
    const auto round = must(RoundJournal::open(folder / "round", options, recovered));
    std::vector<chorus::ClientId> clients;
    for (std::size_t device = 0; device < devices; ++device) {
      const UpdateMeta meta = meta_of(device, bytes);
      must(round->begin(meta));
      clients.push_back(meta.client);
    }
    const std::size_t width = together ? devices : 1;
    for (std::size_t first = 0; first < devices; first += width) {
      const auto group = std::span(clients).subspan(first, width);
      for (std::uint64_t at = 0; at < bytes; at += kChunk) {
        const auto piece = std::span(chunk).first(std::min(kChunk, bytes - at));
        for (const auto& client : group) must(round->append(client, at, piece));
      }
      must(round->commit(group));
    }
    state.PauseTiming();
    must(round->remove());
    state.ResumeTiming();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(devices * bytes) * state.iterations());
  std::filesystem::remove_all(folder);
}

/// One version: digest, write, fsync, rename.
void version(benchmark::State& state) {
  const auto parameters = static_cast<std::uint64_t>(state.range(0));
  chorus::ModelSpec model;
  model.input_shape = {999};
  model.layers = {chorus::Dense{.name = "out", .units = parameters / 1000}};
  const auto folder = bench_folder();
  const auto store = must(VersionStore::open(folder));
  const std::vector<float> values(parameters / 1000 * 1000, 0.5F);
  for (auto _ : state) {
    const auto writer = must(store->begin(model, {}));
    must(writer->append(values));
    const auto info = must(writer->commit());
    state.PauseTiming();
    must(store->remove(info.sha256));
    state.ResumeTiming();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(values.size() * 4) * state.iterations());
  std::filesystem::remove_all(folder);
}

BENCHMARK(journal)
    ->ArgNames({"devices", "bytes", "together", "sync"})
    ->Args({2, 400'000'000, 1, 1})
    ->Args({2, 400'000'000, 1, 0})
    ->Args({100, 400'000, 0, 1})
    ->Args({16, 4'000'000, 1, 1})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(version)
    ->ArgName("parameters")
    ->Arg(1'000'000)
    ->Arg(100'000'000)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
