// The life of a task: from Work to its settlement, and every way in which a step may fail.
#include "client/src/session_machine.hpp"

#include <string>

#include "common/crypto/digest.hpp"
#include "tests/unit/client/src/session_harness.hpp"

namespace chorus::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const TaskRef kTask = test::some_task();
const TaskRef kOther{JobId{"other"}, RoundId{1}, TaskKind::train};

wire::Offer evaluate_offer() {
  wire::Offer offer = test::some_offer();
  offer.task.kind = TaskKind::evaluate;
  offer.bytes = 0;
  offer.digest = {};
  return offer;
}

TEST(SessionMachine, DoesAWholeTask) {
  Harness h;
  EXPECT_THAT(h.step(Started{}), ElementsAre(AskEligibility{}));
  EXPECT_THAT(h.step(EligibilityKnown{true}), ElementsAre(Connect{}));
  EXPECT_THAT(h.step(Connected{}), ElementsAre(Harness::sent(wire::Hello{})));
  EXPECT_THAT(h.receive(Harness::welcome()), ElementsAre(AskEligibility{}));
  EXPECT_THAT(h.step(EligibilityKnown{true}), ElementsAre(Harness::sent(wire::Ready{})));
  const wire::Work work = test::some_work();
  EXPECT_THAT(h.receive(work), ElementsAre(LookUpModel{}));
  EXPECT_EQ(h.machine.work(), work);
  EXPECT_THAT(h.step(Harness::looked_up(0)),
              ElementsAre(ReceiveModel{0}, Harness::sent(wire::Fetch{work.model.sha256, 0})));
  EXPECT_THAT(h.receive(wire::Chunk{0}, 4000), ElementsAre(KeepChunk{0, 4000}));
  EXPECT_THAT(h.receive(wire::Chunk{4000}, 96), ElementsAre(KeepChunk{4000, 96}, VerifyModel{}));
  EXPECT_THAT(h.step(ModelVerified{}), ElementsAre(StartTask{}));
  const wire::Offer offer = test::some_offer();
  EXPECT_THAT(h.step(TaskFinished{offer}), ElementsAre(Harness::sent(offer)));
  EXPECT_THAT(h.receive(wire::Take{kTask, 0}), ElementsAre(SendBody{0}));
  EXPECT_THAT(h.step(BodyProgress{400}), IsEmpty());
  EXPECT_THAT(h.receive(wire::Accepted{kTask, wire::Durability::full}),
              ElementsAre(StopBody{}, DropUpload{kTask}, AskEligibility{}));
  EXPECT_EQ(h.machine.summary().accepted, 1U);
  EXPECT_THAT(h.step(EligibilityKnown{true}), ElementsAre(Harness::sent(wire::Ready{})));
}

TEST(SessionMachine, ReportsEveryStage) {
  Harness h;
  h.be_fetching(1000);
  h.receive(wire::Chunk{1000}, 3096);
  h.step(ModelVerified{});
  h.step(TaskFinished{test::some_offer()});
  h.receive(wire::Take{kTask, 100});
  std::vector<State> states;
  for (const auto& report : h.reports) states.push_back(report.state);
  EXPECT_THAT(states,
              ElementsAre(State::connecting,
                          State::waiting,
                          State::downloading,
                          State::downloading,
                          State::training,
                          State::uploading,
                          State::uploading));
  EXPECT_EQ(h.reports[2].done, 1000U);
  EXPECT_EQ(h.reports[3].done, 4096U);
  EXPECT_EQ(h.reports[3].total, 4096U);
  EXPECT_EQ(h.reports[4].job, "digits");
  EXPECT_EQ(h.reports[4].round, 7U);
  EXPECT_EQ(h.reports[6].done, 100U);
  EXPECT_EQ(h.reports[6].total, 400U);
}

