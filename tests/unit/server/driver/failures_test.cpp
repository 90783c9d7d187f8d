// Stores that fail, devices that lie, memory and audit entries that run out.
#include <fcntl.h>
#include <fstream>
#include <latch>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sstream>
#include <unistd.h>

#include <boost/asio/post.hpp>

#include "common/base/limits.hpp"
#include "common/crypto/digest.hpp"
#include "tests/unit/server/driver/daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class Failures : public testing::Test {
 protected:
  void SetUp() override { daemon_.emplace(folder_.path()); }

  std::shared_ptr<JobRunner> start(const std::string& toml) {
    auto job = daemon_->submit(toml);
    for (const char* name : {"a", "b", "c"}) devices_.push_back(FakeDevice::join(*daemon_, name));
    return job;
  }
  bool reaches(const JobRunner& job, JobPhase phase) {
    return daemon_->run_until([&] { return job.machine().job_phase() == phase && job.idle(); });
  }
  static Sha256 undisturbed(const std::string& toml) {
    Folder folder;
    Daemon daemon(folder.path());
    const auto job = daemon.submit(toml);
    std::vector<std::shared_ptr<FakeDevice>> devices;
    for (const char* name : {"a", "b", "c"}) devices.push_back(FakeDevice::join(daemon, name));
    EXPECT_TRUE(daemon.run_until([&] { return daemon.over(); }));
    return job->row().current_version;
  }
  /// The job degraded, says why, and after resume ends as if nothing had been.
  void expect_recovery(JobRunner& job, const std::string& toml, const std::string& why) {
    ASSERT_TRUE(reaches(job, JobPhase::degraded));
    EXPECT_THAT(job.machine().why(), HasSubstr(why));
    const auto row = daemon_->ask([&] { return daemon_->ledger->job(job.row().job); }).value();
    EXPECT_EQ(row.state, JobState::degraded);
    EXPECT_THAT(row.why, HasSubstr(why));
    bool audited = false;
    for (const AuditRow& entry : daemon_->audit()) audited |= entry.what == "job_degraded";
    EXPECT_TRUE(audited);
    mend();
    ASSERT_TRUE(job.control(JobVerb::resume));
    ASSERT_TRUE(daemon_->run_until([&] { return daemon_->over(); }));
    EXPECT_EQ(job.row().current_version, undisturbed(toml));
    for (const RoundRow& round : daemon_->rounds()) EXPECT_EQ(round.accepted, 3U);
  }

  std::function<void()> mend = [] {};
  Folder folder_;
  std::optional<Daemon> daemon_;
  std::vector<std::shared_ptr<FakeDevice>> devices_;
};

TEST_F(Failures, OfOpeningARoundInTheLedger) {
  daemon_->ledger->failing = {"open_round"};
  const auto job = start(job_toml());
  expect_recovery(*job, job_toml(), "ledger's disk");
}

TEST_F(Failures, OfTheJournalsFolder) {
  std::ofstream(folder_.path() / "journal") << "a file in the way";
  mend = [this] { std::filesystem::remove(folder_.path() / "journal"); };
  const auto job = start(job_toml());
  expect_recovery(*job, job_toml(), "journal");
}

TEST_F(Failures, OfPublishing) {
  daemon_->ledger->failing = {"publish_round"};
  const auto job = start(job_toml());
  expect_recovery(*job, job_toml(), "ledger's disk");
}

TEST_F(Failures, OfTheAnswerAfterPublishing) {
  daemon_->ledger->failing = {"after publish_round"};
  const auto job = start(job_toml());
  expect_recovery(*job, job_toml(), "ledger's disk");
}

TEST_F(Failures, ThatAreExceptions) {
  daemon_->ledger->throwing = {"open_round", "publish_round"};
  const auto job = start(job_toml());
  ASSERT_TRUE(reaches(*job, JobPhase::degraded));
  EXPECT_THAT(job->machine().why(), HasSubstr("the ledger threw"));
  ASSERT_TRUE(job->control(JobVerb::resume));
  expect_recovery(*job, job_toml(), "the ledger threw");
}

