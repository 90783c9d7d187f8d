#include "server/driver/fail_point.hpp"

#ifdef CHORUS_FAIL_POINTS
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string_view>

namespace chorus::server {

void pass_fail_point(const char* name) noexcept {
  static const char* const wanted = std::getenv("CHORUS_FAIL_AT");
  if (wanted == nullptr) return;
  const std::string_view text(wanted);
  const std::size_t colon = text.rfind(':');
  if (text.substr(0, colon) != name) return;
  static std::atomic<int> passed{0};
  const int nth = colon == std::string_view::npos ? 1 : std::atoi(wanted + colon + 1);
  if (++passed == nth) std::raise(SIGKILL);
}

}  // namespace chorus::server
#endif