TEST(SessionMachine, EvaluatesWithoutABody) {
  Harness h;
  h.be_ready();
  wire::Work work = test::some_work();
  work.task.kind = TaskKind::evaluate;
  work.plan = EvaluatePlan{};
  h.receive(work);
  EXPECT_THAT(h.step(Harness::looked_up(4096)), ElementsAre(StartTask{}));
  EXPECT_EQ(h.last_state(), State::evaluating);
  EXPECT_THAT(h.step(TaskFinished{evaluate_offer()}), ElementsAre(Harness::sent(evaluate_offer())));
  EXPECT_THAT(h.receive(wire::Accepted{work.task, wire::Durability::full}),
              ElementsAre(DropUpload{work.task}, AskEligibility{}));
  EXPECT_EQ(h.machine.summary().evaluated, 1U);
  EXPECT_EQ(h.machine.summary().accepted, 0U);
}

TEST(SessionMachine, TakeOfAnEvaluationMakesNoSense) {
  Harness h;
  h.be_ready();
  wire::Work work = test::some_work();
  work.task.kind = TaskKind::evaluate;
  work.plan = EvaluatePlan{};
  h.receive(work);
  h.step(Harness::looked_up(4096));
  h.step(TaskFinished{evaluate_offer()});
  EXPECT_THAT(h.receive(wire::Take{work.task, 0}), ElementsAre(Disconnect{}));
}

// ---- the model ----

TEST(SessionMachine, UsesAModelThatIsThere) {
  Harness h;
  h.be_ready();
  h.receive(test::some_work());
  EXPECT_THAT(h.step(Harness::looked_up(4096)), ElementsAre(StartTask{}));
}

TEST(SessionMachine, GoesOnWithAnInterruptedDownload) {
  Harness h;
  h.be_ready();
  h.receive(test::some_work());
  EXPECT_THAT(h.step(Harness::looked_up(1000)),
              ElementsAre(ReceiveModel{1000},
                          Harness::sent(wire::Fetch{test::some_work().model.sha256, 1000})));
  EXPECT_EQ(h.machine.download().there, 1000U);
  EXPECT_THAT(h.receive(wire::Chunk{1000}, 96), ElementsAre(KeepChunk{1000, 96}));
}

TEST(SessionMachine, LosesTheConnectionWhileDownloadingAndAsksAnew) {
  Harness h;
  h.be_fetching();
  h.receive(wire::Chunk{0}, 500);
  EXPECT_THAT(h.lose_connection(), IsEmpty());
  EXPECT_EQ(h.machine.task(), Task::none);
  EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
  h.reconnect();
  EXPECT_THAT(h.step(EligibilityKnown{true}), ElementsAre(Harness::sent(wire::Ready{})));
  h.receive(test::some_work());
  EXPECT_THAT(h.step(Harness::looked_up(500)),
              ElementsAre(ReceiveModel{500},
                          Harness::sent(wire::Fetch{test::some_work().model.sha256, 500})));
}

TEST(SessionMachine, RefusesChunksThatDoNotFit) {
  struct Case {
    std::uint64_t offset;
    std::uint32_t bytes;
  };
  for (const auto& bad : {Case{1, 10}, Case{0, 0}, Case{0, 4097}, Case{4096, 1}}) {
    Harness h;
    h.be_fetching();
    EXPECT_THAT(h.receive(wire::Chunk{bad.offset}, bad.bytes), ElementsAre(Disconnect{}))
        << bad.offset << " " << bad.bytes;
    EXPECT_EQ(h.machine.link(), Link::offline);
    EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
  }
}

TEST(SessionMachine, RefusesAChunkNobodyAskedFor) {
  Harness h;
  h.be_ready();
  EXPECT_THAT(h.receive(wire::Chunk{0}, 10), ElementsAre(Disconnect{}));
}

TEST(SessionMachine, DownloadsABrokenModelOnceMoreThenDeclines) {
  Harness h;
  h.be_fetching();
  h.receive(wire::Chunk{0}, 4096);
  const Failure broken = fail(errc::digest_mismatch, "other bytes");
  EXPECT_THAT(
      h.step(ModelBroken{broken}),
      ElementsAre(ReceiveModel{0}, Harness::sent(wire::Fetch{test::some_work().model.sha256, 0})));
  h.receive(wire::Chunk{0}, 4096);
  EXPECT_THAT(
      h.step(ModelBroken{broken}),
      ElementsAre(Harness::sent(wire::Decline{kTask, errc::digest_mismatch, "other bytes"})));
  EXPECT_EQ(h.machine.task(), Task::sleeping);
  EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
}

