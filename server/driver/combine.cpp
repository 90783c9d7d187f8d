#include "server/driver/combine.hpp"

#include <algorithm>
#include <memory>
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

asio::awaitable<Result<void>> combine_stretch(const Context& context,
                                              const SetRule& rule,
                                              const SetLane& lane,
                                              std::uint64_t at,
                                              std::span<float> mean) {
  const std::size_t parts =
      std::clamp<std::size_t>(mean.size() / kPartMin, 1, threads_for(context, lane.updates()));
  auto combine = [&rule, &lane, at, mean, parts](std::size_t part) {
    const std::size_t first = mean.size() * part / parts;
    const std::size_t last = mean.size() * (part + 1) / parts;
    return rule.combine(lane, at + first, mean.subspan(first, last - first));
  };
  auto done = co_await run_parts(context, parts, std::move(combine));
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
  // Of a payload, and of a piece where the window holds a part of it only.
  constexpr std::uint64_t kDecodeBytes = 2 * codec::UpdateForm::kPieceElements * sizeof(float);
  const std::uint64_t mean = std::min(kWindowElements, form.parameters()) * sizeof(float);
  const std::uint64_t tiles = threads_for(context, updates) * SetLane::tile_bytes_max(updates);
  if (!form.compressed()) return mean + tiles;
  return mean + tiles + context.compute_threads * kDecodeBytes +
         UpdateWindow::bytes_max(updates, form.parameters());
}

asio::awaitable<Result<void>> combine_updates(const Context& context,
                                              const SetRule& rule,
                                              const UpdateSet& updates,
                                              NextModel& next) {
  CHORUS_CO_TRY(const auto window, UpdateWindow::create(updates));
  const SetLaneBudget budget{threads_for(context, updates.updates()), kSetLaneBytesMax};
  CHORUS_CO_TRY(const SetLane lane, SetLane::create(*window, budget));
  std::vector<float> mean(
      static_cast<std::size_t>(std::min(kWindowElements, updates.parameters())));
  for (std::uint64_t at = 0; at < updates.parameters();) {
    const UpdateRun run = window->move_to(at);
    const auto stretch = std::span(mean).first(static_cast<std::size_t>(run.count));
    if (run.sent && updates.coded()) {
      auto load = [&window](std::size_t update) { return window->load(update); };
      CHORUS_CO_OK(co_await run_parts(context, updates.updates(), std::move(load)));
    }
    if (run.sent) {
      CHORUS_CO_OK(co_await combine_stretch(context, rule, lane, at, stretch));
    } else {
      std::fill(stretch.begin(), stretch.end(), 0.0F);
    }
    auto append = [&next, stretch] { return next.append(stretch); };
    CHORUS_CO_OK(co_await net::run_on(context.compute, std::move(append)));
    at += run.count;
  }
  co_return Result<void>();
}

}  // namespace chorus::server
