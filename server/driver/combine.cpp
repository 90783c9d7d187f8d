#include "server/driver/combine.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/try.hpp"
#include "common/net/async.hpp"
#include "server/driver/parallel.hpp"
#include "server/robust/coded_updates.hpp"
#include "server/robust/update_window.hpp"

namespace chorus::server {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kPartMin = 4096;  ///< coordinates below which one thread combines alone

/// Those whose tiles fit the lane's budget.
unsigned threads_for(const Context& context, std::uint64_t updates) {
  const std::uint64_t fit = kSetLaneBytesMax / SetLane::tile_bytes_max(updates);
  return static_cast<unsigned>(std::clamp<std::uint64_t>(fit, 1, context.compute_threads));
}

/// What the work needs besides the updates. The lane refers to the window, the mean to the lane.
struct Desk {
  std::unique_ptr<UpdateWindow> window;
  std::optional<SetLane> lane;
  SetRule::Mean fill;
  std::vector<float> mean;
};

Result<void> set_up(Desk& desk, const SetRule& rule, const UpdateSet& updates, unsigned threads) {
  CHORUS_TRY(desk.window, UpdateWindow::create(updates));
  CHORUS_TRY(desk.lane, SetLane::create(*desk.window, {threads, kSetLaneBytesMax}));
  desk.fill = rule.mean_of(*desk.lane);
  desk.mean.resize(static_cast<std::size_t>(std::min(kWindowElements, updates.parameters())));
  return {};
}

/// The mean where the window stands, which begins at `first`.
asio::awaitable<Result<void>> combine_window(const Context& context,
                                             const Desk& desk,
                                             std::uint64_t first,
                                             std::span<float> mean) {
  const std::size_t updates = desk.window->updates();
  UpdateWindow& window = *desk.window;
  auto load = [&window](std::size_t update) { return window.load(update); };
  if (window.loads()) CHORUS_CO_OK(co_await run_parts(context, updates, std::move(load)));
  const std::size_t parts =
      std::clamp<std::size_t>(mean.size() / kPartMin, 1, threads_for(context, updates));
  auto fill = [&desk, first, mean, parts](std::size_t part) {
    const std::size_t begin = mean.size() * part / parts;
    const std::size_t end = mean.size() * (part + 1) / parts;
    return desk.fill(first + begin, mean.subspan(begin, end - begin));
  };
  auto done = co_await run_parts(context, parts, std::move(fill));
  co_return done;
}

}  // namespace

Result<std::unique_ptr<UpdateSet>> open_updates(const RoundJournal& journal,
                                                const Lane::Form& form,
                                                std::span<const UpdateMeta> counted) {
  std::set<ClientId> clients;
  for (const UpdateMeta& meta : counted) clients.insert(meta.client);
  std::vector<std::shared_ptr<const UpdateReader>> bodies;
  for (const ClientId& client : clients) {
    CHORUS_TRY(auto reader, journal.reader(client));
    bodies.push_back(std::move(reader));
  }
  return updates_of_form(form, std::move(bodies));
}

std::uint64_t combine_bytes(const Context& context,
                            const codec::UpdateForm& form,
                            std::uint64_t updates) {
  // A piece where the window holds a part of it only, its payload, and what a codec makes of that.
  const std::uint64_t decoded = form.largest_piece() * sizeof(float) + 2 * form.largest_payload();
  const std::uint64_t mean = std::min(kWindowElements, form.parameters()) * sizeof(float);
  // A tile, and scratch of 64 columns to put them in order (kernels::ColumnOrder), of each thread.
  constexpr std::uint64_t kScratchBytes = 64 * sizeof(float);
  const std::uint64_t tiles =
      threads_for(context, updates) * (SetLane::tile_bytes_max(updates) + updates * kScratchBytes);
  if (!form.compressed()) return mean + tiles;
  const std::uint64_t tables = updates * (form.pieces().size() + 1) * sizeof(std::uint64_t);
  return mean + tiles + tables + context.compute_threads * decoded +
         UpdateWindow::bytes_max(updates, form.parameters());
}

asio::awaitable<Result<void>> combine_updates(const Context& context,
                                              const SetRule& rule,
                                              const UpdateSet& updates,
                                              NextModel& next) {
  Desk desk;
  const unsigned threads = threads_for(context, updates.updates());
  auto begin = [&desk, &rule, &updates, threads] { return set_up(desk, rule, updates, threads); };
  CHORUS_CO_OK(co_await net::run_on(context.compute, std::move(begin)));
  for (std::uint64_t at = 0; at < updates.parameters();) {
    const UpdateRun run = desk.window->move_to(at);
    const auto mean = std::span(desk.mean).first(static_cast<std::size_t>(run.count));
    if (run.sent) CHORUS_CO_OK(co_await combine_window(context, desk, at, mean));
    auto append = [&next, &run, mean] {
      if (!run.sent) std::fill(mean.begin(), mean.end(), 0.0F);
      return next.append(mean);
    };
    CHORUS_CO_OK(co_await net::run_on(context.compute, std::move(append)));
    at += run.count;
  }
  co_return Result<void>();
}

}  // namespace chorus::server
