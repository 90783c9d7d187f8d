// From a data file to one device's examples: read, set the common test set aside, cut into parts,
// set this device's hold-out aside.
#include <charconv>
#include <string_view>
#include <utility>

#include "chorus/client/partition.hpp"
#include "client/agent/agent_config.hpp"
#include "common/base/try.hpp"

namespace chorus::agent {
namespace {

using client::Dataset;

template <class T>
Result<T> parse_number(std::string_view text, std::string_view what) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail(errc::invalid_argument, "'" + std::string(text) + "' is no " + std::string(what));
  }
  return value;
}

Result<std::vector<std::uint64_t>> parse_shape(std::string_view text) {
  std::vector<std::uint64_t> shape;
  while (!text.empty()) {
    const std::size_t cut = std::min(text.find('x'), text.size());
    CHORUS_TRY(
        const auto extent,
        parse_number<std::uint64_t>(text.substr(0, cut), "extent of --shape; expected e.g. 1x8x8"));
    shape.push_back(extent);
    text.remove_prefix(std::min(cut + 1, text.size()));
  }
  return shape;
}

struct Loaded {
  Dataset dataset;
  std::vector<std::string> keys;
};

Result<Loaded> load(const DataConfig& config, const std::string& key_column) {
  const bool idx = !config.images.empty() || !config.labels.empty();
  if (idx == !config.csv.empty()) {
    return fail(errc::invalid_argument,
                "say where the examples are: either --data FILE.csv, or --images and --labels");
  }
  if (idx) {
    client::IdxOptions options;
    options.images = config.images;
    options.labels = config.labels;
    CHORUS_TRY(auto dataset, client::load_idx(options));
    return Loaded{std::move(dataset), {}};
  }
  client::CsvOptions options;
  options.path = config.csv;
  options.header = config.header;
  options.label_column = config.label_column;
  options.key_column = key_column;
  options.divide_by = config.scale;
  CHORUS_TRY(options.feature_shape, parse_shape(config.shape));
  CHORUS_TRY(auto data, client::load_csv(options));
  return Loaded{std::move(data.dataset), std::move(data.keys)};
}

Result<client::Partition> cut(const Dataset& dataset,
                              const std::vector<std::string>& keys,
                              const DataConfig& config) {
  const std::string_view text = config.partition;
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const auto argument =
      colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  if (kind == "iid" && argument.empty()) {
    return client::partition_iid(dataset.size(), config.parts, config.seed);
  }
  if (kind == "dirichlet") {
    client::DirichletOptions options;
    options.clients = config.parts;
    options.seed = config.seed;
    CHORUS_TRY(options.alpha,
               parse_number<double>(argument, "alpha of --partition dirichlet:ALPHA"));
    return client::partition_dirichlet(dataset.labels(), options);
  }
  if (kind == "shards") {
    client::ShardOptions options;
    options.clients = config.parts;
    options.seed = config.seed;
    CHORUS_TRY(options.classes_each,
               parse_number<std::uint32_t>(argument, "number of --partition shards:S"));
    return client::partition_shards(dataset.labels(), options);
  }
  if (kind == "column" && !argument.empty()) {
    return client::partition_by_key(keys, config.parts, config.seed);
  }
  return fail(errc::invalid_argument,
              "--partition '" + config.partition +
                  "' is unknown; expected iid, dirichlet:ALPHA, shards:S or column:NAME");
}

}  // namespace

Result<Shares> load_shares(const DataConfig& config) {
  if (config.part >= config.parts) {
    return fail(errc::invalid_argument,
                "--part " + std::to_string(config.part) + " does not exist; --parts " +
                    std::to_string(config.parts) + " are numbered from 0");
  }
  constexpr std::string_view kColumn = "column:";
  const bool by_column = config.partition.starts_with(kColumn);
  const std::string key = by_column ? config.partition.substr(kColumn.size()) : config.key_column;
  CHORUS_TRY(const Loaded all, load(config, key));
  CHORUS_TRY(const auto common,
             client::split_holdout(all.dataset.size(), config.test_fraction, config.seed));
  Shares shares;
  CHORUS_TRY(shares.test, all.dataset.subset(common.holdout));
  CHORUS_TRY(const Dataset rest, all.dataset.subset(common.train));
  std::vector<std::string> keys;
  if (by_column) {
    for (const std::uint32_t row : common.train) keys.push_back(all.keys[row]);
  }
  CHORUS_TRY(const auto parts, cut(rest, keys, config));
  CHORUS_TRY(const Dataset mine, rest.subset(parts[config.part]));
  CHORUS_TRY(const auto local,
             client::split_holdout(mine.size(), config.hold_out, config.seed + config.part + 1));
  CHORUS_TRY(shares.train, mine.subset(local.train));
  CHORUS_TRY(shares.holdout, mine.subset(local.holdout));
  return shares;
}

}  // namespace chorus::agent
