#include "server/config/names.hpp"

#include <algorithm>

#include "common/base/limits.hpp"

namespace chorus::server {
namespace {

bool is_small(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool in_length(std::string_view text) noexcept {
  return !text.empty() && text.size() <= limits::kNameBytesMax;
}

}  // namespace

bool valid_label(std::string_view text) {
  return in_length(text) && is_small(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_small(c) || c == '.' || c == '_' || c == '-';
         });
}

bool valid_job_name(std::string_view text) {
  return in_length(text) && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_small(c) || c == '-'; });
}

}  // namespace chorus::server
