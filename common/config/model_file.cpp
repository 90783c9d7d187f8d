#include "common/config/model_file.hpp"

#include <utility>

#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/config/model_table.hpp"
#include "common/config/toml_reader.hpp"
#include "common/config/train_table.hpp"

namespace chorus::config {
namespace {

// Asking for a table without opening it: whoever reads jobs checks what is in there.
void pass_over_job(const TomlTable& root) {
  if (!root.has("job")) return;
  for (const char* table : {"strategy", "pace", "limits", "evaluation", "selection", "stop"}) {
    static_cast<void>(root.has(table));
  }
}

}  // namespace

Result<ModelFile> parse_model_file(std::string_view text, const std::string& file_name) {
  CHORUS_TRY(auto file, TomlReader::parse(text, file_name));
  ModelFile read;
  const auto root = file.root();
  root.text("description", read.description);
  read_model(root.table("model"), read.model);
  const auto train = root.table("train");
  read_train(train, read.train);
  if (file.ok()) check_normalise(train, read.train, read.model);
  pass_over_job(root);
  CHORUS_OK(file.finish());
  return read;
}

Result<ModelFile> load_model_file(const std::filesystem::path& path) {
  CHORUS_TRY(const auto text, read_text(path, limits::kJobFileBytesMax));
  return parse_model_file(text, path.string());
}

}  // namespace chorus::config
