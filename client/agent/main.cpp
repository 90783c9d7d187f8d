#include <exception>
#include <iostream>

#include "client/agent/cli.hpp"

int main(int argc, char** argv) {
  try {
    return chorus::agent::run(argc, argv, std::cout, std::cerr);
  } catch (const std::exception& error) {
    std::cerr << "chorus-agent: " << error.what() << '\n';
    return 1;
  }
}
