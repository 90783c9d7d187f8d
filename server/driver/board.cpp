#include "server/driver/board.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/rng.hpp"
#include "common/base/try.hpp"
#include "common/net/async.hpp"
#include "server/driver/audit_log.hpp"

namespace chorus::server {

namespace asio = boost::asio;

namespace {

// Parameters that came with a job must be the model's, and numbers.
Result<void> check_initial(const ModelSpec& model, std::span<const float> initial) {
  CHORUS_TRY(const TensorLayout layout, layout_of(model));
  if (initial.size() != layout.parameters) {
    return fail(errc::shape_mismatch,
                "the model has " + std::to_string(layout.parameters) + " parameters; " +
                    std::to_string(initial.size()) + " came with the job");
  }
  for (const TensorSpec& tensor : layout.tensors) {
    const auto values = initial.subspan(tensor.offset, tensor.count);
    if (std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); }))
      continue;
    return fail(errc::invalid_argument,
                "'" + tensor.name +
                    "' of the parameters that came with the job holds values that "
                    "are no numbers");
  }
  return {};
}

JobVocabulary vocabulary() {
  return JobVocabulary{all_strategies(), all_selections()};
}

Failure stale_session() {
  return fail(errc::wrong_state, "this connection was replaced by a newer one of the same device");
}

}  // namespace

Board::Board(Context& context, std::uint32_t devices_waiting_max)
    : context_(context), devices_waiting_max_(devices_waiting_max) {}

Board::~Board() = default;

// ---- sessions ----

void Board::connected(const SessionKey& key,
                      std::shared_ptr<SessionLink> link,
                      std::vector<JobId> jobs) {
  if (const auto old = devices_.find(key.client); old != devices_.end()) {
    const SessionKey old_key{key.client, old->second.serial};
    old->second.link->close(stale_session());
    disconnected(old_key);
  }
  Device device;
  device.serial = key.serial;
  device.link = std::move(link);
  device.jobs = std::move(jobs);
  devices_.emplace(key.client, std::move(device));
}

Board::Device* Board::device_of(const SessionKey& key) {
  const auto found = devices_.find(key.client);
  if (found == devices_.end() || found->second.serial != key.serial) return nullptr;
  return &found->second;
}

void Board::disconnected(const SessionKey& key) {
  Device* device = device_of(key);
  if (device == nullptr) return;
  if (device->waiting) --waiting_;
  devices_.erase(key.client);
  for (const auto& [name, runner] : jobs_) runner->device_left(key.client);
}

void Board::ready(const SessionKey& key) {
  Device* device = device_of(key);
  if (device == nullptr || device->waiting) return;
  if (draining_) {
    device->link->close(fail(errc::shutting_down, "the server is going down"));
    return;
  }
  device->waiting = true;
  ++waiting_;
  offer_to_jobs(key.client, *device);
  if (device->waiting && waiting_ > devices_waiting_max_) send_away(key.client, *device);
}

// Jobs that wait for this device first, then the others by name.
std::vector<std::shared_ptr<JobRunner>> Board::eligible(const ClientId& client,
                                                        const Device& device) {
  std::vector<std::shared_ptr<JobRunner>> runners;
  for (const auto& [name, runner] : jobs_) {
    const bool wanted =
        device.jobs.empty() ||
        std::find(device.jobs.begin(), device.jobs.end(), name) != device.jobs.end();
    if (wanted) runners.push_back(runner);
  }
  std::stable_partition(runners.begin(), runners.end(), [&client](const auto& runner) {
    return runner->machine().holds_task(client);
  });
  return runners;
}

void Board::offer_to_jobs(const ClientId& client, Device& device) {
  device.taken = false;
  for (const auto& runner : eligible(client, device)) {
    runner->device_ready(client);
    if (device.taken) return;                    // took() has told the other jobs
    if (runner->machine().holds_task(client)) {  // its round is being opened: work follows
      took(client, runner->row().job);
      return;
    }
  }
}

void Board::took(const ClientId& client, const JobId& job) {
  const auto found = devices_.find(client);
  if (found == devices_.end()) return;
  found->second.taken = true;
  if (std::exchange(found->second.waiting, false)) --waiting_;
  for (const auto& [name, runner] : jobs_) {
    if (name != job) runner->device_left(client);
  }
}

