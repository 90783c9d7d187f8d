// The commented files that `chorus init` writes. Every key is there with its default, so that the
// file is also its documentation; tests read them back and compare with the defaults.
#pragma once

#include <string>

namespace chorus::server {

struct ServerFacts {
  std::string federation;
  std::string listen;     ///< "0.0.0.0:7440"
  std::string advertise;  ///< "fed.example.org:7440"
};

/// @pre the facts hold no quotes or control characters (names and addresses do not)
std::string server_toml(const ServerFacts& facts);

/// The handwritten digits, 8×8: a small convolutional network, ten devices, twenty rounds.
std::string digits_job_toml();

}  // namespace chorus::server