// Between an update's commit and its confirmation: the coroutine that commits is in the middle.
TEST_F(Failures, ThatAreExceptionsOnTheControlThread) {
  const auto job = start(job_toml());
  bool thrown = false;
  devices_[1]->on_accepted = [&] {
    if (!std::exchange(thrown, true)) throw std::runtime_error("no room for the answer");
  };
  mend = [&] {  // as a device does that waits for its answer in vain
    devices_[1]->leave();
    devices_.push_back(FakeDevice::join(*daemon_, "b"));
  };
  expect_recovery(*job, job_toml(), "no room for the answer");
  EXPECT_TRUE(thrown);
  EXPECT_TRUE(job->idle());
  const auto drained = [](Board& board) -> boost::asio::awaitable<bool> {
    co_await board.drain();
    co_return true;
  };
  EXPECT_TRUE(daemon_->play(drained(*daemon_->board)));
}

TEST_F(Failures, AgainAndAgain) {
  daemon_->ledger->failing = {"publish_round", "publish_round", "open_round"};
  const auto job = start(job_toml());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(reaches(*job, JobPhase::degraded));
    ASSERT_TRUE(job->control(JobVerb::resume));
  }
  expect_recovery(*job, job_toml(), "ledger's disk");
}

TEST_F(Failures, OfTheVersionsFolder) {
  const auto versions = folder_.path() / "versions";
  const auto aside = folder_.path() / "aside";
  devices_.push_back(FakeDevice::join(*daemon_, "z"));  // sees the model before it goes
  const auto job = daemon_->submit(job_toml("", "job", 1));
  for (const char* name : {"a", "b"}) devices_.push_back(FakeDevice::join(*daemon_, name));
  devices_[1]->before_complete = [&] {
    if (std::filesystem::exists(aside)) return;
    std::filesystem::rename(versions, aside);
    std::ofstream(versions) << "a file in the way";
  };
  ASSERT_TRUE(reaches(*job, JobPhase::degraded));
  std::filesystem::remove(versions);
  std::filesystem::rename(aside, versions);
  ASSERT_TRUE(job->control(JobVerb::resume));
  ASSERT_TRUE(daemon_->run_until([&] { return daemon_->over(); }));
  EXPECT_EQ(daemon_->rounds()[0].state, RoundState::published);
}

/// Makes what a file holds from `cut` on unreadable for whoever has it open, until mended.
class Unreadable {
 public:
  Unreadable(const std::filesystem::path& file,
             std::uint64_t cut,
             const std::filesystem::path& stub)
      : fd_(descriptor_of(file)), saved_(::dup(fd_)) {
    std::filesystem::copy_file(file, stub);
    std::filesystem::resize_file(stub, cut);
    const int part = ::open(stub.c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(::dup2(part, fd_), 0);
    ::close(part);
  }
  Unreadable(const Unreadable&) = delete;
  Unreadable& operator=(const Unreadable&) = delete;
  ~Unreadable() {
    EXPECT_GE(::dup2(saved_, fd_), 0);
    ::close(saved_);
  }

 private:
  static int descriptor_of(const std::filesystem::path& file) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (std::filesystem::read_symlink(entry.path(), gone) == file) {
        return std::stoi(entry.path().filename().string());
      }
    }
    ADD_FAILURE() << file << " is not open";
    return -1;
  }

  int fd_;
  int saved_;
};

/// The segment that holds `needle`, and where.
std::pair<std::filesystem::path, std::uint64_t> find_in(const std::filesystem::path& journal,
                                                        std::string_view needle) {
  for (const auto& entry : std::filesystem::directory_iterator(journal)) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const std::size_t found = bytes.find(needle);
    if (found != std::string::npos) return {entry.path(), found};
  }
  ADD_FAILURE() << "the body is in no segment";
  return {};
}

enum class Hidden { all, end };

