// Benchmarks that take orders: one per line, NAME ELEMENTS SECONDS, each answered with one line of
// JSON, {"seconds": …, "gb_per_s": …} (of float32, in the best run), so that a script can let them
// take turns with peers that speak the same (peer_numpy.py).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>

namespace chorus::bench {

/// Something to time, and how many updates it deals with.
struct Task {
  std::function<void()> run;
  std::size_t updates = 1;
};

/// What can be ordered, of so many elements.
using Tasks = std::map<std::string, std::function<Task(std::size_t elements)>>;

/// Over and over for so long; of the best time.
inline double best_seconds(const Task& task, double seconds) {
  using Clock = std::chrono::steady_clock;
  task.run();
  const auto begin = Clock::now();
  double best = 1e9;
  do {
    const auto start = Clock::now();
    task.run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  } while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  return best;
}

/// Until the orders end. @returns what main() does
inline int take_orders(std::string_view program, const Tasks& tasks) {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string name;
    std::size_t elements = 0;
    double seconds = 0.0;
    words >> name >> elements >> seconds;
    const auto found = tasks.find(name);
    if (!words || found == tasks.end()) {
      std::cerr << program << ": cannot read the order '" << line << "'\n";
      return 1;
    }
    const Task task = found->second(elements);
    const double best = best_seconds(task, seconds);
    const double bytes = 4.0 * static_cast<double>(elements * task.updates);
    std::cout << "{\"seconds\": " << best << ", \"gb_per_s\": " << 1e-9 * bytes / best << "}\n"
              << std::flush;
  }
  return 0;
}

}  // namespace chorus::bench
