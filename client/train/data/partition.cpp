#include "chorus/client/partition.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

#include "common/base/rng.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

using Rows = std::vector<std::uint32_t>;

constexpr int kDirichletAttemptsMax = 10'000;

Rng stream_of(std::uint64_t seed, std::string_view purpose) {
  const std::string_view parts[] = {"partition", purpose};
  return Rng(stream_key(seed, parts));
}

Failure invalid(std::string detail) {
  return fail(errc::invalid_argument, std::move(detail));
}

Result<void> check_counts(std::size_t examples, std::uint32_t clients) {
  if (clients == 0) return invalid("examples cannot be divided among 0 clients");
  if (examples > std::numeric_limits<std::uint32_t>::max()) {
    return invalid(fmt::format("{} examples are more than can be numbered", examples));
  }
  if (examples < clients) {
    return invalid(
        fmt::format("{} examples cannot be divided among {} clients; give each at least one",
                    examples,
                    clients));
  }
  return {};
}

Rows shuffled(std::size_t count, Rng& rng) {
  Rows rows(count);
  std::iota(rows.begin(), rows.end(), 0U);
  rng.shuffle(std::span(rows));
  return rows;
}

void sort_each(Partition& partition) {
  for (Rows& rows : partition) std::sort(rows.begin(), rows.end());
}

// Piece `index` of `pieces` nearly equal ones: sizes differ by at most one.
std::span<const std::uint32_t> piece(const Rows& rows, std::size_t index, std::size_t pieces) {
  const std::size_t first = rows.size() * index / pieces;
  const std::size_t last = rows.size() * (index + 1) / pieces;
  return std::span(rows).subspan(first, last - first);
}

// Rows of every class that occurs, by ascending label.
std::map<std::uint32_t, Rows> by_class(std::span<const std::uint32_t> labels) {
  std::map<std::uint32_t, Rows> classes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    classes[labels[i]].push_back(static_cast<std::uint32_t>(i));
  }
  return classes;
}

// Proportions ~ Dir(alpha·1) over the clients that still hold less than their even share.
std::vector<double> draw_proportions(const Partition& partition,
                                     double share,
                                     double alpha,
                                     Rng& rng) {
  std::vector<double> proportions(partition.size());
  std::vector<std::size_t> open;
  double sum = 0.0;
  for (std::size_t c = 0; c < partition.size(); ++c) {
    const double drawn = rng.gamma(alpha);
    if (static_cast<double>(partition[c].size()) >= share) continue;
    open.push_back(c);
    proportions[c] = drawn;
    sum += drawn;
  }
  if (sum > 0.0 && std::isfinite(sum)) {
    for (double& proportion : proportions) proportion /= sum;
    return proportions;
  }
  // Every draw underflowed (tiny alpha): the distribution's limit gives all to one of them.
  std::fill(proportions.begin(), proportions.end(), 0.0);
  proportions[open[rng.below(open.size())]] = 1.0;
  return proportions;
}

Partition draw_dirichlet(const std::map<std::uint32_t, Rows>& classes,
                         std::size_t examples,
                         const DirichletOptions& options,
                         Rng& rng) {
  Partition partition(options.clients);
  const double share = static_cast<double>(examples) / options.clients;
  for (const auto& [label, members] : classes) {
    Rows rows = members;
    rng.shuffle(std::span(rows));
    const std::vector<double> proportions = draw_proportions(partition, share, options.alpha, rng);
    const auto last_open =
        std::find_if(proportions.rbegin(), proportions.rend(), [](double p) { return p > 0.0; });
    const auto last = static_cast<std::size_t>(proportions.rend() - last_open) - 1;
    double cumulated = 0.0;
    std::size_t first = 0;
    for (std::size_t c = 0; c <= last; ++c) {
      cumulated += proportions[c];
      // What rounding leaves over belongs to the last client with a share.
      const std::size_t end =
          c == last
              ? rows.size()
              : std::min(rows.size(),
                         static_cast<std::size_t>(cumulated * static_cast<double>(rows.size())));
      partition[c].insert(partition[c].end(),
                          rows.begin() + static_cast<std::ptrdiff_t>(first),
                          rows.begin() + static_cast<std::ptrdiff_t>(end));
      first = end;
    }
  }
  return partition;
}

// Which classes (as positions 0..classes-1) each client gets: exactly `each` different ones.
std::vector<Rows> draw_class_lists(std::size_t classes, const ShardOptions& options, Rng& rng) {
  std::vector<Rows> lists(options.clients);
  std::deque<std::uint32_t> queue;
  for (Rows& list : lists) {
    while (list.size() < options.classes_each) {
      const auto fresh = std::find_if(queue.begin(), queue.end(), [&list](std::uint32_t c) {
        return std::find(list.begin(), list.end(), c) == list.end();
      });
      if (fresh == queue.end()) {
        const Rows permutation = shuffled(classes, rng);
        queue.insert(queue.end(), permutation.begin(), permutation.end());
        continue;
      }
      list.push_back(*fresh);
      queue.erase(fresh);
    }
  }
  return lists;
}

}  // namespace

Result<Partition> partition_iid(std::size_t examples, std::uint32_t clients, std::uint64_t seed) {
  CHORUS_OK(check_counts(examples, clients));
  Rng rng = stream_of(seed, "iid");
  const Rows rows = shuffled(examples, rng);
  Partition partition(clients);
  for (std::size_t c = 0; c < clients; ++c) {
    const auto part = piece(rows, c, clients);
    partition[c].assign(part.begin(), part.end());
  }
  sort_each(partition);
  return partition;
}

