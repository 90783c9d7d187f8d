// Where the command line writes, and how: text for people, or JSON.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace chorus::admin {

/// Streams are references: tests read what was written.
class Console {
 public:
  struct Look {
    bool json = false;      ///< --json: exactly one JSON value per result, nothing else
    bool terminal = false;  ///< standard output is one: colours and redrawing are welcome
    bool error_terminal = false;
    unsigned width = 80;   ///< columns of the terminal
    unsigned height = 24;  ///< and its rows
  };
  Console(std::ostream& out, std::ostream& err, Look look) : out_(out), err_(err), look_(look) {}

  bool json() const noexcept { return look_.json; }
  bool terminal() const noexcept { return look_.terminal; }
  unsigned width() const noexcept { return look_.width; }
  unsigned height() const noexcept { return look_.height; }

  /// A line for people; nothing when --json was given.
  void line(std::string_view text = {});
  /// A line of the result itself, also with --json.
  void raw(std::string_view text);
  /// One value on one line.
  void value(const nlohmann::ordered_json& value);
  /// A passing remark: to standard error.
  void note(std::string_view text);
  /// Replaces the lines of the last redraw() (terminals only).
  void redraw(const std::vector<std::string>& lines);
  /// What redraw() wrote stays; the next one begins below.
  void settle() noexcept { drawn_ = 0; }
  /// "exporting  [█████░░░░░]  50 %  12 MB of 24 MB" in place on a terminal, else nothing.
  void progress(std::string_view what, std::uint64_t done, std::uint64_t total);

 private:
  std::ostream& out_;
  std::ostream& err_;
  Look look_;
  std::size_t drawn_ = 0;  ///< lines of the last redraw
};

/// What the process was started with.
Console::Look look_of_process(bool json);

}  // namespace chorus::admin
