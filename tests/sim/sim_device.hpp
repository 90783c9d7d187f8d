// A device: the production session machine, task runner and stores, and what client/src/driver.cpp
// does around them, on the simulation's network, disk and clock. It may die at any moment, and lie.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/src/session_machine.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "tests/sim/sim_disk.hpp"
#include "tests/sim/sim_network.hpp"
#include "tests/sim/world.hpp"

namespace chorus::sim {

/// What a device does that it should not.
enum class Lie : std::uint8_t {
  none,
  digest,     ///< of another body than it sends
  nan,        ///< in the body
  too_large,  ///< an element beyond the job's value_max
  examples,   ///< more than examples_max, or none
  size,       ///< a body of another length
  stall,      ///< half an upload, then silence
  no_upload,  ///< offers, and never sends
  old_task,   ///< offers an update of a round long gone
  garbage,    ///< bytes that are no frame
};
inline constexpr std::uint64_t kLies = 10;

/// What others want to know of devices.
class DeviceObserver {
 public:
  virtual ~DeviceObserver() = default;
  /// It has an update ready; what it says and sends.
  virtual void offered(const std::string& device,
                       const wire::Offer& offer,
                       std::span<const std::byte> body) = 0;
  /// The server said that it counts it.
  virtual void acknowledged(const std::string& device, const wire::Offer& offer) = 0;
};

struct DeviceTraits {
  std::string name;
  LinkShape link;
  Micros training_min{5'000};
  Micros training_max{50'000};
  double lies = 0.0;  ///< chance of each task
};

class SimDevice {
 public:
  /// What it needs of the rest; null from connect(): nobody listens.
  struct Surroundings {
    World* world = nullptr;
    std::function<std::shared_ptr<Connection>(const std::string& device, const LinkShape&)> connect;
    DeviceObserver* observer = nullptr;
  };

  SimDevice(Surroundings surroundings, DeviceTraits traits);
  ~SimDevice();

  /// The process starts. @pre it does not run
  void start();
  bool runs() const noexcept { return process_ != nullptr; }
  /// It dies; its connection breaks.
  void die();
  /// The machine loses power: nobody is told.
  void lose_power();
  /// Dies at its n-th DiskWork from now on.
  void die_at(std::uint64_t work);
  /// Cut off from the network, or not.
  void cut_off(bool is);
  /// Its connection breaks; or the server's end of it is gone, and the device does not know.
  void break_connection();
  void lose_connection_silently();
  void read_slowly(Micros each);
  void stop_lying() { traits_.lies = 0.0; }

  SimDisk& disk() noexcept { return disk_; }
  const std::string& name() const noexcept { return traits_.name; }
  DeviceTraits& traits() noexcept { return traits_; }

 private:
  class Process;

  Surroundings around_;
  DeviceTraits traits_;
  Rng rng_;
  SimDisk disk_;
  Micros wall_offset_{};
  bool cut_off_ = false;
  Micros reads_each_{};
  std::shared_ptr<Process> process_;
};

}  // namespace chorus::sim