Result<Partition> partition_dirichlet(std::span<const std::uint32_t> labels,
                                      const DirichletOptions& options) {
  CHORUS_OK(check_counts(labels.size(), options.clients));
  if (!(options.alpha > 0.0) || !std::isfinite(options.alpha)) {
    return invalid(fmt::format("alpha is {}; expected a number above 0", options.alpha));
  }
  if (std::uint64_t{options.examples_min} * options.clients > labels.size()) {
    return invalid(fmt::format("{} examples cannot give {} clients at least {} each",
                               labels.size(),
                               options.clients,
                               options.examples_min));
  }
  const auto classes = by_class(labels);
  Rng rng = stream_of(options.seed, "dirichlet");
  for (int attempt = 0; attempt < kDirichletAttemptsMax; ++attempt) {
    Partition partition = draw_dirichlet(classes, labels.size(), options, rng);
    const bool enough =
        std::all_of(partition.begin(), partition.end(), [&options](const Rows& rows) {
          return rows.size() >= options.examples_min;
        });
    if (!enough) continue;
    sort_each(partition);
    return partition;
  }
  return invalid(
      fmt::format("no partition with alpha {} gave each of {} clients {} examples in {} "
                  "attempts; lower examples_min or raise alpha",
                  options.alpha,
                  options.clients,
                  options.examples_min,
                  kDirichletAttemptsMax));
}

Result<Partition> partition_shards(std::span<const std::uint32_t> labels,
                                   const ShardOptions& options) {
  CHORUS_OK(check_counts(labels.size(), options.clients));
  const auto classes = by_class(labels);
  if (options.classes_each == 0 || options.classes_each > classes.size()) {
    return invalid(fmt::format("classes_each is {}; the examples have 1 to {} classes to give",
                               options.classes_each,
                               classes.size()));
  }
  if (std::uint64_t{options.clients} * options.classes_each < classes.size()) {
    return invalid(fmt::format("{} clients with {} classes each leave some of {} classes to nobody",
                               options.clients,
                               options.classes_each,
                               classes.size()));
  }
  Rng rng = stream_of(options.seed, "shards");
  const std::vector<Rows> lists = draw_class_lists(classes.size(), options, rng);
  Partition partition(options.clients);
  std::uint32_t position = 0;
  for (const auto& [label, members] : classes) {
    Rows takers;
    for (std::uint32_t c = 0; c < options.clients; ++c) {
      if (std::find(lists[c].begin(), lists[c].end(), position) != lists[c].end()) {
        takers.push_back(c);
      }
    }
    ++position;
    if (members.size() < takers.size()) {
      return invalid(
          fmt::format("class {} has {} examples, too few for {} shards; use fewer "
                      "clients or fewer classes each",
                      label,
                      members.size(),
                      takers.size()));
    }
    Rows rows = members;
    rng.shuffle(std::span(rows));
    for (std::size_t i = 0; i < takers.size(); ++i) {
      const auto part = piece(rows, i, takers.size());
      partition[takers[i]].insert(partition[takers[i]].end(), part.begin(), part.end());
    }
  }
  sort_each(partition);
  return partition;
}

Result<Partition> partition_by_key(const ExampleKeys& keys,
                                   std::uint32_t clients,
                                   std::uint64_t seed) {
  if (keys.empty()) return invalid("there are no keys to divide examples by");
  CHORUS_OK(check_counts(keys.size(), 1));
  std::vector<Rows> rows_of(keys.names().size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    rows_of[keys.numbers()[i]].push_back(static_cast<std::uint32_t>(i));
  }
  std::map<std::string_view, Rows> groups;  // in ascending order of keys
  for (std::size_t k = 0; k < rows_of.size(); ++k) {
    groups[keys.names()[k]] = std::move(rows_of[k]);
  }
  if (clients > groups.size()) {
    return invalid(fmt::format("{} different keys cannot make {} clients", groups.size(), clients));
  }
  Rows order(groups.size());
  std::iota(order.begin(), order.end(), 0U);
  if (clients != 0) {
    Rng rng = stream_of(seed, "key");
    rng.shuffle(std::span(order));
  }
  Partition partition(clients == 0 ? groups.size() : clients);
  std::size_t number = 0;
  for (const auto& [key, rows] : groups) {
    Rows& client = partition[order[number++] % partition.size()];
    client.insert(client.end(), rows.begin(), rows.end());
  }
  sort_each(partition);
  return partition;
}

Result<Split> split_holdout(std::size_t examples, double fraction, std::uint64_t seed) {
  CHORUS_OK(check_counts(examples, 1));
  if (!(fraction >= 0.0 && fraction < 1.0)) {
    return invalid(fmt::format("the hold-out fraction is {}; expected 0 to below 1", fraction));
  }
  auto aside = static_cast<std::size_t>(std::lround(fraction * static_cast<double>(examples)));
  if (fraction > 0.0) aside = std::max<std::size_t>(aside, 1);
  aside = std::min(aside, examples - 1);
  Rng rng = stream_of(seed, "hold-out");
  Rows rows = shuffled(examples, rng);
  const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(aside);
  std::sort(rows.begin(), middle);
  std::sort(middle, rows.end());
  return Split{{middle, rows.end()}, {rows.begin(), middle}};
}

}  // namespace chorus::client
