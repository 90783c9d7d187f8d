// Dividing examples among clients, for simulations, demonstrations and tests.
//
// Every function is a pure function of its arguments: the same seed gives the same partition on
// every machine (Dirichlet: on every machine with the same mathematical library). Every example
// goes to exactly one client. Row numbers come in ascending order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "chorus/client/example_keys.hpp"
#include "chorus/export.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// Element c: the numbers of client c's examples.
using Partition = std::vector<std::vector<std::uint32_t>>;

/// Shuffled and dealt out: sizes differ by at most one.
/// @errors invalid_argument: no client, or fewer examples than clients
CHORUS_EXPORT Result<Partition> partition_iid(std::size_t examples,
                                              std::uint32_t clients,
                                              std::uint64_t seed);

struct DirichletOptions {
  std::uint32_t clients = 1;
  double alpha = 0.5;               ///< > 0; small: few classes per client; large: nearly IID
  std::uint32_t examples_min = 10;  ///< of the smallest client
  std::uint64_t seed = 0;
};

/// Dirichlet by class, balanced: for each class draw proportions over clients from Dir(alpha·1),
/// set those to 0 whose clients already hold examples / clients or more, renormalise, cut; repeat
/// everything until the smallest client has examples_min.
/// @errors invalid_argument: impossible options, or no such partition in 10,000 attempts
/// @source Li et al. 2022, arXiv:2102.02079 (NIID-Bench), "quantity of labels by Dirichlet"
CHORUS_EXPORT Result<Partition> partition_dirichlet(std::span<const std::uint32_t> labels,
                                                    const DirichletOptions& options);

struct ShardOptions {
  std::uint32_t clients = 1;
  std::uint32_t classes_each = 2;  ///< s: how many different classes a client has
  std::uint64_t seed = 0;
};

/// Pathological non-IID: every client gets one shard of each of exactly s different classes. Class
/// lists are shuffled permutations of the classes one after the other, chopped to length s; a class
/// is cut into as many nearly equal shards as it was listed (clients·s/classes, rounded).
/// @errors invalid_argument: s is 0 or more than the classes there are, clients·s is less than the
///         classes (some would belong to nobody), or a class has fewer examples than shards
/// @source McMahan et al. 2017, arXiv:1602.05629, section 3, in the form that names classes
CHORUS_EXPORT Result<Partition> partition_shards(std::span<const std::uint32_t> labels,
                                                 const ShardOptions& options);

/// By a natural key (writer, hospital): all examples of a key stay together. With clients = 0 every
/// key is one client, in ascending order of keys; else the keys are shuffled and dealt out, so that
/// the numbers of keys differ by at most one.
/// @errors invalid_argument: no keys, or fewer keys than clients
CHORUS_EXPORT Result<Partition> partition_by_key(const ExampleKeys& keys,
                                                 std::uint32_t clients,
                                                 std::uint64_t seed);

struct Split {
  std::vector<std::uint32_t> train;
  std::vector<std::uint32_t> holdout;
};

/// Puts round(fraction · examples) random examples aside; with a fraction above 0 and two examples
/// or more each side has at least one. A single example is for training.
/// @param fraction  [0, 1)
/// @errors invalid_argument
CHORUS_EXPORT Result<Split> split_holdout(std::size_t examples,
                                          double fraction,
                                          std::uint64_t seed);

}  // namespace chorus::client