// Pace steering: with more devices than anybody needs, some are told to come back about when the
// next round begins, spread over half a round so that they do not all return at once.
void Board::send_away(const ClientId& client, Device& device) {
  Duration round{std::chrono::seconds(10)};
  for (const auto& [name, runner] : jobs_)
    round = std::max(round, runner->machine().typical_round());
  const std::string_view parts[] = {"come-back", client.value};
  Rng rng(stream_key(device.serial, parts));
  const auto spread = static_cast<std::uint64_t>(round.count());
  const Duration after = round / 2 + Duration(static_cast<std::int64_t>(rng.below(spread)));
  device.waiting = false;
  --waiting_;
  for (const auto& [name, runner] : jobs_) runner->device_left(client);
  device.link->send(wire::ComeBack{after, "more devices are waiting than are needed"});
}

std::shared_ptr<SessionLink> Board::link_of(const ClientId& client) {
  const auto found = devices_.find(client);
  return found == devices_.end() ? nullptr : found->second.link;
}

std::shared_ptr<JobRunner> Board::runner_of(const TaskRef& task) const {
  const auto found = jobs_.find(task.job);
  return found == jobs_.end() ? nullptr : found->second;
}

OfferDecision Board::offer(const SessionKey& key, const wire::Offer& offer) {
  OfferDecision refused;
  refused.kind = OfferDecision::Kind::refuse;
  if (device_of(key) == nullptr) {
    refused.refuse = wire::Refuse{offer.task, errc::wrong_state, stale_session().detail, {}};
    return refused;
  }
  const auto runner = runner_of(offer.task);
  if (runner == nullptr) {
    refused.refuse = wire::Refuse{
        offer.task, errc::not_found, "there is no job '" + offer.task.job.value + "'", {}};
    return refused;
  }
  return runner->offer(key.client, offer);
}

void Board::upload_complete(const SessionKey& key, const TaskRef& task) {
  const auto runner = runner_of(task);
  if (runner == nullptr || device_of(key) == nullptr) return;
  runner->upload_complete(key.client, task.round);
}

void Board::upload_failed(const SessionKey& key,
                          const TaskRef& task,
                          bool rejected,
                          const Failure& why) {
  const auto runner = runner_of(task);
  if (runner == nullptr || device_of(key) == nullptr) return;
  runner->upload_failed(key.client, task.round, rejected, why);
}

void Board::upload_not_stored(const SessionKey& key, const TaskRef& task, const Failure& why) {
  const auto runner = runner_of(task);
  if (runner == nullptr || device_of(key) == nullptr) return;
  runner->upload_not_stored(key.client, task.round, why);
}

void Board::declined(const SessionKey& key, const wire::Decline& decline) {
  const auto runner = runner_of(decline.task);
  if (runner == nullptr || device_of(key) == nullptr) return;
  runner->declined(key.client, decline);
}

void Board::expel(const ClientId& client, const Failure& why) {
  for (const auto& [name, runner] : jobs_) runner->device_revoked(client);
  const auto found = devices_.find(client);
  if (found == devices_.end()) return;
  found->second.link->close(why);
  disconnected(SessionKey{client, found->second.serial});
}

// ---- jobs ----

Result<std::shared_ptr<JobRunner>> Board::find(const JobId& job) const {
  const auto found = jobs_.find(job);
  if (found != jobs_.end()) return found->second;
  std::string known;
  for (const auto& [name, runner] : jobs_) known += (known.empty() ? "" : ", ") + name.value;
  return fail(errc::not_found,
              "there is no job '" + job.value + "'; " +
                  (known.empty() ? "none was submitted yet: 'chorus job submit job.toml'"
                                 : "there are: " + known));
}

