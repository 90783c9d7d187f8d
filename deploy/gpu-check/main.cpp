// gpu_check [--inputs N] [--elements N] [--json FILE]: every kernel on every device against plain
// C++, then the exact fold beside the copy bandwidth of the same device.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "common/base/try.hpp"
#include "tests/support/gpu_calls.hpp"

namespace chorus::gpu {
namespace {

constexpr int kRepeats = 7;

struct Sizes {
  std::uint32_t inputs = 64;
  std::uint64_t elements = 100'000'000;
};

struct Row {
  std::string device;
  std::string name;
  std::size_t agree = 0;
  std::size_t differ = 0;
  std::string fault;            // why there are no timings, or what differed
  double copy_gigabytes = 0.0;  // read and written, per second
  double fold_gigabytes = 0.0;
};

// The median of some runs of `queue`, each waited for; the first, which warms up, not counted.
template <class F>
Result<double> seconds(Device& device, const F& queue) {
  std::vector<double> times;
  for (int i = 0; i <= kRepeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    CHORUS_OK(queue());
    CHORUS_OK(device.finish());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (i > 0) times.push_back(took.count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

Result<void> verify(Device& device, Row& row) {
  CHORUS_TRY(const auto plain, open("plain", with_kernels()));
  for (const Call& call : all_calls()) {
    Call expected = call;
    CHORUS_OK(execute(*plain, expected));
    Call got = call;
    CHORUS_OK(execute(device, got));
    const std::string other = difference(got, expected);
    if (other.empty()) {
      ++row.agree;
    } else {
      ++row.differ;
      row.fault = other;
    }
  }
  return {};
}

Result<void> measure(Device& device, const Sizes& sizes, Row& row) {
  const std::uint64_t n = sizes.elements;
  CHORUS_TRY(const Buffer x, device.allocate(n * sizes.inputs * sizeof(float)));
  CHORUS_TRY(const Buffer sums, device.allocate(n * sizeof(std::int64_t)));
  CHORUS_TRY(const Buffer factors, device.allocate(sizes.inputs * sizeof(double)));
  // Every update is a copy of one: a table of one row, looked up for each.
  std::vector<float> numbers(n);
  std::uint32_t state = 1;
  for (float& value : numbers) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(state >> 8U) * 0x1.0p-24F - 0.5F;
  }
  CHORUS_TRY(const Buffer table, device.allocate(n * sizeof(float)));
  CHORUS_OK(device.write(table, std::as_bytes(std::span(numbers))));
  CHORUS_TRY(const Buffer ids, device.allocate(sizes.inputs * sizeof(std::uint32_t)));
  const std::vector<std::uint32_t> first(sizes.inputs);
  CHORUS_OK(device.write(ids, std::as_bytes(std::span(first))));
  const std::uint64_t all = n * sizes.inputs;
  const auto width = static_cast<std::uint32_t>(n);
  CHORUS_OK(device.launch("embedding_f32", all, {table, ids, width, x, all}));
  const Operand zeros = Operand::of(std::vector<std::int64_t>(n));
  CHORUS_OK(device.write(sums, zeros.array));
  const std::vector<double> multipliers(sizes.inputs, 0x1.0p40);
  CHORUS_OK(device.write(factors, std::as_bytes(std::span(multipliers))));

  const std::uint64_t half = all / 2;
  CHORUS_TRY(const Buffer target, device.allocate(half * sizeof(float)));
  CHORUS_TRY(const double copy,
             seconds(device, [&] { return device.copy(x, target, half * sizeof(float)); }));
  row.copy_gigabytes = 2.0 * static_cast<double>(half) * sizeof(float) / copy / 1e9;
  CHORUS_TRY(const double fold, seconds(device, [&] {
               return device.launch("fold_f32", n, {x, factors, sizes.inputs, sums, n});
             }));
  const double bytes = static_cast<double>(n) * (4.0 * sizes.inputs + 16.0);
  row.fold_gigabytes = bytes / fold / 1e9;
  return {};
}

Row check(const DeviceInfo& info, const Sizes& sizes) {
  Row row;
  row.device = info.id();
  row.name = info.name;
  auto device = open(info.id(), with_kernels());
  if (!device) {
    row.fault = device.error().to_string();
    return row;
  }
  if (auto done = verify(**device, row); !done) {
    row.fault = done.error().to_string();
    ++row.differ;
    return row;
  }
  if (auto done = measure(**device, sizes, row); !done) row.fault = done.error().to_string();
  return row;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

void write_json(std::FILE* file, const std::vector<Row>& rows, const Sizes& sizes) {
  std::fprintf(file,
               "{\"inputs\": %u, \"elements\": %llu, \"devices\": [",
               sizes.inputs,
               static_cast<unsigned long long>(sizes.elements));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    std::fprintf(
        file,
        "%s\n  {\"device\": %s, \"name\": %s, \"kernels_agree\": %zu, \"kernels_differ\": %zu, "
        "\"copy_gb_per_s\": %.1f, \"fold_gb_per_s\": %.1f, \"fault\": %s}",
        i == 0 ? "" : ",",
        quoted(row.device).c_str(),
        quoted(row.name).c_str(),
        row.agree,
        row.differ,
        row.copy_gigabytes,
        row.fold_gigabytes,
        quoted(row.fault).c_str());
  }
  std::fprintf(file, "\n]}\n");
}

int run(const Sizes& sizes, const std::string& json) {
  const Found found = enumerate(with_kernels().programs);
  for (const std::string& refused : found.refused) std::printf("not usable: %s\n", refused.c_str());
  std::vector<Row> rows;
  bool good = !found.devices.empty();
  std::printf("%-10s %-34s %8s %8s %10s %10s %8s\n",
              "device",
              "name",
              "agree",
              "differ",
              "copy GB/s",
              "fold GB/s",
              "of copy");
  for (const DeviceInfo& info : found.devices) {
    rows.push_back(check(info, sizes));
    const Row& row = rows.back();
    const double share = row.copy_gigabytes > 0.0 ? row.fold_gigabytes / row.copy_gigabytes : 0.0;
    std::printf("%-10s %-34.34s %8zu %8zu %10.1f %10.1f %8.2f\n",
                row.device.c_str(),
                row.name.c_str(),
                row.agree,
                row.differ,
                row.copy_gigabytes,
                row.fold_gigabytes,
                share);
    if (!row.fault.empty()) std::printf("  %s\n", row.fault.c_str());
    good = good && row.fault.empty();
  }
  if (!json.empty()) {
    std::FILE* file = std::fopen(json.c_str(), "w");
    if (file == nullptr) {
      std::fprintf(stderr, "gpu_check: cannot write %s\n", json.c_str());
      return 1;
    }
    write_json(file, rows, sizes);
    std::fclose(file);
  }
  return good ? 0 : 1;
}

template <class T>
bool number(const std::string& text, T& value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end && value > 0;
}

}  // namespace
}  // namespace chorus::gpu

int main(int argc, char** argv) {
  chorus::gpu::Sizes sizes;
  std::string json;
  bool good = argc % 2 == 1;
  for (int i = 1; good && i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--json") {
      json = value;
    } else if (name == "--inputs") {
      good = chorus::gpu::number(value, sizes.inputs);
    } else if (name == "--elements") {
      good = chorus::gpu::number(value, sizes.elements) && sizes.elements <= 0xFFFFFFFFU;
    } else {
      good = false;
    }
  }
  if (!good || sizes.elements * sizes.inputs < 2) {
    std::fprintf(stderr, "usage: gpu_check [--inputs N] [--elements N] [--json FILE]\n");
    return 2;
  }
  return chorus::gpu::run(sizes, json);
}