TEST(SessionMachine, FetchesStepsInsteadOfTheFile) {
  Harness h;
  h.be_ready();
  h.receive(test::some_work());
  const Sha256 version = test::some_work().model.sha256;
  EXPECT_THAT(h.step(ModelLookedUp{{300, 100, 2}}),
              ElementsAre(ReceiveModel{100, 2}, Harness::sent(wire::Fetch{version, 100, 2})));
  EXPECT_THAT(h.receive(wire::Chunk{100}, 150), ElementsAre(KeepChunk{100, 150}));
  EXPECT_THAT(h.receive(wire::Chunk{250}, 50), ElementsAre(KeepChunk{250, 50}, VerifyModel{}));
  EXPECT_THAT(h.step(ModelVerified{}), ElementsAre(StartTask{}));
}

TEST(SessionMachine, AStepBeyondItsEndIsAFault) {
  Harness h;
  h.be_ready();
  h.receive(test::some_work());
  h.step(ModelLookedUp{{300, 0, 1}});
  EXPECT_THAT(h.receive(wire::Chunk{0}, 301), ElementsAre(Disconnect{}));
}

TEST(SessionMachine, StepsThatDoNotComeOutRightCostNoTry) {
  Harness h;
  h.be_ready();
  h.receive(test::some_work());
  h.step(ModelLookedUp{{300, 0, 1}});
  h.receive(wire::Chunk{0}, 300);
  const Failure broken = fail(errc::digest_mismatch, "other bytes");
  const auto file = [&] {
    return ElementsAre(ReceiveModel{0},
                       Harness::sent(wire::Fetch{test::some_work().model.sha256, 0}));
  };
  EXPECT_THAT(h.step(ModelBroken{broken}), file());
  h.receive(wire::Chunk{0}, 4096);
  EXPECT_THAT(h.step(ModelBroken{broken}), file());  // the file's first failure
  h.receive(wire::Chunk{0}, 4096);
  EXPECT_THAT(h.step(ModelVerified{}), ElementsAre(StartTask{}));
}

wire::Work work_with_basis() {
  wire::Work work = test::some_work();
  work.basis = wire::ModelRef{sha256("a basis"), 44};
  return work;
}

TEST(SessionMachine, FetchesTheBasisWhenTheModelIsThere) {
  const auto fetch = [] {
    return ElementsAre(ReceiveModel{0, 0, true}, Harness::sent(wire::Fetch{sha256("a basis"), 0}));
  };
  Harness h;
  h.be_ready();
  h.receive(work_with_basis());
  h.step(ModelLookedUp{{4096, 0, 0}});
  h.receive(wire::Chunk{0}, 4096);
  EXPECT_THAT(h.step(ModelVerified{}), fetch());
  EXPECT_EQ(h.machine.download(), (Download{.total = 44, .basis = true}));
  EXPECT_THAT(h.receive(wire::Chunk{0}, 40), ElementsAre(KeepChunk{0, 40}));
  EXPECT_THAT(h.receive(wire::Chunk{40}, 4), ElementsAre(KeepChunk{40, 4}, VerifyModel{}));
  EXPECT_THAT(h.step(ModelVerified{}), ElementsAre(StartTask{}));

  Harness cached;
  cached.be_ready();
  cached.receive(work_with_basis());
  EXPECT_THAT(cached.step(ModelLookedUp{{4096, 4096, 0}}), fetch());
  EXPECT_THAT(cached.receive(wire::Chunk{0}, 45), ElementsAre(Disconnect{})) << "beyond its end";
}

TEST(SessionMachine, FetchesABrokenBasisOnceMoreThenDeclines) {
  Harness h;
  h.be_ready();
  h.receive(work_with_basis());
  h.step(ModelLookedUp{{4096, 4096, 0}});
  h.receive(wire::Chunk{0}, 44);
  const Failure broken = fail(errc::digest_mismatch, "other bytes");
  EXPECT_THAT(
      h.step(ModelBroken{broken}),
      ElementsAre(ReceiveModel{0, 0, true}, Harness::sent(wire::Fetch{sha256("a basis"), 0})));
  h.receive(wire::Chunk{0}, 44);
  EXPECT_THAT(
      h.step(ModelBroken{broken}),
      ElementsAre(Harness::sent(wire::Decline{kTask, errc::digest_mismatch, "other bytes"})));
}

