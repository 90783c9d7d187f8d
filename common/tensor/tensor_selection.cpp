#include "common/tensor/tensor_selection.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "common/base/try.hpp"

namespace chorus::tensor {

// The last '*' takes one more character whenever what follows it does not fit.
bool matches(std::string_view pattern, std::string_view name) noexcept {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<std::ptrdiff_t>(p), pattern.end(), [](char c) {
    return c == '*';
  });
}

Result<std::vector<bool>> select(std::span<const std::string> patterns,
                                 const TensorLayout& layout,
                                 std::string_view what) {
  std::vector<bool> chosen(layout.tensors.size(), false);
  for (const std::string& pattern : patterns) {
    bool any = false;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      if (!matches(pattern, layout.tensors[i].name)) continue;
      chosen[i] = true;
      any = true;
    }
    if (!any) {
      return fail(errc::invalid_argument,
                  fmt::format("{}: '{}' names no tensor of the model; the first of its {} is '{}'",
                              what,
                              pattern,
                              layout.tensors.size(),
                              layout.tensors.empty() ? "" : layout.tensors.front().name));
    }
  }
  return chosen;
}

Result<std::vector<bool>> trainable_of(const TrainPlan& plan, const TensorLayout& layout) {
  std::vector<bool> chosen(layout.tensors.size(), true);
  if (!plan.trainable.only.empty()) {
    CHORUS_TRY(chosen, select(plan.trainable.only, layout, "trainable"));
  }
  CHORUS_TRY(const auto frozen, select(plan.trainable.frozen, layout, "frozen"));
  bool any = false;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    chosen[i] = chosen[i] && !frozen[i];
    any = any || (chosen[i] && !layout.tensors[i].buffer);
  }
  if (!any) return fail(errc::invalid_argument, "trainable and frozen leave no tensor to train");
  return chosen;
}

std::vector<Range> ranges_of(const std::vector<bool>& chosen,
                             const TensorLayout& layout,
                             bool buffers) {
  std::vector<Range> ranges;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const TensorSpec& tensor = layout.tensors[i];
    if (!chosen[i] || (tensor.buffer && !buffers)) continue;
    if (!ranges.empty() && ranges.back().offset + ranges.back().count == tensor.offset) {
      ranges.back().count += tensor.count;
    } else {
      ranges.push_back({tensor.offset, tensor.count});
    }
  }
  return ranges;
}

}  // namespace chorus::tensor