asio::awaitable<Result<std::shared_ptr<JobRunner>>> Board::submit(
    std::string job_toml, std::string file_name, std::shared_ptr<const InitialParameters> initial) {
  CHORUS_CO_TRY(JobConfig config, parse_job(job_toml, file_name, vocabulary()));
  if (initial) CHORUS_CO_OK(check_initial(config.model, initial->values.span()));
  const JobId name = config.round.job;
  const auto open = std::count_if(jobs_.begin(), jobs_.end(), [](const auto& entry) {
    const JobPhase phase = entry.second->machine().job_phase();
    return phase != JobPhase::finished && phase != JobPhase::stopped;
  });
  if (static_cast<std::size_t>(open) >= limits::kJobsMax) {
    co_return fail(errc::busy,
                   std::to_string(open) + " jobs are open, the most there may be; stop one");
  }
  if (jobs_.contains(name) || !submitting_.insert(name).second) {
    co_return fail(errc::already_exists,
                   "there is a job named '" + name.value +
                       "' already; give this one another name in [job] name");
  }
  JobRow row;
  row.job = name;
  row.job_toml = std::move(job_toml);
  row.created_at = context_.now();
  auto store = [this, &config, &row, &initial]() -> Result<void> {
    CHORUS_TRY(const auto writer, context_.versions->begin(config.model, config.train.normalise));
    std::vector<float> drawn;
    if (!initial) {
      CHORUS_TRY(drawn, initial_parameters(config.model, config.round.seed));
    }
    const std::span<const float> first_ones = initial ? initial->values.span() : drawn;
    CHORUS_OK(writer->append(first_ones));
    CHORUS_TRY(const VersionInfo version, writer->commit());
    row.initial_version = version.sha256;
    row.current_version = version.sha256;
    const VersionRow first{
        version.sha256, row.job, RoundId{0}, version.bytes, first_ones.size(), row.created_at};
    return context_.ledger->add_job(row, first);
  };
  auto stored = co_await net::run_on(context_.store, std::move(store));
  submitting_.erase(name);
  if (!stored) co_return std::move(stored).error();
  CHORUS_CO_OK(co_await add_runner(row));
  spdlog::info("job {}: submitted, {} parameters, {} rounds of {}",
               name.value,
               jobs_.at(name)->parameters(),
               config.round.rounds,
               config.round.pace.cohort);
  std::vector<std::pair<ClientId, std::uint64_t>> waiting;
  for (const auto& [client, device] : devices_) {
    if (device.waiting) waiting.emplace_back(client, device.serial);
  }
  for (const auto& [client, serial] : waiting) {
    Device* device = device_of(SessionKey{client, serial});
    if (device != nullptr && device->waiting) offer_to_jobs(client, *device);
  }
  co_return jobs_.at(name);
}

asio::awaitable<Result<void>> Board::add_runner(JobRow row) {
  auto config = parse_job(row.job_toml, row.job.value + ".toml", vocabulary());
  if (!config) {
    co_return std::move(config).error().during("reading job '" + row.job.value + "' of the ledger");
  }
  const JobId name = row.job;
  auto runner = std::make_shared<JobRunner>(context_, *this, std::move(*config), std::move(row));
  if (auto restored = co_await runner->restore(); !restored) {
    co_return std::move(restored).error().during("restoring job '" + name.value + "'");
  }
  jobs_.emplace(name, std::move(runner));
  co_return Result<void>();
}

asio::awaitable<Result<void>> Board::recover() {
  std::vector<JobRow> rows;
  auto read = [this, &rows]() -> Result<void> {
    CHORUS_TRY(rows, context_.ledger->jobs());
    return remove_stale_journals(rows);
  };
  CHORUS_CO_OK(co_await net::run_on(context_.store, std::move(read)));
  for (JobRow& row : rows) {
    const std::string name = row.job.value;
    if (auto added = co_await add_runner(std::move(row)); !added) {
      // The others go on; this one stays in ledger and journal for somebody to look at.
      spdlog::error("job {} cannot be resumed: {}", name, added.error().to_string());
      context_.audit->add("chorusd", "job_unusable", added.error().to_string());
    }
  }
  co_return Result<void>();
}

// A crash between publishing a round and deleting its journal leaves the journal behind.
Result<void> Board::remove_stale_journals(const std::vector<JobRow>& rows) {
  for (const JobRow& row : rows) {
    CHORUS_TRY(const auto open, context_.ledger->open_round_of(row.job));
    const auto folder = context_.journal_folder / row.job.value;
    const auto journals = context_.disk->list(folder);
    if (!journals && journals.error().code == errc::not_found) continue;  // never had a round
    if (!journals) return journals.error();
    for (const auto& journal : *journals) {
      const bool keep = open && journal.filename() == std::to_string(open->round.value);
      if (!keep) CHORUS_OK(context_.disk->remove_folder(journal));
    }
  }
  return {};
}

asio::awaitable<void> Board::drain() {
  draining_ = true;
  for (const auto& [client, device] : devices_) {
    if (device.waiting) device.link->close(fail(errc::shutting_down, "the server is going down"));
  }
  const auto busy = [this] {
    return std::any_of(
        jobs_.begin(), jobs_.end(), [](const auto& entry) { return !entry.second->idle(); });
  };
  while (busy()) (void)co_await net::sleep_for(std::chrono::milliseconds(5));
}

}  // namespace chorus::server
