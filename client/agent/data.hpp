// From configuration to examples: what this device trains on, holds out, and nobody trains on.
#pragma once

#include "chorus/client/dataset.hpp"
#include "chorus/result.hpp"
#include "client/agent/agent_config.hpp"

namespace chorus::agent {

struct DeviceData {
  client::Dataset train;    ///< of this device
  client::Dataset holdout;  ///< of this device, for evaluation tasks
  client::Dataset test;     ///< of no device; empty without test_fraction
};

/// Reads the files, puts the test set aside, takes this device's part, puts its hold-out aside. A
/// pure function of files and configuration: agents with the same files and seed, and parts 0 to
/// n-1, divide the examples among them.
/// @errors of check_data(), of reading the files, of the partition
Result<DeviceData> load_data(const DataConfig& config);

/// The test set, or all examples without test_fraction.
Result<client::Dataset> load_test_data(const DataConfig& config);

}  // namespace chorus::agent