// The server gives the task again, and the model is in the cache by then.
TEST(SessionMachine, ATaskWhoseBasisCannotBeFetchedIsDropped) {
  for (const bool verifying : {false, true}) {
    Harness h;
    h.be_ready();
    h.receive(work_with_basis());
    if (verifying) {
      h.step(ModelLookedUp{{4096, 0, 0}});
      h.receive(wire::Chunk{0}, 4096);
    }
    h.step(ConnectionLost{fail(errc::connection_failed, "gone")});
    if (verifying) {
      h.step(ModelVerified{});
    } else {
      h.step(ModelLookedUp{{4096, 4096, 0}});
    }
    EXPECT_EQ(h.machine.task(), Task::none) << verifying;
  }
}

TEST(SessionMachine, DeclinesAModelItCannotExecute) {
  Harness h;
  h.be_ready();
  h.receive(test::some_work());
  EXPECT_THAT(h.step(ModelUnusable{fail(errc::invalid_argument, "layer 2")}),
              ElementsAre(Harness::sent(wire::Decline{kTask, errc::invalid_argument, "layer 2"})));
  EXPECT_EQ(h.machine.task(), Task::sleeping);
}

TEST(SessionMachine, DeclinesWorkItDoesNotUnderstand) {
  Harness h;
  h.be_ready();
  EXPECT_THAT(
      h.step(WorkNotUnderstood{kTask, fail(errc::unsupported_feature, "proximal")}),
      ElementsAre(Harness::sent(wire::Decline{kTask, errc::unsupported_feature, "proximal"})));
  EXPECT_EQ(h.machine.task(), Task::sleeping);
  EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
}

TEST(SessionMachine, AnErrorToFetchDropsTheTask) {
  Harness h;
  h.be_fetching();
  EXPECT_THAT(h.receive(wire::Error{errc::not_found, "no such version", Duration(0), false}),
              IsEmpty());
  EXPECT_EQ(h.machine.task(), Task::sleeping);
}

TEST(SessionMachine, LosesTheConnectionWhileLookingUpThenTrainsOffline) {
  Harness h;
  h.be_ready();
  h.receive(test::some_work());
  h.lose_connection();
  EXPECT_THAT(h.step(Harness::looked_up(4096)), ElementsAre(StartTask{}));
  EXPECT_EQ(h.machine.link(), Link::offline);
}

TEST(SessionMachine, LosesTheConnectionWhileLookingUpThenAsksAnew) {
  for (const bool back_online : {false, true}) {
    Harness h;
    h.be_ready();
    h.receive(test::some_work());
    h.lose_connection();
    if (back_online) {
      h.wake();
      h.reconnect();
      EXPECT_THAT(h.step(Harness::looked_up(10)), ElementsAre(AskEligibility{}));
    } else {
      EXPECT_THAT(h.step(Harness::looked_up(10)), IsEmpty());
      EXPECT_EQ(h.machine.task(), Task::none);
    }
  }
}

TEST(SessionMachine, LosesTheConnectionWhileVerifyingThenTrainsOffline) {
  Harness h;
  h.be_fetching();
  h.receive(wire::Chunk{0}, 4096);
  h.lose_connection();
  EXPECT_THAT(h.step(ModelVerified{}), ElementsAre(StartTask{}));
}

// ---- the work ----

TEST(SessionMachine, TrainsOnWhileReconnectingThenOffers) {
  Harness h;
  h.be_working();
  EXPECT_THAT(h.lose_connection(), IsEmpty());
  EXPECT_EQ(h.machine.task(), Task::working);
  EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
  h.step(EligibilityKnown{true});
  h.step(Connected{});
  EXPECT_THAT(h.receive(Harness::welcome()), IsEmpty());  // no Ready: it is not free
  EXPECT_THAT(h.step(TaskFinished{test::some_offer()}),
              ElementsAre(Harness::sent(test::some_offer())));
}

