// Who serves which job: several jobs, several connections, too many devices, going down.
#include "common/base/limits.hpp"
#include "common/crypto/digest.hpp"
#include "tests/unit/server/driver/daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;

class BoardTest : public testing::Test {
 protected:
  void make(const DaemonOptions& options = {}) { daemon_.emplace(folder_.path(), options); }
  Daemon& daemon() {
    if (!daemon_) make();
    return *daemon_;
  }
  std::vector<std::shared_ptr<FakeDevice>> join_all(std::initializer_list<const char*> names) {
    std::vector<std::shared_ptr<FakeDevice>> devices;
    for (const char* name : names) devices.push_back(FakeDevice::join(daemon(), name));
    return devices;
  }
  Folder folder_;
  std::optional<Daemon> daemon_;
};

TEST_F(BoardTest, TwoJobsShareTheirDevicesOneTaskAtATime) {
  const auto first = daemon().submit(job_toml("", "first", 4));
  const auto second = daemon().submit(job_toml("", "second", 4));
  const auto devices = join_all({"a", "b", "c", "d", "e"});  // FakeDevice checks: one task each
  ASSERT_TRUE(
      daemon().run_until([&] { return daemon().over("first") && daemon().over("second"); }));
  EXPECT_EQ(daemon().rounds("first").size(), 4U);
  EXPECT_EQ(daemon().rounds("second").size(), 4U);
  for (const char* name : {"first", "second"}) {
    for (const RoundRow& round : daemon().rounds(name)) {
      EXPECT_EQ(round.state, RoundState::published);
      EXPECT_EQ(round.accepted, 3U);
    }
  }
}

TEST_F(BoardTest, TwoJobsDoNotInviteTheSameDeviceWhileTheirRoundsAreBeingOpened) {
  const auto first = daemon().submit(job_toml("", "first"));
  const auto second = daemon().submit(job_toml("", "second"));
  const auto devices = join_all({"a", "b", "c"});  // no handler has run since
  EXPECT_EQ(first->machine().phase(), RoundPhase::opening);
  EXPECT_EQ(second->machine().phase(), RoundPhase::waiting);
  EXPECT_EQ(second->machine().ready_count(), 0U);
}

TEST_F(BoardTest, ADeviceThatReconnectsWhileItsRoundIsBeingOpenedBelongsToIt) {
  const auto first = daemon().submit(job_toml("", "first"));
  const auto second = daemon().submit(job_toml("", "second"));
  auto devices = join_all({"a", "b", "c"});
  devices[0]->leave();
  devices[0] = FakeDevice::join(daemon(), "a", 2);
  EXPECT_EQ(second->machine().ready_count(), 0U);
  ASSERT_TRUE(
      daemon().run_until([&] { return daemon().over("first") && daemon().over("second"); }));
}

TEST_F(BoardTest, ADeviceServesOnlyTheJobsItNames) {
  const auto other = daemon().submit(job_toml("", "another"));
  const auto job = daemon().submit(job_toml("", "job"));
  std::vector<std::shared_ptr<FakeDevice>> devices;
  for (const char* name : {"a", "b", "c"}) {
    devices.push_back(FakeDevice::join(daemon(), name, 1, {JobId{"job"}, JobId{"unheard-of"}}));
  }
  ASSERT_TRUE(daemon().run_until([&] { return daemon().over("job"); }));
  EXPECT_EQ(other->machine().rounds_done(), 0U);
  EXPECT_EQ(other->machine().ready_count(), 0U);
}

TEST_F(BoardTest, AJobSubmittedLaterGetsTheDevicesThatWait) {
  const auto devices = join_all({"a", "b", "c"});
  daemon().submit(job_toml());
  EXPECT_TRUE(daemon().run_until([&] { return daemon().over(); }));
}

