#include "client/agent/agent_config.hpp"

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/config/toml_reader.hpp"

namespace chorus::agent {

Result<void> read_agent_config(const std::filesystem::path& file, AgentConfig& config) {
  CHORUS_TRY(auto reader, config::TomlReader::load(file));
  const auto root = reader.root();
  root.text("server", config.server);
  root.path("state", config.state);
  root.texts("jobs", config.jobs);
  root.whole("tasks_max", config.tasks_max);
  const auto data = root.table("data");
  data.path("csv", config.data.csv);
  data.boolean("header", config.data.header);
  data.text("label_column", config.data.label_column);
  data.text("key_column", config.data.key_column);
  config::NumberRule positive;
  positive.min = 0.0;
  positive.min_excluded = true;
  data.number("scale", config.data.scale, positive);
  data.text("shape", config.data.shape);
  data.path("images", config.data.images);
  data.path("labels", config.data.labels);
  config::NumberRule fraction;
  fraction.min = 0.0;
  fraction.max = 0.9;
  data.number("test_fraction", config.data.test_fraction, fraction);
  data.text("partition", config.data.partition);
  data.whole("parts", config.data.parts, {1, limits::kCohortMax});
  data.whole("part", config.data.part, {0, limits::kCohortMax - 1});
  data.number("hold_out", config.data.hold_out, fraction);
  data.whole("seed", config.data.seed);
  const auto log = root.table("log");
  log.text("level", config.log.level);
  log.text("file", config.log.file);
  log.boolean("json", config.log.json);
  return reader.finish();
}

}  // namespace chorus::agent
