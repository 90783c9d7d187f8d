#include "common/tensor/json_text.hpp"

#include <fmt/format.h>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace chorus::tensor {
namespace {

using nlohmann::json;

// First pass: sees every token, builds nothing, stops at the first thing that is not allowed.
class Checker final : public json::json_sax_t {
 public:
  explicit Checker(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return count(); }
  bool boolean(bool /*value*/) override { return count(); }
  bool number_integer(number_integer_t /*value*/) override { return count(); }
  bool number_unsigned(number_unsigned_t /*value*/) override { return count(); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return count(); }
  bool string(string_t& /*value*/) override { return count(); }
  bool binary(binary_t& /*value*/) override { return count(); }
  bool start_object(std::size_t /*elements*/) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t /*elements*/) override { return open(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    return stop(fmt::format("the key '{}' occurs twice in one object", name.substr(0, 80)));
  }
  bool parse_error(std::size_t position,
                   const std::string& /*token*/,
                   const json::exception& /*error*/) override {
    return stop(fmt::format("it is not valid JSON at byte {}", position));
  }

  const std::string& why() const noexcept { return why_; }

 private:
  bool stop(std::string why) {
    why_ = std::move(why);
    return false;
  }
  bool count() {
    if (++values_ <= limits_.values_max) return true;
    return stop(fmt::format("it holds more than {} values", limits_.values_max));
  }
  bool open() {
    if (keys_.size() >= limits_.depth_max) {
      return stop(fmt::format("it is nested more than {} levels deep", limits_.depth_max));
    }
    keys_.emplace_back();
    return count();
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  std::vector<std::set<std::string>> keys_;  // of the objects (and arrays) that are open
  std::size_t values_ = 0;
  std::string why_;
};

}  // namespace

Result<json> parse_json(std::string_view text, const JsonLimits& limits) {
  Checker checker(limits);
  if (!json::sax_parse(text, &checker)) return fail(errc::malformed_file, checker.why());
  json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return fail(errc::malformed_file, "it is not valid JSON");
  return document;
}

}  // namespace chorus::tensor
