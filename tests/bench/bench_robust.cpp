// How fast rules over all updates at once are; takes orders (orders.hpp) of deploy/bench/robust.
//
//   read       the updates only read
//   median, trimmed_mean, gram, each of 50 updates (median_10 of 10) in memory
//   …_2        the same on two threads, each half of the coordinates
//   …_staged   of bodies in files of the journal, through server/robust
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "chorus/kernels/robust.hpp"
#include "common/base/rng.hpp"
#include "common/crypto/digest.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "server/robust/set_lane.hpp"
#include "tests/bench/orders.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus {
namespace {

using bench::Task;
using kernels::ColumnOrder;
using kernels::Rows;
using tensor::AlignedBuffer;
using tensor::Fill;

constexpr std::size_t kUpdates = 50;
constexpr std::size_t kFewUpdates = 10;
constexpr std::size_t kTrim = 5;
constexpr std::size_t kLineFloats = 16;

/// 50 updates, one behind the other; not a power of two apart.
struct Updates {
  std::size_t elements;
  std::size_t stride;
  AlignedBuffer<float> values;
};

const Updates& updates_of(std::size_t elements) {
  static std::map<std::size_t, std::unique_ptr<Updates>> known;
  auto& found = known[elements];
  if (found) return *found;
  const std::size_t stride = elements + kLineFloats;
  found =
      std::make_unique<Updates>(Updates{elements, stride, AlignedBuffer<float>(kUpdates * stride)});
  Rng rng(3);
  for (float& value : found->values) {
    value = (static_cast<float>(rng.next_u32() >> 8U) * 0x1.0p-24F - 0.5F) * 0.1F;
  }
  return *found;
}

Rows part_of(const Updates& all, std::size_t updates, std::size_t part, std::size_t parts) {
  const auto cut = [&](std::size_t at) {
    return at == parts ? all.elements : all.elements * at / parts / kLineFloats * kLineFloats;
  };
  return {all.values.data() + cut(part), updates, cut(part + 1) - cut(part), all.stride};
}

void on_threads(std::size_t threads, const std::function<void(std::size_t)>& work) {
  std::vector<std::thread> others;
  for (std::size_t t = 1; t < threads; ++t) others.emplace_back(work, t);
  work(0);
  for (std::thread& other : others) other.join();
}

Task averaging(std::size_t elements, std::size_t updates, std::size_t trim, std::size_t threads) {
  auto mean = std::make_shared<std::vector<float>>(elements);
  return {[=, &all = updates_of(elements)] {
            const ColumnOrder order(updates, trim);
            on_threads(threads, [&](std::size_t t) {
              AlignedBuffer<float> scratch(order.scratch_floats());
              const Rows x = part_of(all, updates, t, threads);
              const auto first = static_cast<std::size_t>(x.x - all.values.data());
              kernels::trimmed_mean_f32(
                  x, order, scratch.span(), std::span(*mean).subspan(first, x.columns));
            });
          },
          updates};
}

Task multiplying(std::size_t elements, std::size_t threads) {
  return {[=, &all = updates_of(elements)] {
            std::vector<double> products(kUpdates * kUpdates * threads);
            on_threads(threads, [&](std::size_t t) {
              AlignedBuffer<double> sums(kernels::gram_doubles(kUpdates), Fill::zero);
              AlignedBuffer<double> scratch(kUpdates * kernels::kGramScratch);
              kernels::gram_add_f32(
                  part_of(all, kUpdates, t, threads), scratch.span(), sums.span());
              kernels::gram_finish(
                  kUpdates,
                  sums.span(),
                  std::span(products).subspan(t * kUpdates * kUpdates, kUpdates * kUpdates));
            });
          },
          kUpdates};
}

using Line [[gnu::vector_size(64)]] = std::uint64_t;

// One update after the other: the fastest way there is to read them all once.
Task reading(std::size_t elements) {
  return {[&all = updates_of(elements)] {
            constexpr std::size_t kAside = 4;
            Line seen[kAside] = {};
            for (std::size_t k = 0; k < kUpdates; ++k) {
              const float* const row = all.values.data() + k * all.stride;
              for (std::size_t i = 0; i + kAside * kLineFloats <= all.elements;) {
                for (std::size_t j = 0; j < kAside; ++j, i += kLineFloats) {
                  Line line;
                  std::memcpy(&line, row + i, sizeof line);
                  seen[j] |= line;
                }
              }
            }
            const std::uint64_t read = seen[0][0] | seen[1][0] | seen[2][0] | seen[3][0];
            asm volatile("" : : "r"(read));  // the compiler must take it for used
          },
          kUpdates};
}

/// The same updates in a journal.
struct Staged {
  test::TempFolder folder;
  std::unique_ptr<server::RoundJournal> journal;
  std::unique_ptr<server::UpdateSet> set;
};

std::shared_ptr<Staged> stage(std::size_t elements) {
  const Updates& all = updates_of(elements);
  auto staged = std::make_shared<Staged>();
  server::RoundJournal::Recovered nothing;
  staged->journal =
      server::RoundJournal::open(staged->folder.path() / "round", {}, nothing).value();
  std::vector<std::shared_ptr<const server::UpdateReader>> bodies;
  for (std::size_t k = 0; k < kUpdates; ++k) {
    const auto body = std::as_bytes(std::span(all.values.data() + k * all.stride, all.elements));
    server::UpdateMeta meta;
    meta.client.value = "device-" + std::to_string(k);
    meta.bytes = body.size();
    meta.digest = body_digest(body);
    meta.examples.value = 1;
    staged->journal->begin(meta).value();
    staged->journal->append(meta.client, 0, body).value();
    staged->journal->commit({&meta.client, 1}).value();
    bodies.push_back(staged->journal->reader(meta.client).value());
  }
  staged->set = server::staged_updates(std::move(bodies), elements).value();
  return staged;
}

Task staged_median(std::size_t elements) {
  return {[staged = stage(elements), mean = std::vector<float>(elements)]() mutable {
            const auto lane = server::SetLane::create(*staged->set, {}).value();
            const kernels::ColumnOrder order(kUpdates, kernels::median_trim(kUpdates));
            server::trimmed_mean(lane, order, 0, mean).value();
          },
          kUpdates};
}

Task staged_gram(std::size_t elements) {
  return {[staged = stage(elements)] {
            const auto lane = server::SetLane::create(*staged->set, {}).value();
            auto gram = server::Gram::create(lane).value();
            for (std::size_t part = 0; part < server::Gram::kParts; ++part)
              gram.sum_part(part).value();
            static_cast<void>(gram.products());
          },
          kUpdates};
}

const bench::Tasks& tasks() {
  constexpr std::size_t kMedian = kernels::median_trim(kUpdates);
  static const bench::Tasks all{
      {"read", reading},
      {"median", [](auto n) { return averaging(n, kUpdates, kMedian, 1); }},
      {"median_2", [](auto n) { return averaging(n, kUpdates, kMedian, 2); }},
      {"median_10",
       [](auto n) { return averaging(n, kFewUpdates, kernels::median_trim(kFewUpdates), 1); }},
      {"median_staged", staged_median},
      {"trimmed_mean", [](auto n) { return averaging(n, kUpdates, kTrim, 1); }},
      {"trimmed_mean_2", [](auto n) { return averaging(n, kUpdates, kTrim, 2); }},
      {"gram", [](auto n) { return multiplying(n, 1); }},
      {"gram_2", [](auto n) { return multiplying(n, 2); }},
      {"gram_staged", staged_gram}};
  return all;
}

}  // namespace
}  // namespace chorus

int main() {
  return chorus::bench::take_orders("bench_robust", chorus::tasks());
}
