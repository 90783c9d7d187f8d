// Whose each example is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/export.hpp"

namespace chorus::client {

/// A name per example: of a writer, a hospital, a role. Each different name is kept once, so that
/// an example takes 4 bytes.
class CHORUS_EXPORT ExampleKeys {
 public:
  /// The next `examples` examples have this name.
  void add(std::string_view name, std::size_t examples = 1);

  std::size_t size() const noexcept { return numbers_.size(); }  ///< examples
  bool empty() const noexcept { return numbers_.empty(); }
  /// @pre example < size()
  const std::string& operator[](std::size_t example) const { return names_[numbers_[example]]; }

  /// Different names, in the order in which they first came.
  const std::vector<std::string>& names() const noexcept { return names_; }
  /// By example: the place of its name in names().
  const std::vector<std::uint32_t>& numbers() const noexcept { return numbers_; }

 private:
  std::vector<std::string> names_;
  std::vector<std::uint32_t> numbers_;
  std::map<std::string, std::uint32_t, std::less<>> places_;  // of names
};

}  // namespace chorus::client