/// Makes a device's body in the journal of round 1, or its last 64 bytes, unreadable.
void hide(std::optional<Unreadable>& unreadable,
          Hidden what,
          const FakeDevice& device,
          const std::filesystem::path& folder) {
  const auto values = FakeDevice::update_for(device.assigned[0], device.key().client.value);
  const auto body = std::as_bytes(std::span(values));
  const auto bytes = what == Hidden::all ? body.first(64) : body.last(64);
  const std::string_view needle(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto [segment, at] = find_in(folder / "journal" / "job" / "1", needle);
  unreadable.emplace(segment, at, folder / "stub");
}

TEST_F(Failures, OfReadingABodyInTheMiddleOfAFold) {
  // Two shards of several tiles; all but the last tile are in the lane when the end of the body,
  // the last one in the segment, is missed.
  const std::string toml = job_toml(
      "[model]\ninput_shape = [700]\n[[model.layers]]\ntype = \"dense\"\nunits = 800\n"
      "[evaluation]\nfraction = 0\n",
      "job",
      1);
  daemon_->context.journal_segment_bytes = 64U << 20U;
  const auto job = start(toml);
  std::optional<Unreadable> unreadable;
  devices_[2]->on_accepted = [&] {
    if (!unreadable) hide(unreadable, Hidden::end, *devices_[2], folder_.path());
  };
  mend = [&] { unreadable.reset(); };
  ASSERT_TRUE(reaches(*job, JobPhase::degraded));
  ASSERT_TRUE(job->control(JobVerb::resume));  // it is not mended yet
  expect_recovery(*job, toml, "corrupt_data");
}

TEST_F(Failures, OfReadingABodyWhenAllAreCombined) {
  const std::string toml = job_toml(
      "[strategy]\nname = \"median\"\n[evaluation]\nfraction = 0\n"
      "[pace]\ncohort = 3\nmin_reports = 3\ndeadline = \"0s\"\nselection_deadline = \"0s\"\n",
      "job",
      1);
  const auto job = start(toml);
  std::optional<Unreadable> unreadable;
  devices_[2]->on_accepted = [&] {
    if (!unreadable) hide(unreadable, Hidden::all, *devices_[2], folder_.path());
  };
  mend = [&] { unreadable.reset(); };
  ASSERT_TRUE(reaches(*job, JobPhase::degraded));
  ASSERT_EQ(job->machine().phase(), RoundPhase::finalising);
  ASSERT_TRUE(job->control(JobVerb::resume));  // it is not mended yet
  expect_recovery(*job, toml, "corrupt_data");
}

// What cannot be mended must not hold the job for ever.
TEST_F(Failures, ARoundThatCannotBeFinalisedCanBeAborted) {
  const auto job = start(job_toml(
      "[strategy]\nname = \"median\"\n[evaluation]\nfraction = 0\n"
      "[pace]\ncohort = 3\nmin_reports = 3\ndeadline = \"0s\"\nselection_deadline = \"0s\"\n",
      "job",
      2));
  std::optional<Unreadable> unreadable;
  devices_[2]->on_accepted = [&] {
    if (!unreadable) hide(unreadable, Hidden::all, *devices_[2], folder_.path());
  };
  ASSERT_TRUE(reaches(*job, JobPhase::degraded));
  ASSERT_EQ(job->machine().phase(), RoundPhase::finalising);
  ASSERT_TRUE(job->control(JobVerb::abort_round));
  ASSERT_TRUE(daemon_->run_until([&] { return job->machine().phase() == RoundPhase::waiting; }));
  EXPECT_EQ(daemon_->rounds().back().state, RoundState::abandoned);
  ASSERT_TRUE(job->control(JobVerb::stop));
  ASSERT_TRUE(reaches(*job, JobPhase::stopped));
}

// It may be in the ledger already.
TEST_F(Failures, ARoundThatWasBeingPublishedCannotBeAborted) {
  daemon_->ledger->failing = {"publish_round"};
  const auto job = start(job_toml());
  ASSERT_TRUE(reaches(*job, JobPhase::degraded));
  EXPECT_EQ(job->control(JobVerb::abort_round).error().code, errc::wrong_state);
  EXPECT_TRUE(job->control(JobVerb::resume));
}

TEST_F(Failures, ResumingAsksForNothingThatIsStillOnItsWay) {
  const std::string toml = job_toml("[evaluation]\nfraction = 0\n", "job", 1);
  const auto job = start(toml);
  for (auto& device : devices_) device->automatic = false;
  ASSERT_TRUE(daemon_->run_until([&] { return !devices_[0]->assigned.empty() && job->idle(); }));
  std::optional<Unreadable> unreadable;
  devices_[0]->on_accepted = [&] { hide(unreadable, Hidden::all, *devices_[0], folder_.path()); };
  devices_[0]->offer(devices_[0]->assigned[0]);
  ASSERT_TRUE(reaches(*job, JobPhase::degraded));
  unreadable.reset();
  // The others' commits wait behind something slow; the resumed job asks for them again.
  std::latch slow(1);
  devices_[1]->before_complete = [&] {
    boost::asio::post(daemon_->context.store, [&slow] { slow.wait(); });
  };
  for (std::size_t i : {2U, 1U}) devices_[i]->offer(devices_[i]->assigned[0]);
  ASSERT_TRUE(daemon_->run_until(
      [&] { return job->machine().members().at(ClientId{"b"}).state == MemberState::committing; }));
  ASSERT_TRUE(job->control(JobVerb::resume));
  slow.count_down();
  ASSERT_TRUE(daemon_->run_until([&] { return daemon_->over(); }));
  EXPECT_EQ(job->machine().job_phase(), JobPhase::finished);
  EXPECT_EQ(job->row().current_version, undisturbed(toml));
}

TEST_F(Failures, ResumingWhileOtherWorkIsStillUnderWayDoesNothingTwice) {
  // The ledger is asked while commits and folds are on their way; every step is resumed at once.
  daemon_->ledger->failing = {"publish_round", "open_round", "publish_round"};
  const auto job = start(job_toml());
  ASSERT_TRUE(daemon_->run_until([&] {
    if (job->machine().job_phase() == JobPhase::degraded) {
      EXPECT_TRUE(job->control(JobVerb::resume));
    }
    return daemon_->over();
  }));
  EXPECT_EQ(job->row().current_version, undisturbed(job_toml()));
}

TEST_F(Failures, AnAbortedRoundIsInTheLedgerWithItsReason) {
  const auto job = start(job_toml("", "job", 1));
  ASSERT_TRUE(daemon_->run_until([&] { return !devices_[0]->assigned.empty(); }));
  ASSERT_TRUE(job->control(JobVerb::abort_round));
  ASSERT_TRUE(daemon_->run_until([&] { return daemon_->over(); }));
  const auto rounds = daemon_->rounds();
  ASSERT_EQ(rounds.size(), 1U);
  EXPECT_EQ(rounds[0].state, RoundState::abandoned);
  EXPECT_EQ(rounds[0].why, "aborted by an administrator");
  EXPECT_EQ(rounds[0].accepted, 0U);
}

TEST_F(Failures, OfAbandoning) {
  daemon_->ledger->failing = {"abandon_round"};
  const auto job = start(job_toml("", "job", 2));
  for (auto& device : devices_) device->automatic = false;
  ASSERT_TRUE(daemon_->run_until([&] { return !devices_[0]->assigned.empty() && job->idle(); }));
  ASSERT_TRUE(job->control(JobVerb::abort_round));
  ASSERT_TRUE(reaches(*job, JobPhase::degraded));
  ASSERT_TRUE(job->control(JobVerb::resume));
  ASSERT_TRUE(daemon_->run_until([&] { return job->machine().rounds_done() == 1; }));
  EXPECT_EQ(daemon_->rounds()[0].why, "aborted by an administrator");
}

TEST_F(Failures, StoppingADegradedJobEndsIt) {
  daemon_->ledger->failing = {"publish_round"};
  const auto job = start(job_toml());
  ASSERT_TRUE(reaches(*job, JobPhase::degraded));
  ASSERT_TRUE(job->control(JobVerb::stop));
  ASSERT_TRUE(reaches(*job, JobPhase::stopped));
  EXPECT_EQ(daemon_->rounds().size(), 1U);
  EXPECT_EQ(daemon_->ask([&] { return daemon_->ledger->job(JobId{"job"}); })->state,
            JobState::stopped);
}

// ---- offers that do not hold what they promise ----

struct BadOffer {
  const char* name;
  std::function<void(wire::Offer&)> spoil;
  errc code;
};

TEST_F(Failures, OffersAreCheckedBeforeTheirBodyIsTaken) {
  const std::vector<BadOffer> cases{
      {"short", [](wire::Offer& o) { o.bytes -= 4; }, errc::shape_mismatch},
      {"long", [](wire::Offer& o) { o.bytes += 4; }, errc::shape_mismatch},
      {"empty", [](wire::Offer& o) { o.bytes = 0; }, errc::shape_mismatch},
      {"base", [](wire::Offer& o) { o.base.bytes[0] ^= std::byte{1}; }, errc::shape_mismatch},
      {"none", [](wire::Offer& o) { o.examples = Examples{0}; }, errc::weight_out_of_range},
      {"many", [](wire::Offer& o) { o.examples = Examples{1'000'001}; }, errc::weight_out_of_range},
      {"gradient",
       [](wire::Offer& o) {
         o.parts = {{ReportKind::gradient, o.bytes / 4}};
       },
       errc::unsupported_feature},
      {"two-parts",
       [](wire::Offer& o) {
         o.parts = {{ReportKind::delta, o.bytes / 4 - 1}, {ReportKind::scalars, 1}};
       },
       errc::unsupported_feature}};
  for (const BadOffer& bad : cases) {
    const std::string name = bad.name;
    const auto job = daemon_->submit(job_toml("", name));
    std::vector<std::shared_ptr<FakeDevice>> devices;
    for (const char* device : {"a", "b", "c"}) {
      devices.push_back(FakeDevice::join(*daemon_, device, 1, {JobId{name}}));
      devices.back()->automatic = false;
    }
    ASSERT_TRUE(daemon_->run_until([&] { return !devices[0]->assigned.empty() && job->idle(); }));
    auto offer = FakeDevice::offer_for(devices[0]->assigned[0], "a");
    bad.spoil(offer);
    const auto decision = daemon_->board->offer(devices[0]->key(), offer);
    EXPECT_EQ(decision.kind, OfferDecision::Kind::refuse) << name;
    EXPECT_EQ(decision.refuse.code, bad.code) << name;
    EXPECT_EQ(job->machine().members().at(ClientId{"a"}).state, MemberState::rejected);
    const auto again = daemon_->board->offer(devices[0]->key(),
                                             FakeDevice::offer_for(devices[0]->assigned[0], "a"));
    EXPECT_EQ(again.refuse.code, errc::task_closed) << name;
    const auto audit = daemon_->audit();
    ASSERT_FALSE(audit.empty());
    EXPECT_EQ(audit.back().what, "update_rejected");
    EXPECT_EQ(audit.back().who, "a");
    EXPECT_THAT(audit.back().detail, HasSubstr(std::string(to_string(bad.code))));
    for (auto& device : devices) device->leave();
  }
}

// Found by chorus_sim (seed 20113): what the device keeps for its next round would be wrong.
TEST_F(Failures, AnotherUpdateThanTheOneThatCountsIsNotConfirmed) {
  const auto job = start(job_toml("[evaluation]\nfraction = 0\n", "job", 1));
  for (auto& device : devices_) device->automatic = false;
  ASSERT_TRUE(daemon_->run_until([&] { return !devices_[0]->assigned.empty() && job->idle(); }));
  FakeDevice& device = *devices_[0];
  device.offer(device.assigned[0]);
  const auto state = [&] { return job->machine().members().at(ClientId{"a"}).state; };
  ASSERT_TRUE(daemon_->run_until([&] { return state() == MemberState::accepted; }));
  auto offer = FakeDevice::offer_for(device.assigned[0], "a");
  EXPECT_EQ(daemon_->board->offer(device.key(), offer).kind, OfferDecision::Kind::accepted);
  offer.digest.bytes[0] ^= std::byte{1};
  const auto decision = daemon_->board->offer(device.key(), offer);
  EXPECT_EQ(decision.kind, OfferDecision::Kind::refuse);
  EXPECT_EQ(decision.refuse.code, errc::task_closed);
  EXPECT_EQ(state(), MemberState::accepted);
}

// Also of those who were never heard of.
TEST_F(Failures, EveryReceiptThatDoesNotCountHasAReason) {
  const auto job = start(job_toml("[evaluation]\nfraction = 0\n", "job", 1));
  for (auto& device : devices_) device->automatic = false;
  ASSERT_TRUE(daemon_->run_until([&] { return !devices_[0]->assigned.empty() && job->idle(); }));
  for (const std::size_t i : {1U, 2U}) devices_[i]->offer(devices_[i]->assigned[0]);
  ASSERT_TRUE(daemon_->run_until(
      [&] { return job->machine().count(MemberState::accepted) == 2 && job->idle(); }));
  ASSERT_TRUE(job->control(JobVerb::finish_round));
  ASSERT_TRUE(daemon_->run_until([&] { return daemon_->over(); }));
  const auto receipts =
      daemon_->ask([&] { return daemon_->ledger->receipts(JobId{"job"}, RoundId{1}); }).value();
  ASSERT_EQ(receipts.size(), 3U);
  EXPECT_EQ(receipts[0].outcome, "discarded");
  EXPECT_FALSE(receipts[0].why.empty());
}

TEST_F(Failures, ARejectedOfferIsInTheReceipts) {
  const auto job = start(job_toml("[evaluation]\nfraction = 0\n", "job", 1));
  for (auto& device : devices_) device->automatic = false;
  ASSERT_TRUE(daemon_->run_until([&] { return !devices_[0]->assigned.empty() && job->idle(); }));
  auto offer = FakeDevice::offer_for(devices_[0]->assigned[0], "a");
  offer.examples = Examples{0};
  daemon_->board->offer(devices_[0]->key(), offer);
  for (int i : {1, 2})
    devices_[static_cast<std::size_t>(i)]->offer(
        devices_[static_cast<std::size_t>(i)]->assigned[0]);
  ASSERT_TRUE(daemon_->run_until([&] { return daemon_->over(); }));
  const auto round = daemon_->rounds()[0];
  EXPECT_EQ(round.state, RoundState::published);
  EXPECT_EQ(round.accepted, 2U);
  EXPECT_EQ(round.rejected, 1U);
  const auto receipts =
      daemon_->ask([&] { return daemon_->ledger->receipts(JobId{"job"}, RoundId{1}); }).value();
  ASSERT_EQ(receipts.size(), 3U);
  EXPECT_EQ(receipts[0].outcome, "rejected");
  EXPECT_THAT(receipts[0].why, HasSubstr("weight_out_of_range"));
}

TEST_F(Failures, AReportMayNotClaimMoreExamplesThanTheJobAllows) {
  const auto job = start(job_toml("[limits]\nexamples_max = 500\n", "job", 1));
  ASSERT_TRUE(daemon_->run_until([&] {
    for (auto& device : devices_)
      device->automatic = !(job->machine().phase() == RoundPhase::finalising ||
                            job->machine().phase() == RoundPhase::publishing ||
                            job->machine().phase() == RoundPhase::evaluating);
    return job->machine().phase() == RoundPhase::evaluating;
  }));
  wire::Offer report;
  report.task = TaskRef{JobId{"job"}, RoundId{1}, TaskKind::evaluate};
  report.examples = Examples{501};
  report.metrics = {{"loss", 1e9}};
  const auto decision = daemon_->board->offer(devices_[0]->key(), report);
  EXPECT_EQ(decision.kind, OfferDecision::Kind::refuse);
  EXPECT_EQ(decision.refuse.code, errc::weight_out_of_range);
  EXPECT_EQ(daemon_->audit().back().what, "report_rejected");
  EXPECT_FALSE(job->machine().holds_task(ClientId{"a"}));  // nobody waits for it
  report.examples = Examples{500};
  EXPECT_EQ(daemon_->board->offer(devices_[1]->key(), report).kind, OfferDecision::Kind::accepted);
}

// ---- deadlines ----

TEST_F(Failures, DevicesThatDoNotAnswerEndTheRoundByItsDeadline) {
  const auto job = start(job_toml(
      "[pace]\ncohort = 3\nmin_reports = 2\ndeadline = \"30ms\"\ngrace = \"0s\"\n", "job", 1));
  for (auto& device : devices_) device->automatic = false;
  ASSERT_TRUE(daemon_->run_until([&] { return daemon_->over(); }));
  const auto round = daemon_->rounds()[0];
  EXPECT_EQ(round.state, RoundState::abandoned);
  EXPECT_EQ(round.why, "the deadline passed with 0 of 2 required updates");
  EXPECT_EQ(round.discarded, 3U);
  const auto work = devices_[0]->assigned.front().work;
  EXPECT_GT(work.deadline, 0ms);
  EXPECT_LE(work.deadline, 30ms);
  EXPECT_EQ(of_kind<wire::Cancel>(devices_[0]->received).size(), 1U);
}

// ---- memory ----

TEST(MemoryBudget, GivesNoMoreThanThereIs) {
  MemoryBudget budget(100);
  auto first = budget.take(60);
  EXPECT_TRUE(first);
  EXPECT_FALSE(budget.take(41));  // one beyond
  auto second = budget.take(40);
  EXPECT_TRUE(second);
  EXPECT_EQ(budget.granted(), 100U);
  EXPECT_FALSE(budget.take(1));
  first = MemoryBudget::Grant();
  EXPECT_EQ(budget.granted(), 40U);
  MemoryBudget::Grant moved = std::move(second);
  EXPECT_TRUE(moved);
  EXPECT_FALSE(second);  // NOLINT(bugprone-use-after-move): that it is empty is the point
  EXPECT_EQ(budget.granted(), 40U);
  moved = budget.take(60);
  EXPECT_EQ(budget.granted(), 60U);
}

TEST(MemoryBudget, ARoundThatDoesNotFitSaysSoAndResumesWhenThereIsRoom) {
  Folder folder;
  DaemonOptions options;
  options.memory = 93 * sizeof(std::int64_t);  // one lane exactly
  Daemon daemon(folder.path(), options);
  auto taken = daemon.memory.take(1);
  const auto job = daemon.submit(job_toml());
  std::vector<std::shared_ptr<FakeDevice>> devices;
  for (const char* name : {"a", "b", "c"}) devices.push_back(FakeDevice::join(daemon, name));
  ASSERT_TRUE(daemon.run_until([&] { return job->machine().job_phase() == JobPhase::degraded; }));
  EXPECT_THAT(job->machine().why(), HasSubstr("memory_budget"));
  taken = MemoryBudget::Grant();
  daemon.ledger->failing = {"open_round"};  // and an attempt that fails keeps nothing
  ASSERT_TRUE(job->control(JobVerb::resume));
  ASSERT_TRUE(daemon.run_until(
      [&] { return job->machine().job_phase() == JobPhase::degraded && job->idle(); }));
  ASSERT_TRUE(job->control(JobVerb::resume));
  ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
  EXPECT_EQ(daemon.memory.granted(), 0U);
}

// ---- audit ----

TEST(AuditLog, WhatAdministratorsDoIsNoWarning) {
  Folder folder;
  Daemon daemon(folder.path());
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  const auto sink = std::make_shared<spdlog::sinks::ostream_sink_st>(log);
  const auto logger = std::make_shared<spdlog::logger>("audit", sink);
  logger->set_pattern("%l %v");
  spdlog::set_default_logger(logger);
  daemon.audit_log->add("ann", "job_submitted", "digits");
  daemon.audit_log->add("gate-7", "session_refused", "revoked");
  daemon.audit_log->add("chorusd", "job_degraded", "disk_full");
  spdlog::set_default_logger(before);
  EXPECT_EQ(log.str(),
            "info job_submitted: ann: digits\n"
            "warning session_refused: gate-7: revoked\n"
            "warning job_degraded: chorusd: disk_full\n");
  EXPECT_EQ(daemon.ask([&] { return daemon.ledger->audit(10); })->size(), 3U);
}

TEST(AuditLog, EntriesBeyondTheLimitAreCountedInstead) {
  Folder folder;
  Daemon daemon(folder.path());
  std::latch busy(1);
  boost::asio::post(daemon.context.store, [&busy] { busy.wait(); });
  for (std::size_t i = 0; i < limits::kAuditPendingMax + 5; ++i) {
    daemon.audit_log->add("gate-7", "update_rejected", std::to_string(i));
  }
  busy.count_down();
  const auto rows = daemon.ask([&] { return daemon.ledger->audit(2000); }).value();
  ASSERT_EQ(rows.size(), limits::kAuditPendingMax + 1);
  EXPECT_EQ(rows.front().detail, "0");
  EXPECT_EQ(rows[limits::kAuditPendingMax - 1].detail,
            std::to_string(limits::kAuditPendingMax - 1));
  EXPECT_EQ(rows.back().what, "audit_overflow");
  EXPECT_EQ(rows.back().detail, "5 entries were not recorded");
  daemon.audit_log->add("gate-7", "update_rejected", "afterwards");
  const auto after = daemon.ask([&] { return daemon.ledger->audit(1); }).value();
  EXPECT_EQ(after.back().detail, "afterwards");
}

// ---- administrators ----

TEST_F(Failures, WhatAJobsStateDoesNotAllowIsSaid) {
  const auto job = daemon_->submit(job_toml("", "job", 1));
  const auto code = [&](JobVerb verb) { return job->control(verb).error().code; };
  EXPECT_EQ(code(JobVerb::resume), errc::wrong_state);
  EXPECT_EQ(code(JobVerb::abort_round), errc::wrong_state);
  EXPECT_EQ(code(JobVerb::finish_round), errc::wrong_state);
  ASSERT_TRUE(job->control(JobVerb::pause));
  EXPECT_EQ(code(JobVerb::pause), errc::wrong_state);
  ASSERT_TRUE(job->control(JobVerb::resume));
  for (const char* name : {"a", "b", "c"}) {
    devices_.push_back(FakeDevice::join(*daemon_, name));
    devices_.back()->automatic = false;
  }
  ASSERT_TRUE(daemon_->run_until([&] { return !devices_[0]->assigned.empty() && job->idle(); }));
  const auto early = job->control(JobVerb::finish_round);
  ASSERT_FALSE(early);
  EXPECT_THAT(early.error().detail, HasSubstr("has 0 updates; min_reports = 2"));
  ASSERT_TRUE(job->control(JobVerb::pause));
  ASSERT_TRUE(job->control(JobVerb::resume));  // taken back
  ASSERT_TRUE(job->control(JobVerb::stop));
  ASSERT_TRUE(daemon_->run_until([&] { return daemon_->over(); }));
  for (const JobVerb verb : {JobVerb::pause, JobVerb::resume, JobVerb::stop}) {
    const auto over = job->control(verb);
    ASSERT_FALSE(over);
    EXPECT_THAT(over.error().detail, HasSubstr("submit a new job"));
  }
}

TEST_F(Failures, WatchersAreWokenByChangesAndByTheirOwnTimeOnly) {
  const auto job = daemon_->submit(job_toml());
  int woken = 0;
  const auto watch = [&](Duration wait) {
    auto body = [](std::shared_ptr<JobRunner> runner,
                   Duration time,
                   int& count) -> boost::asio::awaitable<void> {
      co_await runner->changed(runner->revision(), time);
      ++count;
    };
    net::spawn(daemon_->context.control, body(job, wait, woken), "a watcher");
  };
  for (int i = 0; i < 5; ++i) watch(20s);
  watch(1ms);
  ASSERT_TRUE(daemon_->run_until([&] { return woken == 1; }));  // its time is over, not theirs
  FakeDevice::join(*daemon_, "a");
  ASSERT_TRUE(daemon_->run_until([&] { return woken == 6; }));
  auto late = [](std::shared_ptr<JobRunner> runner) -> boost::asio::awaitable<bool> {
    co_await runner->changed(runner->revision() - 1, 20s);
    co_return true;
  };
  EXPECT_TRUE(daemon_->play(late(job)));  // it has changed already
}

}  // namespace
}  // namespace chorus::server::test