TEST(SessionMachine, FinishesOfflineThenOffersWhenWelcomed) {
  Harness h;
  h.be_working();
  h.lose_connection();
  EXPECT_THAT(h.step(TaskFinished{test::some_offer()}), IsEmpty());
  h.wake();
  h.step(EligibilityKnown{true});
  h.step(Connected{});
  EXPECT_THAT(h.receive(Harness::welcome()), ElementsAre(Harness::sent(test::some_offer())));
}

TEST(SessionMachine, SaysWhyItCannotDoATask) {
  Harness h;
  h.be_working();
  EXPECT_THAT(
      h.step(TaskFailed{fail(errc::unsupported_feature, "no conv2d")}),
      ElementsAre(Harness::sent(wire::Decline{kTask, errc::unsupported_feature, "no conv2d"})));
  EXPECT_EQ(h.machine.task(), Task::sleeping);
  EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
}

TEST(SessionMachine, SaysWhyItCouldNotDoATaskWhenItIsBackOnline) {
  Harness h;
  h.be_working();
  h.lose_connection();
  EXPECT_THAT(h.step(TaskFailed{fail(errc::not_finite, "NaN")}), IsEmpty());
  h.wake();
  h.step(EligibilityKnown{true});
  h.step(Connected{});
  EXPECT_THAT(
      h.receive(Harness::welcome()),
      ElementsAre(Harness::sent(wire::Decline{kTask, errc::not_finite, "NaN"}), AskEligibility{}));
}