TEST_F(BoardTest, ANewerConnectionReplacesTheOlderOne) {
  const auto job = daemon().submit(job_toml());
  auto devices = join_all({"a", "b", "c"});
  for (auto& device : devices) device->automatic = false;
  ASSERT_TRUE(daemon().run_until([&] { return !devices[0]->assigned.empty() && job->idle(); }));
  const auto old = devices[0];
  const Assignment task = old->assigned[0];
  devices[0] = FakeDevice::join(daemon(), "a", 2);
  devices[0]->automatic = false;
  ASSERT_TRUE(old->closed);
  EXPECT_EQ(old->closed->code, errc::wrong_state);
  EXPECT_EQ(devices[0]->assigned.size(), 1U);
  EXPECT_EQ(daemon().board->devices_connected(), 3U);

  // What the old connection still says does not count.
  const auto decision = daemon().board->offer(old->key(), FakeDevice::offer_for(task, "a"));
  EXPECT_EQ(decision.kind, OfferDecision::Kind::refuse);
  EXPECT_EQ(decision.refuse.code, errc::wrong_state);
  daemon().board->upload_complete(old->key(), task.work.task);
  daemon().board->upload_failed(old->key(), task.work.task, true, fail(errc::not_finite, "NaN"));
  wire::Decline decline;
  decline.task = task.work.task;
  daemon().board->declined(old->key(), decline);
  daemon().board->disconnected(old->key());
  daemon().board->ready(old->key());
  EXPECT_TRUE(daemon().board->is_connected(ClientId{"a"}));
  EXPECT_EQ(job->machine().members().at(ClientId{"a"}).state, MemberState::invited);
  EXPECT_TRUE(job->machine().members().at(ClientId{"a"}).connected);
}

TEST_F(BoardTest, ADeviceThatComesBackInTheMiddleOfItsUploadGoesOn) {
  const auto job = daemon().submit(job_toml("", "job", 1));
  auto devices = join_all({"a", "b", "c"});
  bool cut = false;
  devices[0]->before_complete = [&] {
    if (std::exchange(cut, true)) return;
    devices[0]->leave();
    devices[0] = FakeDevice::join(daemon(), "a", 2);
  };
  ASSERT_TRUE(daemon().run_until([&] { return daemon().over(); }));
  EXPECT_TRUE(cut);
  EXPECT_EQ(daemon().rounds()[0].accepted, 3U);
}

TEST_F(BoardTest, MoreDevicesThanMayWaitAreToldWhenToComeBack) {
  DaemonOptions options;
  options.devices_waiting_max = 2;
  make(options);
  daemon().submit(job_toml("[pace]\ncohort = 10\n"));
  const auto devices = join_all({"a", "b", "c"});
  EXPECT_TRUE(of_kind<wire::ComeBack>(devices[0]->received).empty());
  EXPECT_TRUE(of_kind<wire::ComeBack>(devices[1]->received).empty());
  const auto sent = of_kind<wire::ComeBack>(devices[2]->received);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_GE(sent[0].after, 5s);  // half a round at least, one and a half at most
  EXPECT_LT(sent[0].after, 15s);
  EXPECT_EQ(daemon().job()->machine().ready_count(), 2U);
  EXPECT_FALSE(devices[2]->closed);
  devices[0]->leave();
  devices[2]->ready();  // there is room now
  EXPECT_EQ(daemon().job()->machine().ready_count(), 2U);
  EXPECT_EQ(of_kind<wire::ComeBack>(devices[2]->received).size(), 1U);
}

TEST_F(BoardTest, OffersForNothingAreRefused) {
  const auto device = FakeDevice::join(daemon(), "a");
  wire::Offer offer;
  offer.task = TaskRef{JobId{"nowhere"}, RoundId{1}, TaskKind::train};
  const auto decision = daemon().board->offer(device->key(), offer);
  EXPECT_EQ(decision.kind, OfferDecision::Kind::refuse);
  EXPECT_EQ(decision.refuse.code, errc::not_found);
  EXPECT_THAT(decision.refuse.detail, HasSubstr("nowhere"));
  offer.task.job = JobId{"job"};
  daemon().submit(job_toml());
  const auto early = daemon().board->offer(device->key(), offer);
  EXPECT_EQ(early.kind, OfferDecision::Kind::refuse);
  EXPECT_EQ(early.refuse.code, errc::not_invited);
}

TEST_F(BoardTest, AnExpelledDeviceIsGone) {
  const auto job = daemon().submit(job_toml());
  const auto devices = join_all({"a", "b"});
  daemon().board->expel(ClientId{"a"}, fail(errc::revoked, "revoked"));
  ASSERT_TRUE(devices[0]->closed);
  EXPECT_EQ(devices[0]->closed->code, errc::revoked);
  EXPECT_FALSE(daemon().board->is_connected(ClientId{"a"}));
  EXPECT_EQ(job->machine().ready_count(), 1U);
  daemon().board->expel(ClientId{"a"}, fail(errc::revoked, "revoked"));  // not there: nothing
}

