#include "client/agent/agent_config.hpp"

#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <string_view>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/config/toml_reader.hpp"
#include "common/wire/messages.hpp"

namespace chorus::agent {
namespace {

using config::NumberRule;
using config::TomlReader;
using config::TomlTable;
using config::WholeRule;

constexpr std::uint64_t kMemoryMibMax = 1U << 20U;
constexpr NumberRule kFraction{.min = 0.0, .max = 1.0, .max_excluded = true};

void read_data(const TomlTable& table, DataConfig& data) {
  table.path("csv", data.file);
  table.path("images", data.images);
  table.path("labels", data.labels);
  table.path("npy", data.npy);
  table.path("npz", data.npz);
  table.text("features_array", data.features_array);
  table.text("labels_array", data.labels_array);
  table.text("label_column", data.label_column);
  table.texts("target_columns", data.target_columns);
  table.boolean("header", data.header);
  table.texts("categorical", data.categorical);
  double missing = 0.0;
  if (table.number("missing", missing)) data.missing = missing;
  table.text("normalise", data.normalise);
  table.numbers("mean", data.mean);
  table.numbers("deviation", data.deviation);
  table.boolean("stream", data.stream);
  table.whole("memory_mib", data.memory_mib, WholeRule{1, kMemoryMibMax});
  table.number("scale", data.scale, {.min = 0.0, .min_excluded = true});
  std::string shape;
  if (table.text("shape", shape)) {
    if (auto parsed = parse_shape(shape)) {
      data.shape = *parsed;
    } else {
      table.problem("shape", "expected numbers with x between them, such as \"1x8x8\"");
    }
  }
  table.whole("classes", data.classes);
  table.text("partition", data.partition);
  table.whole("parts", data.parts, WholeRule{1, limits::kCohortMax});
  table.whole("part", data.part, WholeRule{0, limits::kCohortMax - 1});
  table.whole("seed", data.seed);
  table.number("test_fraction", data.test_fraction, kFraction);
  table.texts("test_keys", data.test_keys);
  table.number("hold_out", data.hold_out, kFraction);
}

void read_sound(const TomlTable& table, DataConfig& data) {
  table.path("wav", data.wav);
  client::LogMelOptions& mel = data.log_mel;
  table.whole("sample_rate", mel.sample_rate);
  table.whole("window", mel.window);
  table.whole("hop", mel.hop);
  table.whole("fft", mel.fft);
  table.whole("mels", mel.mels);
  table.number("hz_min", mel.hz_min);
  table.number("hz_max", mel.hz_max);
  table.number("log_epsilon", mel.epsilon);
  table.whole("clip_samples", data.clip_samples);
}

void read_pictures(const TomlTable& table, DataConfig& data) {
  table.path("pictures", data.pictures);
  table.text("picture_fit", data.picture_fit);
  table.whole("augment_crop", data.augmentation.crop_padding);
  table.boolean("augment_flip", data.augmentation.flip);
  table.number("augment_noise", data.augmentation.noise, {.min = 0.0});
}

void read_text_options(const TomlTable& table, DataConfig& data) {
  table.path("text", data.text);
  table.whole("text_window", data.text_window);
  table.whole("text_stride", data.text_stride);
  table.boolean("text_sequence", data.text_sequence);
  table.text("vocabulary", data.vocabulary);
  table.text("replacement", data.replacement);
}

void read_log(const TomlTable& table, LogOptions& log) {
  table.text("level", log.level);
  std::filesystem::path file = log.file;
  if (table.path("file", file)) log.file = file.string();
  table.boolean("json", log.json);
}

Failure wrong(std::string_view flag, std::string_view key, std::string_view what) {
  return fail(errc::invalid_argument, fmt::format("{} (in the file: {}): {}", flag, key, what));
}

}  // namespace

Result<void> load_config(const std::filesystem::path& path, AgentConfig& config) {
  CHORUS_TRY(auto file, TomlReader::load(path));
  const TomlTable root = file.root();
  root.text("server", config.server);
  root.path("state", config.state);
  root.texts("jobs",
             config.jobs,
             {.bytes_max = limits::kNameBytesMax,
              .accepts = wire::valid_name,
              .expected = "names of jobs such as \"digits\""});
  root.whole("tasks_max", config.tasks_max);
  root.whole("threads", config.threads, WholeRule{1, 1024});
  read_data(root.table("data"), config.data);
  read_sound(root.table("data"), config.data);
  read_pictures(root.table("data"), config.data);
  read_text_options(root.table("data"), config.data);
  read_log(root.table("log"), config.log);
  return file.finish();
}

Result<std::vector<std::uint64_t>> parse_shape(const std::string& text) {
  std::vector<std::uint64_t> shape;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (shape.size() < limits::kTensorRankMax) {
    std::uint64_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc() || extent == 0) break;
    shape.push_back(extent);
    if (next == end) return shape;
    if (*next != 'x') break;
    at = next + 1;
  }
  return fail(
      errc::invalid_argument,
      fmt::format("'{}' is no shape; expected numbers with x between them, such as 1x8x8", text));
}

Result<client::Normalisation> parse_normalisation(const std::string& text) {
  if (text == "none") return client::Normalisation::none;
  if (text == "standard") return client::Normalisation::standard;
  if (text == "min-max") return client::Normalisation::min_max;
  return wrong("--normalise",
               "data.normalise",
               fmt::format("'{}'; expected none, standard or min-max", text));
}

