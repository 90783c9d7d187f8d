#include <csignal>
#include <exception>
#include <iostream>

#include "admin/cli.hpp"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed connection is an error to report, not an end
  try {
    const chorus::admin::World world{
        std::cout, std::cerr, chorus::admin::look_of_process, chorus::admin::connect_admin};
    return chorus::admin::run(argc, argv, world);
  } catch (const std::exception& error) {
    std::cerr << "chorus: " << error.what() << '\n';
    return 1;
  }
}
