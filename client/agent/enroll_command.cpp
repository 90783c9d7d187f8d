#include <ostream>

#include "chorus/client/client.hpp"
#include "client/agent/commands.hpp"
#include "common/base/try.hpp"

namespace chorus::agent {

Result<void> enroll(const EnrollCommand& command, std::ostream& out) {
  client::EnrollOptions options;
  options.token = command.token;
  options.state = command.state;
  options.name = command.name;
  CHORUS_TRY(const std::string name, client::enroll(options));
  out << "Enrolled as '" << name << "'. Key and certificate lie in " << command.state.string()
      << ".\nNext:\n  chorus-agent run --state " << command.state.string() << " --data FILE\n";
  return {};
}

}  // namespace chorus::agent