Result<client::ImageFit> parse_picture_fit(const std::string& text) {
  if (text == "crop") return client::ImageFit::crop;
  if (text == "stretch") return client::ImageFit::stretch;
  return wrong(
      "--picture-fit", "data.picture_fit", fmt::format("'{}'; expected crop or stretch", text));
}

bool has_test_set(const DataConfig& data) {
  return data.test_fraction > 0.0 || !data.test_keys.empty();
}

namespace {

Result<void> check_scales(const DataConfig& data) {
  CHORUS_TRY(const auto kind, parse_normalisation(data.normalise));
  if (data.mean.empty() && data.deviation.empty()) {
    if (kind == client::Normalisation::none || data.text.empty()) return {};
    return wrong("--normalise", "data.normalise", "given, though characters are no quantities");
  }
  if (kind != client::Normalisation::none || !data.text.empty()) {
    return wrong("--mean",
                 "data.mean",
                 data.text.empty() ? "given together with --normalise; expected one of them"
                                   : "given, though characters are no quantities");
  }
  if (data.mean.size() != data.deviation.size()) {
    return wrong("--mean",
                 "data.mean",
                 fmt::format("has {} numbers and --deviation {}; expected as many, one per channel",
                             data.mean.size(),
                             data.deviation.size()));
  }
  for (const double deviation : data.deviation) {
    if (deviation > 0.0 && std::isfinite(deviation)) continue;
    return wrong(
        "--deviation", "data.deviation", fmt::format("{}; expected numbers above 0", deviation));
  }
  return {};
}

// Exactly one source of examples, with all that belongs to it.
Result<void> check_source(const DataConfig& data) {
  std::vector<std::string_view> given;
  if (!data.file.empty()) given.push_back("--data");
  if (!data.images.empty()) given.push_back("--images");
  if (!data.npy.empty()) given.push_back("--npy");
  if (!data.npz.empty()) given.push_back("--npz");
  if (!data.wav.empty()) given.push_back("--wav");
  if (!data.pictures.empty()) given.push_back("--pictures");
  if (!data.text.empty()) given.push_back("--text");
  const bool takes_labels = !data.images.empty() || !data.npy.empty();
  if (given.empty() && data.labels.empty()) {
    return wrong("--data",
                 "data.csv",
                 "missing; expected a CSV file, or --images and --labels, --npy and --labels, "
                 "--npz, --wav, --pictures or --text");
  }
  if (given.size() > 1) {
    return wrong(given[0],
                 "[data]",
                 fmt::format("given together with {}; expected one kind of data", given[1]));
  }
  if (takes_labels == data.labels.empty()) {
    return wrong("--labels",
                 "data.labels",
                 takes_labels ? fmt::format("missing, though there is {}", given[0])
                              : "belongs to --images or --npy, and neither is given");
  }
  const bool tabular = !data.categorical.empty() || data.missing || !data.target_columns.empty();
  if (tabular && data.file.empty()) {
    return wrong("--categorical, --missing and --target-columns",
                 "data.categorical, data.missing, data.target_columns",
                 "are for CSV files, and there is none");
  }
  if (data.stream && !data.text.empty()) {
    return wrong("--stream", "data.stream", "is not for --text, which is never cut in advance");
  }
  if (!data.pictures.empty() && data.shape.empty()) {
    return wrong("--shape",
                 "data.shape",
                 "missing; --pictures expects what they are to become, such as 3x32x32");
  }
  if (data.replacement.size() > 1) {
    return wrong("--replacement",
                 "data.replacement",
                 fmt::format("'{}'; expected one character of the vocabulary", data.replacement));
  }
  CHORUS_OK(parse_picture_fit(data.picture_fit));
  return check_scales(data);
}

}  // namespace

Result<void> check_data(const DataConfig& data) {
  CHORUS_OK(check_source(data));
  if (!(data.scale > 0.0) || !std::isfinite(data.scale)) {
    return wrong("--scale", "data.scale", fmt::format("{}; expected a number above 0", data.scale));
  }
  if (data.memory_mib == 0 || data.memory_mib > kMemoryMibMax) {
    return wrong("--memory",
                 "data.memory_mib",
                 fmt::format("{}; expected 1 to {} MiB", data.memory_mib, kMemoryMibMax));
  }
  if (!(data.augmentation.noise >= 0.0) || !std::isfinite(data.augmentation.noise)) {
    return wrong("--augment-noise",
                 "data.augment_noise",
                 fmt::format("{}; expected a number from 0", data.augmentation.noise));
  }
  if (data.parts == 0 || data.part >= data.parts) {
    return wrong("--part",
                 "data.part",
                 fmt::format("{} of {} parts; parts count from 0", data.part, data.parts));
  }
  if (data.partition == "none" && data.parts != 1) {
    return wrong("--partition",
                 "data.partition",
                 fmt::format("missing, though there are {} parts; expected iid, dirichlet:ALPHA, "
                             "shards:S or column:NAME",
                             data.parts));
  }
  const bool has_keys = data.partition.rfind("column:", 0) == 0;
  if (!data.test_keys.empty() && (data.test_fraction > 0.0 || !has_keys)) {
    return wrong("--test-keys",
                 "data.test_keys",
                 has_keys ? "given together with --test-fraction; expected one of them"
                          : "needs --partition column:NAME, which says where the keys are");
  }
  for (const double fraction : {data.test_fraction, data.hold_out}) {
    if (!(fraction >= 0.0 && fraction < 1.0)) {
      return wrong("--test-fraction and --hold-out",
                   "data.test_fraction, data.hold_out",
                   fmt::format("{}; expected a number from 0 to below 1", fraction));
    }
  }
  return {};
}

}  // namespace chorus::agent