TEST_F(BoardTest, SayingReadyTwiceCountsOnce) {
  DaemonOptions options;
  options.devices_waiting_max = 1;
  make(options);
  const auto device = FakeDevice::join(daemon(), "a");
  device->ready();
  EXPECT_TRUE(of_kind<wire::ComeBack>(device->received).empty());
}

// ---- jobs ----

TEST_F(BoardTest, NamesOfJobsAreUnique) {
  daemon().submit(job_toml());
  const auto again = daemon().play(daemon().board->submit(job_toml(), "job.toml"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errc::already_exists);
}

TEST_F(BoardTest, ABadJobIsRefusedWithWhatIsWrong) {
  const auto bad = daemon().play(daemon().board->submit(job_toml("color = 1\n"), "my.toml"));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, errc::malformed_file);
  EXPECT_THAT(bad.error().detail, HasSubstr("my.toml"));
  EXPECT_TRUE(daemon().board->jobs().empty());
}

TEST_F(BoardTest, AJobThatCannotBeStoredDoesNotExist) {
  daemon().ledger->failing = {"add_job"};
  const auto lost = daemon().play(daemon().board->submit(job_toml(), "job.toml"));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, errc::database_failed);
  EXPECT_FALSE(daemon().board->find(JobId{"job"}));
  EXPECT_NE(daemon().submit(job_toml()), nullptr);  // its name is free again
}

TEST_F(BoardTest, AnUnknownJobIsAnsweredWithTheOnesThereAre) {
  EXPECT_THAT(daemon().board->find(JobId{"x"}).error().detail, HasSubstr("chorus job submit"));
  daemon().submit(job_toml("", "one"));
  daemon().submit(job_toml("", "two"));
  const auto missing = daemon().board->find(JobId{"x"});
  EXPECT_EQ(missing.error().code, errc::not_found);
  EXPECT_THAT(missing.error().detail, HasSubstr("one, two"));
}

TEST_F(BoardTest, OneJobMoreThanMayBeOpenIsRefused) {
  for (std::size_t i = 0; i < limits::kJobsMax; ++i) {
    ASSERT_NE(daemon().submit(job_toml("", "job-" + std::to_string(i))), nullptr);
  }
  const auto one_more = daemon().play(daemon().board->submit(job_toml(), "job.toml"));
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code, errc::busy);
  ASSERT_TRUE(daemon().job("job-7")->control(JobVerb::stop));
  EXPECT_NE(daemon().submit(job_toml()), nullptr);
}

// ---- going down ----

TEST_F(BoardTest, DrainingClosesThoseWhoWaitAndFinishesWhatIsUnderWay) {
  const auto job = daemon().submit(job_toml());
  auto devices = join_all({"a", "b", "c"});
  const auto idle = FakeDevice::join(daemon(), "d");
  for (auto& device : devices) device->automatic = false;
  ASSERT_TRUE(daemon().run_until([&] { return !devices[0]->assigned.empty(); }));
  devices[0]->offer(devices[0]->assigned[0]);
  ASSERT_TRUE(
      daemon().run_until([&] { return job->machine().count(MemberState::committing) == 1; }));
  EXPECT_FALSE(job->idle());
  auto drain = [](Board& board) -> boost::asio::awaitable<bool> {
    co_await board.drain();
    co_return true;
  };
  EXPECT_TRUE(daemon().play(drain(*daemon().board)));
  EXPECT_TRUE(job->idle());
  EXPECT_EQ(of_kind<wire::Accepted>(devices[0]->received).size(), 1U);
  ASSERT_TRUE(idle->closed);
  EXPECT_EQ(idle->closed->code, errc::shutting_down);
  EXPECT_FALSE(devices[1]->closed);  // it trains; its upload resumes after the restart
  devices[1]->ready();
  ASSERT_TRUE(devices[1]->closed);
  EXPECT_EQ(devices[1]->closed->code, errc::shutting_down);
}

}  // namespace
}  // namespace chorus::server::test
