// How fast updates are folded exactly, beside what the memory of the same machine can read and
// copy.
//
//   fold/f32/D:<elements>/inputs:<k>    32 updates of D floats folded into one int64 accumulator,
//                                       k of them at once; bytes = 32 updates as float32
//   read/f32/D:<elements>               the same arrays only read (the limit of any fold)
//   copy/f32/D:<elements>               half of the arrays copied onto the others; bytes read and
//                                       written are both counted, as STREAM does
//
// With two threads each takes half of the coordinates, as the server does. Repetitions of all rows
// are interleaved at random, so that a disturbance of the machine does not fall on one row alone.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "chorus/kernels/kernels.hpp"

namespace {

using chorus::kernels::FoldInput;

constexpr std::size_t kUpdates = chorus::kernels::kFoldInputsMax;
constexpr std::size_t kLargest = 10'000'000;
constexpr std::size_t kAlignment = 64;
constexpr double kMultiplier = 300.0 * 0x1.0p30;

template <class T>
struct FreeAligned {
  void operator()(T* p) const { ::operator delete[](p, std::align_val_t{kAlignment}); }
};
template <class T>
using Array = std::unique_ptr<T[], FreeAligned<T>>;

template <class T>
Array<T> make_array(std::size_t n) {
  auto* p = static_cast<T*>(::operator new[](n * sizeof(T), std::align_val_t{kAlignment}));
  return Array<T>(new (p) T[n]());
}

// The arrays of all rows, allocated once: fresh pages for each row would measure the page fault.
struct Data {
  std::array<Array<float>, kUpdates> updates;
  Array<std::int64_t> acc = make_array<std::int64_t>(kLargest);

  Data() {
    std::uint32_t state = 1;
    for (auto& update : updates) {
      update = make_array<float>(kLargest);
      for (std::size_t i = 0; i < kLargest; ++i) {
        state = state * 1664525U + 1013904223U;
        update[i] = (static_cast<float>(state >> 8U) * 0x1.0p-24F - 0.5F) * 0.1F;
      }
    }
  }
};

Data& data() {
  static Data all;
  return all;
}

// This thread's share of D coordinates, cut at whole cache lines.
struct Share {
  std::size_t begin;
  std::size_t count;
};
Share share_of(const benchmark::State& state) {
  const auto d = static_cast<std::size_t>(state.range(0));
  const auto threads = static_cast<std::size_t>(state.threads());
  const auto index = static_cast<std::size_t>(state.thread_index());
  const auto cut = [&](std::size_t part) {
    return part == threads ? d : d * part / threads / kAlignment * kAlignment;
  };
  return {cut(index), cut(index + 1) - cut(index)};
}

void count_bytes(benchmark::State& state, std::size_t elements) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(elements * sizeof(float)));
}

void fold(benchmark::State& state) {
  Data& all = data();
  const Share share = share_of(state);
  const auto per_pass = static_cast<std::size_t>(state.range(1));
  std::array<FoldInput, kUpdates> inputs;
  for (std::size_t k = 0; k < kUpdates; ++k) {
    inputs[k] = {.x = all.updates[k].get() + share.begin, .multiplier = kMultiplier};
  }
  const std::span acc(all.acc.get() + share.begin, share.count);
  for ([[maybe_unused]] auto _ : state) {
    for (std::size_t k = 0; k < kUpdates; k += per_pass) {
      chorus::kernels::fold_f32(std::span(inputs).subspan(k, per_pass), acc);
    }
    benchmark::ClobberMemory();
  }
  count_bytes(state, kUpdates * share.count);
}

using Words [[gnu::vector_size(64)]] = std::uint64_t;  // one cache line; lowered to what exists

// Eight arrays at a time, side by side, with nothing to do but load: of the orders and prefetch
// distances tried, the fastest way one core can read them.
void read(benchmark::State& state) {
  constexpr std::size_t kLine = 16;
  constexpr std::size_t kAhead = 128;
  constexpr std::size_t kBeside = 8;
  const Data& all = data();
  const Share share = share_of(state);
  for ([[maybe_unused]] auto _ : state) {
    Words chains[2] = {};
    for (std::size_t first = 0; first < kUpdates; first += kBeside) {
      for (std::size_t i = share.begin; i + kLine <= share.begin + share.count; i += kLine) {
        for (std::size_t k = first; k < first + kBeside; ++k) {
          const float* at = all.updates[k].get() + i;
          __builtin_prefetch(at + std::min(kAhead, kLargest - i));
          Words line;
          std::memcpy(&line, at, sizeof(line));
          chains[k % 2] |= line;
        }
      }
    }
    std::uint64_t seen = chains[0][0] | chains[1][0];
    benchmark::DoNotOptimize(seen);
  }
  count_bytes(state, kUpdates * share.count);
}

void copy(benchmark::State& state) {
  Data& all = data();
  const Share share = share_of(state);
  for ([[maybe_unused]] auto _ : state) {
    for (std::size_t k = 0; k < kUpdates / 2; ++k) {
      std::memcpy(all.updates[k + kUpdates / 2].get() + share.begin,
                  all.updates[k].get() + share.begin,
                  share.count * sizeof(float));
    }
    benchmark::ClobberMemory();
  }
  count_bytes(state, kUpdates * share.count);
}

void add_rows() {
  for (const std::int64_t d : {100'000, 1'000'000, 10'000'000}) {
    for (const int threads : {1, 2}) {
      const auto shape = [threads](auto* row) { row->Threads(threads)->UseRealTime(); };
      shape(benchmark::RegisterBenchmark("read/f32", read)->ArgName("D")->Arg(d));
      shape(benchmark::RegisterBenchmark("copy/f32", copy)->ArgName("D")->Arg(d));
      for (const std::int64_t inputs : {1, 8, 32}) {
        shape(benchmark::RegisterBenchmark("fold/f32", fold)
                  ->ArgNames({"D", "inputs"})
                  ->Args({d, inputs}));
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Defaults first, so that the command line can change them.
  std::vector<std::string> words = {argv[0],
                                    "--benchmark_repetitions=5",
                                    "--benchmark_min_time=0.2",
                                    "--benchmark_enable_random_interleaving=true"};
  words.insert(words.end(), argv + 1, argv + argc);
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  int count = static_cast<int>(pointers.size());
  pointers.push_back(nullptr);
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;
  benchmark::AddCustomContext("chorus_isa", std::string(chorus::kernels::active_variant()));
  data();
  add_rows();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
