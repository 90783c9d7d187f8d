#include "client/src/c_api.hpp"

#include <array>

#include "chorus/chorus.h"

namespace chorus::capi {
namespace {

constexpr std::size_t kLastErrorBytes = 1024;

// A plain array, so that keeping an error never fails.
std::array<char, kLastErrorBytes>& last_error() noexcept {
  static thread_local std::array<char, kLastErrorBytes> text{};
  return text;
}

// Whole characters only: a byte that goes on with a character is 10xxxxxx.
std::size_t cut(std::string_view text, std::size_t bytes_max) noexcept {
  std::size_t length = std::min(text.size(), bytes_max);
  while (length > 0 && length < text.size() &&
         (static_cast<unsigned>(text[length]) & 0xC0U) == 0x80U) {
    --length;
  }
  return length;
}

}  // namespace

void set_last_error(std::string_view sentence) noexcept {
  auto& text = last_error();
  const std::size_t length = cut(sentence, kLastErrorBytes - 1);
  std::memmove(text.data(), sentence.data(), length);  // it may be the last error itself
  text[length] = '\0';
}

chorus_status failed(const Failure& why) noexcept {
  set_last_error(why.detail);
  return static_cast<chorus_status>(why.code);
}

Failure failure_of(chorus_status status, std::string_view who) {
  const auto number = static_cast<std::uint32_t>(status);
  const errc code = errc_from_number(number);
  if (code == errc::internal && number != static_cast<std::uint32_t>(errc::internal)) {
    return fail(
        errc::invalid_argument,
        std::string(who) + " returned " + std::to_string(number) + ", which is no chorus_status");
  }
  const std::string_view said(last_error().data());
  if (said.empty()) return fail(code, std::string(who) + " failed and did not say why");
  return fail(code, std::string(said));
}

Failure null_argument(std::string_view name) {
  return fail(errc::invalid_argument, "'" + std::string(name) + "' is null");
}

std::string_view name_of(Handle kind) noexcept {
  switch (kind) {
    case Handle::closed:
      break;
    case Handle::client:
      return "chorus_client";
    case Handle::trainer:
      return "chorus_trainer";
    case Handle::task:
      return "chorus_task";
    case Handle::report:
      return "chorus_report";
    case Handle::dataset:
      return "chorus_dataset";
    case Handle::model:
      return "chorus_model";
  }
  return "handle";
}

Failure bad_handle(Handle expected, bool null) {
  return fail(errc::invalid_argument,
              null ? "the " + std::string(name_of(expected)) + " is null"
                   : "this is no open " + std::string(name_of(expected)) +
                         ": it was closed, or is a handle of another kind");
}

Failure bad_size(std::string_view type, std::size_t size, std::size_t expected) {
  return fail(errc::invalid_argument,
              std::string(type) + ".size is " + std::to_string(size) + "; expected sizeof(" +
                  std::string(type) + "), which is " + std::to_string(expected) + " here");
}

Failure unknown_fields(std::string_view type, std::size_t size, std::size_t known) {
  return fail(errc::unsupported_version,
              std::string(type) + " of " + std::to_string(size) +
                  " bytes sets fields that this library (" + chorus_version() +
                  ") does not know: it knows the first " + std::to_string(known) +
                  " bytes; use a newer library, or leave them 0");
}

}  // namespace chorus::capi

extern "C" {

const char* chorus_version(void) {
  return CHORUS_LIBRARY_VERSION;
}

const char* chorus_status_name(chorus_status status) {
  if (status == CHORUS_OK) return "ok";
  // The table's names are literals.
  return chorus::to_string(static_cast<chorus::errc>(status)).data();
}

bool chorus_may_retry(chorus_status status) {
  return chorus::may_retry(static_cast<chorus::errc>(status));
}

const char* chorus_last_error(void) {
  return chorus::capi::last_error().data();
}

chorus_status chorus_fail(chorus_status status, const char* sentence) {
  if (sentence != nullptr) chorus::capi::set_last_error(sentence);
  return status;
}

}  // extern "C"
