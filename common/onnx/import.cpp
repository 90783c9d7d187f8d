#include <fmt/format.h>

#include "common/base/files.hpp"
#include "common/base/try.hpp"
#include "common/onnx/graph.hpp"
#include "common/onnx/importer.hpp"
#include "common/onnx/onnx.hpp"

namespace chorus::onnx {

Result<Import> import_model(std::span<const std::byte> file) {
  CHORUS_TRY(Graph graph, read_graph(file));
  Importer importer(std::move(graph));
  CHORUS_TRY(Import imported, importer.run());
  if (!imported.problems.empty()) {
    imported.model = {};
    imported.parameters.clear();
  }
  return imported;
}

Result<Import> load_model(const std::filesystem::path& path) {
  CHORUS_TRY(const std::string bytes, read_text(path, kFileBytesMax));
  auto imported = import_model(std::as_bytes(std::span(bytes)));
  if (!imported) return std::move(imported).error().during("'" + path.string() + "'");
  return imported;
}

std::string text_of(const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems) {
    if (!text.empty()) text += '\n';
    text += fmt::format("node '{}' ({}): {}", problem.node, problem.op, problem.why);
    if (!problem.instead.empty()) text += fmt::format("; {}", problem.instead);
  }
  return text;
}

}  // namespace chorus::onnx
