#include "admin/console.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sys/ioctl.h>
#include <unistd.h>

#include "admin/text.hpp"

namespace chorus::admin {

void Console::line(std::string_view text) {
  if (!look_.json) out_ << text << '\n' << std::flush;
}

void Console::raw(std::string_view text) {
  out_ << text << '\n' << std::flush;
}

void Console::value(const nlohmann::ordered_json& value) {
  // Text from elsewhere may hold anything: what is not UTF-8 is replaced instead of thrown over.
  out_ << value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n'
       << std::flush;
}

void Console::note(std::string_view text) {
  err_ << text << '\n' << std::flush;
}

void Console::redraw(const std::vector<std::string>& lines) {
  std::string text;
  if (drawn_ > 0) text += fmt::format("\x1b[{}A", drawn_);
  for (const auto& line : lines) text += "\r" + cut(line, look_.width) + "\x1b[K\n";
  text += "\x1b[J";  // lines of a longer picture before
  drawn_ = lines.size();
  out_ << text << std::flush;
}

void Console::progress(std::string_view what, std::uint64_t done, std::uint64_t total) {
  if (!look_.error_terminal || look_.json) return;
  const double part = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
  err_ << fmt::format("\r{}  [{}]  {:3.0f} %  {} of {}\x1b[K",
                      what,
                      bar(part, 24),
                      part * 100.0,
                      human_bytes(done),
                      human_bytes(total));
  if (done >= total) err_ << '\n';
  err_ << std::flush;
}

Console::Look look_of_process(bool json) {
  Console::Look look;
  look.json = json;
  look.terminal = ::isatty(STDOUT_FILENO) == 1;
  look.error_terminal = ::isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
    if (size.ws_col > 0) look.width = size.ws_col;
    if (size.ws_row > 0) look.height = size.ws_row;
  }
  return look;
}

}  // namespace chorus::admin
