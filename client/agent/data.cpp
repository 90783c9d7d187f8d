#include "client/agent/data.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chorus/client/images.hpp"
#include "chorus/client/normalisation.hpp"
#include "chorus/client/npy.hpp"
#include "chorus/client/partition.hpp"
#include "chorus/client/text.hpp"
#include "common/base/rng.hpp"
#include "common/base/try.hpp"

namespace chorus::agent {
namespace {

using client::Dataset;
using client::Partition;

using Examples = client::KeyedDataset;  // keys with a column partition

struct PartitionKind {
  enum class Name { none, iid, dirichlet, shards, column };
  Name name = Name::none;
  std::string argument;
};

template <class T>
std::optional<T> number_of(const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Failure bad_partition(const std::string& text) {
  return fail(errc::invalid_argument,
              fmt::format("--partition (in the file: data.partition): '{}'; expected none, iid, "
                          "dirichlet:ALPHA with ALPHA > 0, shards:S with S >= 1, or column:NAME",
                          text));
}

Result<PartitionKind> parse_kind(const std::string& text) {
  using Name = PartitionKind::Name;
  const auto colon = text.find(':');
  const std::string name = text.substr(0, colon);
  PartitionKind kind;
  if (colon != std::string::npos) kind.argument = text.substr(colon + 1);
  const bool has_argument = !kind.argument.empty();
  if (name == "none" && colon == std::string::npos) return kind;
  if (name == "iid" && colon == std::string::npos) {
    kind.name = Name::iid;
    return kind;
  }
  if (name == "dirichlet" && has_argument) {
    const auto alpha = number_of<double>(kind.argument);
    if (alpha && *alpha > 0.0 && std::isfinite(*alpha)) {
      kind.name = Name::dirichlet;
      return kind;
    }
  }
  if (name == "shards" && has_argument && number_of<std::uint32_t>(kind.argument).value_or(0) > 0) {
    kind.name = Name::shards;
    return kind;
  }
  if (name == "column" && has_argument) {
    kind.name = Name::column;
    return kind;
  }
  return bad_partition(text);
}

std::uint64_t bytes_max(const DataConfig& config) {
  return config.memory_mib << 20U;
}

Result<Examples> read_idx(const DataConfig& config) {
  client::IdxOptions idx;
  idx.images = config.images;
  idx.labels = config.labels;
  idx.classes = config.classes;
  idx.bytes_max = bytes_max(config);
  idx.stream = config.stream;
  Examples examples;
  CHORUS_TRY(examples.dataset, client::load_idx(idx));
  return examples;
}

// "sex" or "cp=1|2|3|4".
client::CategoricalColumn categorical(const std::string& text) {
  client::CategoricalColumn column;
  const auto equals = text.find('=');
  column.column = text.substr(0, equals);
  if (equals == std::string::npos) return column;
  std::size_t at = equals + 1;
  for (;;) {
    const auto bar = text.find('|', at);
    column.values.push_back(text.substr(at, bar - at));
    if (bar == std::string::npos) return column;
    at = bar + 1;
  }
}

client::CsvOptions csv_options(const DataConfig& config, const std::string& key_column) {
  client::CsvOptions csv;
  csv.path = config.file;
  csv.header = config.header;
  csv.label_column = config.label_column;
  csv.target_columns = config.target_columns;
  csv.key_column = key_column;
  for (const std::string& text : config.categorical) csv.categories.push_back(categorical(text));
  csv.missing = config.missing;
  csv.divide_by = config.scale;
  csv.feature_shape = config.shape;
  csv.classes = config.classes;
  csv.bytes_max = bytes_max(config);
  csv.stream = config.stream;
  return csv;
}

Result<Examples> read_npy(const DataConfig& config, const std::string& keys) {
  const bool archive = !config.npz.empty();
  client::NpyOptions npy;
  npy.archive = config.npz;
  npy.features = archive ? config.features_array : config.npy.string();
  npy.labels = archive ? config.labels_array : config.labels.string();
  npy.keys = keys;
  npy.divide_by = config.scale;
  npy.feature_shape = config.shape;
  npy.classes = config.classes;
  npy.bytes_max = bytes_max(config);
  npy.stream = config.stream;
  return client::load_npy(npy);
}

Result<Examples> read_wav(const DataConfig& config) {
  client::WavFolderOptions wav;
  wav.folder = config.wav;
  wav.features = config.log_mel;
  wav.samples = config.clip_samples;
  wav.bytes_max = bytes_max(config);
  wav.stream = config.stream;
  Examples examples;
  CHORUS_TRY(auto data, client::load_wav_folder(wav));
  examples.dataset = std::move(data.dataset);
  return examples;
}

Result<Examples> read_pictures(const DataConfig& config) {
  client::ImageFolderOptions pictures;
  pictures.folder = config.pictures;
  pictures.image.shape = config.shape;
  CHORUS_TRY(pictures.image.fit, parse_picture_fit(config.picture_fit));
  pictures.bytes_max = bytes_max(config);
  pictures.stream = config.stream;
  Examples examples;
  CHORUS_TRY(auto data, client::load_image_folder(pictures));
  examples.dataset = std::move(data.dataset);
  return examples;
}

// Without a column partition all roles are one text; column:role divides by who speaks.
Result<Examples> read_text(const DataConfig& config, const std::string& keys) {
  if (!keys.empty() && keys != "role") {
    return fail(errc::invalid_argument,
                fmt::format("--partition column:{}: the one key of --text is role", keys));
  }
  client::TextOptions text;
  text.path = config.text;
  text.by_role = !keys.empty();
  text.window = config.text_window;
  text.stride = config.text_stride;
  text.sequence = config.text_sequence;
  text.vocabulary = config.vocabulary;
  if (!config.replacement.empty()) text.replacement = config.replacement[0];
  text.bytes_max = bytes_max(config);
  return client::load_text(text);
}

std::string key_column(const DataConfig& config) {
  constexpr std::string_view kColumn = "column:";
  return config.partition.starts_with(kColumn) ? config.partition.substr(kColumn.size()) : "";
}

// As they are in the files: not normalised.
Result<Examples> read_files(const DataConfig& config) {
  const std::string keys = key_column(config);
  if (!config.file.empty()) {
    CHORUS_TRY(client::CsvData data, client::load_csv(csv_options(config, keys)));
    return Examples{std::move(data)};
  }
  if (!config.npy.empty() || !config.npz.empty()) return read_npy(config, keys);
  if (!config.text.empty()) return read_text(config, keys);
  if (!keys.empty()) {
    return fail(errc::invalid_argument,
                "--partition column:NAME needs keys: a column of --data, an array of --npz, the "
                "path of an array file with --npy, or column:role with --text");
  }
  if (!config.pictures.empty()) return read_pictures(config);
  return config.wav.empty() ? read_idx(config) : read_wav(config);
}

Result<Partition> partition(const Examples& examples,
                            const DataConfig& config,
                            const PartitionKind& kind) {
  using Name = PartitionKind::Name;
  switch (kind.name) {
    case Name::none: {
      Partition all(1, std::vector<std::uint32_t>(examples.dataset.size()));
      std::iota(all[0].begin(), all[0].end(), 0U);
      return all;
    }
    case Name::iid:
      return client::partition_iid(examples.dataset.size(), config.parts, config.seed);
    case Name::dirichlet: {
      client::DirichletOptions options;
      options.clients = config.parts;
      options.alpha = *number_of<double>(kind.argument);
      options.seed = config.seed;
      CHORUS_TRY(const auto labels, examples.dataset.labels());
      return client::partition_dirichlet(labels, options);
    }
    case Name::shards: {
      client::ShardOptions options;
      options.clients = config.parts;
      options.classes_each = *number_of<std::uint32_t>(kind.argument);
      options.seed = config.seed;
      CHORUS_TRY(const auto labels, examples.dataset.labels());
      return client::partition_shards(labels, options);
    }
    case Name::column:
      return client::partition_by_key(examples.keys, config.parts, config.seed);
  }
  return bad_partition(config.partition);
}

Result<client::Split> split_by_key(const client::ExampleKeys& keys,
                                   const std::vector<std::string>& test_keys) {
  for (const std::string& key : test_keys) {
    const auto& names = keys.names();
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    return fail(errc::invalid_argument,
                fmt::format("--test-keys (in the file: data.test_keys): no example has the key "
                            "'{}'",
                            key));
  }
  client::Split split;
  for (std::uint32_t row = 0; row < keys.size(); ++row) {
    const bool test = std::find(test_keys.begin(), test_keys.end(), keys[row]) != test_keys.end();
    (test ? split.holdout : split.train).push_back(row);
  }
  return split;
}

// The test set (holdout) is drawn before anything is divided: the same for every device. Numbers
// are those of the examples in the files.
Result<client::Split> put_test_aside(const Examples& examples, const DataConfig& config) {
  if (!config.test_keys.empty()) return split_by_key(examples.keys, config.test_keys);
  if (has_test_set(config)) {
    return client::split_holdout(examples.dataset.size(), config.test_fraction, config.seed);
  }
  client::Split all;
  all.train.resize(examples.dataset.size());
  std::iota(all.train.begin(), all.train.end(), 0U);
  return all;
}

Result<Examples> only(const Examples& examples, const std::vector<std::uint32_t>& rows) {
  Examples part;
  CHORUS_TRY(part.dataset, examples.dataset.subset(rows));
  for (const std::uint32_t row : rows) {
    if (!examples.keys.empty()) part.keys.add(examples.keys[row]);
  }
  return part;
}

// What training examples say about scales holds for all: nothing is learned from the others.
Result<Dataset> normalise(const DataConfig& config,
                          const Dataset& all,
                          const std::vector<std::uint32_t>& training) {
  CHORUS_TRY(const auto kind, parse_normalisation(config.normalise));
  std::vector<client::FeatureScale> scales;
  for (std::size_t i = 0; i < config.mean.size(); ++i) {
    scales.push_back({config.mean[i], config.deviation[i]});
  }
  if (kind == client::Normalisation::none && scales.empty()) return all;
  if (scales.empty() && training.empty()) {
    return fail(errc::invalid_argument,
                "--normalise (in the file: data.normalise): there are no training examples to fit "
                "it to; put a test set aside, or give --mean and --deviation");
  }
  if (config.file.empty()) {
    if (scales.empty()) {
      CHORUS_TRY(const Dataset part, all.subset(training));
      CHORUS_TRY(scales, client::fit_scales(part, kind));
    }
    return client::normalised(all, std::move(scales));
  }
  // Each column of numbers by itself, and before it is rounded to float32.
  client::CsvOptions csv = csv_options(config, key_column(config));
  csv.normalisation = scales.empty() ? kind : client::Normalisation::standard;
  csv.scales = std::move(scales);
  csv.fit_rows = training;
  CHORUS_TRY(client::CsvData data, client::load_csv(csv));
  return data.dataset;
}

}  // namespace

Result<DeviceData> load_data(const DataConfig& config) {
  CHORUS_OK(check_data(config));
  CHORUS_TRY(const auto kind, parse_kind(config.partition));
  CHORUS_TRY(const Examples examples, read_files(config));
  CHORUS_TRY(const client::Split rows, put_test_aside(examples, config));
  CHORUS_TRY(const Examples others, only(examples, rows.train));
  CHORUS_TRY(const auto parts, partition(others, config, kind));
  const std::vector<std::uint32_t>& mine = parts.at(config.part);
  const std::string number = std::to_string(config.part);
  const std::string_view purpose[] = {"hold-out", number};
  const std::uint64_t seed = stream_key(config.seed, purpose);
  CHORUS_TRY(auto split, client::split_holdout(mine.size(), config.hold_out, seed));
  for (auto* const side : {&split.train, &split.holdout}) {
    for (std::uint32_t& row : *side) row = rows.train[mine[row]];
  }
  CHORUS_TRY(const Dataset all, normalise(config, examples.dataset, split.train));
  DeviceData data;
  CHORUS_TRY(data.train, all.subset(split.train));
  CHORUS_TRY(data.holdout, all.subset(split.holdout));
  CHORUS_TRY(data.test, all.subset(rows.holdout));
  return data;
}

Result<Dataset> load_test_data(const DataConfig& config) {
  CHORUS_OK(check_data(config));
  CHORUS_OK(parse_kind(config.partition));
  CHORUS_TRY(const Examples examples, read_files(config));
  CHORUS_TRY(const client::Split rows, put_test_aside(examples, config));
  if (!has_test_set(config)) return normalise(config, examples.dataset, {});
  CHORUS_TRY(const Dataset all, normalise(config, examples.dataset, rows.train));
  return all.subset(rows.holdout);
}

}  // namespace chorus::agent