TEST(SessionMachine, FailedTasksAreSpacedOutMoreAndMore) {
  Harness h;
  h.be_ready();
  Duration longest{};
  for (int i = 0; i < 30; ++i) {
    h.receive(test::some_work());
    h.step(Harness::looked_up(4096));
    h.step(TaskFailed{fail(errc::internal, "broken trainer")});
    ASSERT_EQ(h.machine.task(), Task::sleeping);
    longest = std::max(longest, *h.machine.next_wakeup() - h.now);
    while (h.machine.task() == Task::sleeping) h.wake();
    h.step(EligibilityKnown{true});
  }
  EXPECT_GT(longest, Duration(5'000));
  EXPECT_LE(longest, Duration(limits::kReconnectMax));
}

TEST(SessionMachine, StopsTrainingWhenCancelled) {
  Harness h;
  h.be_working();
  EXPECT_THAT(h.receive(wire::Cancel{kTask, "aborted"}), ElementsAre(CancelTask{}));
  EXPECT_EQ(h.machine.task(), Task::cancelling);
  EXPECT_THAT(h.receive(wire::Cancel{kTask, "aborted"}), IsEmpty());
  EXPECT_THAT(h.step(TaskFailed{fail(errc::cancelled, "")}), ElementsAre(AskEligibility{}));
}

TEST(SessionMachine, DropsWhatATrainerFinishesAfterCancel) {
  Harness h;
  h.be_working();
  h.receive(wire::Cancel{kTask, ""});
  EXPECT_THAT(h.step(TaskFinished{test::some_offer()}),
              ElementsAre(DropUpload{}, AskEligibility{}));
}

TEST(SessionMachine, IgnoresCancelOfAnotherTask) {
  Harness h;
  h.be_working();
  EXPECT_THAT(h.receive(wire::Cancel{kOther, ""}), IsEmpty());
  EXPECT_EQ(h.machine.task(), Task::working);
}

TEST(SessionMachine, FinishesADownloadThatIsNoLongerWantedForTheNextRound) {
  Harness h;
  h.be_fetching();
  EXPECT_THAT(h.receive(wire::Cancel{kTask, ""}), IsEmpty());
  EXPECT_THAT(h.receive(wire::Chunk{0}, 4096), ElementsAre(KeepChunk{0, 4096}, VerifyModel{}));
  EXPECT_THAT(h.step(ModelVerified{}), ElementsAre(AskEligibility{}));
}

TEST(SessionMachine, StopsTrainingWhenTheRoundTakesNoOfferAnyMore) {
  Harness h;
  h.be_working();  // deadline 30 s
  EXPECT_THAT(h.tick_after(Duration(29'999)), ::testing::Not(::testing::Contains(CancelTask{})));
  EXPECT_THAT(h.tick_after(Duration(1)), ::testing::Contains(CancelTask{}));
  const auto actions = h.step(TaskFailed{fail(errc::cancelled, "")});
  ASSERT_EQ(actions.size(), 2U);
  const auto& decline = std::get<wire::Decline>(std::get<Send>(actions[0]).message);
  EXPECT_EQ(decline.code, errc::timed_out);
  EXPECT_EQ(actions[1], Action(AskEligibility{}));
}

TEST(SessionMachine, IgnoresTheSameWorkGivenTwiceAndDeclinesAnother) {
  Harness h;
  h.be_working();
  EXPECT_THAT(h.receive(test::some_work()), IsEmpty());
  wire::Work other = test::some_work();
  other.task = kOther;
  const auto actions = h.receive(other);
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(std::get<wire::Decline>(std::get<Send>(actions[0]).message).code, errc::busy);
  EXPECT_EQ(h.machine.task(), Task::working);
}

// ---- the update ----

TEST(SessionMachine, OffersWhatAFormerProcessLeftBeforeAnythingElse) {
  Harness h;
  h.step(Started{test::some_offer()});
  h.step(EligibilityKnown{true});
  h.step(Connected{});
  EXPECT_THAT(h.receive(Harness::welcome()), ElementsAre(Harness::sent(test::some_offer())));
  EXPECT_THAT(h.receive(wire::Take{kTask, 300}), ElementsAre(SendBody{300}));
  EXPECT_THAT(h.receive(wire::Accepted{kTask, wire::Durability::process}),
              ElementsAre(StopBody{}, DropUpload{kTask}, AskEligibility{}));
}

TEST(SessionMachine, AFormerUploadMayBeSettledWithoutABody) {
  for (const bool accepted : {true, false}) {
    Harness h;
    h.connect(test::some_offer());
    const wire::Message answer =
        accepted ? wire::Message(wire::Accepted{kTask, wire::Durability::full})
                 : wire::Message(wire::Refuse{kTask, errc::task_closed, "late", Duration(0)});
    const DropUpload drop = accepted ? DropUpload{kTask} : DropUpload{};
    EXPECT_THAT(h.receive(answer), ElementsAre(drop, AskEligibility{}));
    EXPECT_EQ(h.machine.summary().accepted, accepted ? 1U : 0U);
    EXPECT_EQ(h.machine.summary().discarded, accepted ? 0U : 1U);
  }
}

TEST(SessionMachine, OffersAgainAfterALostConnectionAndResumes) {
  Harness h;
  h.be_uploading();
  EXPECT_THAT(h.lose_connection(), ElementsAre(StopBody{}));
  h.wake();
  h.step(EligibilityKnown{true});
  h.step(Connected{});
  EXPECT_THAT(h.receive(Harness::welcome()), ElementsAre(Harness::sent(test::some_offer())));
  EXPECT_THAT(h.receive(wire::Take{kTask, 256}), ElementsAre(SendBody{256}));
}

TEST(SessionMachine, RefusalsAreFinalOrNotByTheirCode) {
  struct Case {
    errc code;
    std::uint64_t rejected;
    std::uint64_t discarded;
  };
  for (const auto& test_case : {Case{errc::task_closed, 0, 1},
                                Case{errc::not_invited, 0, 1},
                                Case{errc::wrong_state, 0, 1},
                                Case{errc::not_found, 0, 1},
                                Case{errc::not_finite, 1, 0},
                                Case{errc::shape_mismatch, 1, 0},
                                Case{errc::value_out_of_range, 1, 0},
                                Case{errc::weight_out_of_range, 1, 0}}) {
    Harness h;
    h.be_uploading();
    const auto actions = h.receive(wire::Refuse{kTask, test_case.code, "no", Duration(0)});
    ASSERT_GE(actions.size(), 2U);
    EXPECT_EQ(actions[0], Action(StopBody{}));
    EXPECT_EQ(actions[1], Action(DropUpload{}));
    EXPECT_EQ(h.machine.summary().rejected, test_case.rejected) << to_string(test_case.code);
    EXPECT_EQ(h.machine.summary().discarded, test_case.discarded) << to_string(test_case.code);
  }
}

TEST(SessionMachine, OffersAgainWhenTheServerIsBusy) {
  Harness h;
  h.be_offering();
  EXPECT_THAT(h.receive(wire::Refuse{kTask, errc::busy, "no grant", Duration(2'000)}), IsEmpty());
  EXPECT_EQ(h.machine.task(), Task::offering);
  EXPECT_GE(h.until_wakeup(), Duration(2'000));
  EXPECT_THAT(h.wake(), ElementsAre(Harness::sent(test::some_offer())));
  EXPECT_THAT(h.receive(wire::Take{kTask, 0}), ElementsAre(SendBody{0}));
}

TEST(SessionMachine, ATakeWithoutAnOfferInTheAirIsIgnored) {
  Harness h;
  h.be_offering();
  h.receive(wire::Refuse{kTask, errc::busy, "no grant", Duration(2'000)});
  EXPECT_THAT(h.receive(wire::Take{kTask, 0}), IsEmpty());
  EXPECT_EQ(h.machine.task(), Task::offering);
}

TEST(SessionMachine, ABodyThatAlwaysArrivesDamagedIsGivenUp) {
  Harness h;
  h.be_uploading();
  const wire::Refuse damaged{kTask, errc::digest_mismatch, "other bytes", Duration(0)};
  EXPECT_THAT(h.receive(damaged), ElementsAre(StopBody{}));
  EXPECT_THAT(h.wake(), ElementsAre(Harness::sent(test::some_offer())));
  h.receive(wire::Take{kTask, 0});
  EXPECT_THAT(h.receive(damaged), ElementsAre(StopBody{}));
  h.wake();
  h.receive(wire::Take{kTask, 0});
  EXPECT_THAT(h.receive(damaged), ElementsAre(StopBody{}, DropUpload{}));
  EXPECT_EQ(h.machine.summary().rejected, 1U);
}

TEST(SessionMachine, CancelOfAnUploadDropsIt) {
  Harness h;
  h.be_uploading();
  EXPECT_THAT(h.receive(wire::Cancel{kTask, ""}),
              ElementsAre(StopBody{}, DropUpload{}, AskEligibility{}));
  EXPECT_EQ(h.machine.summary().discarded, 1U);
}

TEST(SessionMachine, RefusesATakeBeyondTheUpdate) {
  Harness h;
  h.be_offering();
  EXPECT_THAT(h.receive(wire::Take{kTask, 401}), ElementsAre(Disconnect{}));
  EXPECT_EQ(h.machine.task(), Task::offering);
}

TEST(SessionMachine, RefusesASecondTake) {
  Harness h;
  h.be_uploading();
  EXPECT_THAT(h.receive(wire::Take{kTask, 0}), ElementsAre(Disconnect{}, StopBody{}));
}

TEST(SessionMachine, IgnoresAnswersAboutOtherTasks) {
  Harness h;
  h.be_uploading();
  EXPECT_THAT(h.receive(wire::Take{kOther, 0}), IsEmpty());
  EXPECT_THAT(h.receive(wire::Accepted{kOther, wire::Durability::full}), IsEmpty());
  EXPECT_THAT(h.receive(wire::Refuse{kOther, errc::task_closed, "", Duration(0)}), IsEmpty());
  EXPECT_EQ(h.machine.task(), Task::uploading);
}

TEST(SessionMachine, AnUploadTheServerCannotReadIsNotOfferedForEver) {
  Harness h;
  h.be_offering();
  EXPECT_THAT(h.receive(wire::Error{errc::malformed_message, "offer.seconds", Duration(0), true}),
              ElementsAre(DropUpload{}, Disconnect{}));
  EXPECT_EQ(h.machine.summary().rejected, 1U);
  EXPECT_EQ(h.machine.task(), Task::none);
}

TEST(SessionMachine, AnUploadSurvivesAServerThatShutsDown) {
  Harness h;
  h.be_uploading();
  EXPECT_THAT(h.receive(wire::Error{errc::shutting_down, "", Duration(3'000), true}),
              ElementsAre(Disconnect{}, StopBody{}));
  EXPECT_EQ(h.machine.task(), Task::offering);
  EXPECT_GE(h.until_wakeup(), Duration(3'000));
}

TEST(SessionMachine, AnErrorToAnOfferCountsAsRefusal) {
  Harness h;
  h.be_offering();
  EXPECT_THAT(h.receive(wire::Error{errc::busy, "", Duration(100), false}), IsEmpty());
  EXPECT_THAT(h.wake(), ElementsAre(Harness::sent(test::some_offer())));
}

// ---- the end ----

TEST(SessionMachine, LeavesAfterItsTasks) {
  SessionConfig config;
  config.tasks_max = 1;
  Harness h(config);
  h.be_uploading();
  const auto actions = h.receive(wire::Accepted{kTask, wire::Durability::full});
  ASSERT_EQ(actions.size(), 5U);
  EXPECT_TRUE(std::holds_alternative<wire::Goodbye>(std::get<Send>(actions[2]).message));
  EXPECT_EQ(actions[3], Action(Disconnect{}));
  EXPECT_EQ(actions[4], Action(Finish{}));
  EXPECT_EQ(h.last_state(), State::stopped);
  EXPECT_FALSE(h.machine.next_wakeup());
}

TEST(SessionMachine, StopWaitsForTheTrainer) {
  Harness h;
  h.be_working();
  const auto actions = h.step(StopRequested{});
  ASSERT_EQ(actions.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<wire::Goodbye>(std::get<Send>(actions[0]).message));
  EXPECT_EQ(actions[1], Action(CancelTask{}));
  EXPECT_EQ(actions[2], Action(Disconnect{}));
  EXPECT_THAT(h.step(StopRequested{}), IsEmpty());
  EXPECT_THAT(h.step(TaskFailed{fail(errc::cancelled, "")}), ElementsAre(Finish{}));
  EXPECT_EQ(h.machine.link(), Link::closed);
}

TEST(SessionMachine, StopKeepsAnUpdateThatTheTrainerFinishedMeanwhile) {
  Harness h;
  h.be_working();
  h.step(StopRequested{});
  EXPECT_THAT(h.step(TaskFinished{test::some_offer()}), ElementsAre(Finish{}));
}

TEST(SessionMachine, StopKeepsAnUnfinishedUpload) {
  Harness h;
  h.be_uploading();
  const auto actions = h.step(StopRequested{});
  EXPECT_THAT(actions, ::testing::Contains(Action(StopBody{})));
  EXPECT_THAT(actions, ::testing::Not(::testing::Contains(Action(DropUpload{}))));
  EXPECT_THAT(actions.back(), Action(Finish{}));
}

TEST(SessionMachine, StopWaitsForTheCache) {
  Harness h;
  h.be_ready();
  h.receive(test::some_work());
  h.step(StopRequested{});
  EXPECT_THAT(h.step(Harness::looked_up(0)), ElementsAre(Finish{}));
  Harness v;
  v.be_fetching();
  v.receive(wire::Chunk{0}, 4096);
  v.step(StopRequested{});
  EXPECT_THAT(v.step(ModelVerified{}), ElementsAre(Finish{}));
}

TEST(SessionMachine, MayBeStoppedBeforeItBegins) {
  Harness h;
  EXPECT_THAT(h.step(StopRequested{}), ElementsAre(Finish{}));
  EXPECT_THAT(h.step(Started{}), IsEmpty());
}

TEST(SessionMachine, NothingHappensAfterTheEnd) {
  Harness h;
  h.be_ready();
  h.step(StopRequested{});
  ASSERT_EQ(h.machine.link(), Link::closed);
  EXPECT_THAT(h.step(Tick{}), IsEmpty());
  EXPECT_THAT(h.step(StopRequested{}), IsEmpty());
  EXPECT_THAT(h.receive(wire::Ping{1}), IsEmpty());
  EXPECT_THAT(h.lose_connection(), IsEmpty());
  EXPECT_THAT(h.step(EligibilityKnown{true}), IsEmpty());
}

}  // namespace
}  // namespace chorus::client
