// The other programs of Chorus on this machine.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chorus/result.hpp"

namespace chorus::admin {

/// Beside this program (as installed), in `room` of a build tree, else the bare name, for PATH.
std::string find_program(std::string_view name, std::string_view room);

/// Runs a program to its end and gives what it printed on standard output.
/// @errors not_found: it is neither beside this program nor in PATH; io_failed: it failed, with
/// what
///         it said
Result<std::string> output_of(const std::vector<std::string>& command);

}  // namespace chorus::admin
