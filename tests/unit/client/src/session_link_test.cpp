// The life of a connection: eligibility, greeting, keep-alive, pace, reconnecting, leaving.
#include <set>
#include <string>

#include "tests/unit/client/src/session_harness.hpp"

namespace chorus::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <class M>
const M* sent_message(const Actions& actions) {
  for (const Action& action : actions) {
    const auto* send = std::get_if<Send>(&action);
    if (send == nullptr) continue;
    if (const auto* message = std::get_if<M>(&send->message)) return message;
  }
  return nullptr;
}

TEST(SessionLink, GreetsWithItsNameAndJobs) {
  SessionConfig config;
  config.software = "test 1.0";
  config.jobs = {JobId{"digits"}};
  Harness h(config);
  h.step(Started{});
  h.step(EligibilityKnown{true});
  const auto actions = h.step(Connected{});
  const auto* hello = sent_message<wire::Hello>(actions);
  ASSERT_NE(hello, nullptr);
  EXPECT_EQ(hello->software, "test 1.0");
  EXPECT_EQ(hello->jobs, config.jobs);
}

TEST(SessionLink, WaitsUntilTheDeviceIsEligible) {
  SessionConfig config;
  config.eligibility_interval = Duration(5'000);
  Harness h(config);
  h.step(Started{});
  EXPECT_THAT(h.step(EligibilityKnown{false}), IsEmpty());
  EXPECT_EQ(h.last_state(), State::sleeping);
  EXPECT_EQ(h.until_wakeup(), Duration(5'000));
  EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
  EXPECT_THAT(h.step(EligibilityKnown{true}), ElementsAre(Connect{}));
}

TEST(SessionLink, LeavesWhenTheDeviceIsNoLongerEligible) {
  SessionConfig config;
  config.eligibility_interval = Duration(5'000);
  Harness h(config);
  h.connect();
  const auto actions = h.step(EligibilityKnown{false});
  EXPECT_NE(sent_message<wire::Goodbye>(actions), nullptr);
  EXPECT_EQ(actions.back(), Action(Disconnect{}));
  EXPECT_GE(h.until_wakeup(), Duration(5'000));
  EXPECT_EQ(h.last_state(), State::sleeping);
}

TEST(SessionLink, TriesAgainWithGrowingRandomPauses) {
  SessionConfig config;
  config.seed = 5;
  Harness h(config);
  h.step(Started{});
  Duration longest{};
  std::set<Duration> different;
  for (int i = 0; i < 200; ++i) {
    h.step(EligibilityKnown{true});
    EXPECT_THAT(h.lose_connection(), IsEmpty());
    EXPECT_EQ(h.last_state(), State::connecting);
    const Duration pause = h.until_wakeup();
    const Duration first(limits::kReconnectFirst);
    const Duration ceiling =
        std::min<Duration>(limits::kReconnectMax, first * (1L << std::min(i, 20)));
    EXPECT_LE(pause, ceiling) << "attempt " << i;
    EXPECT_GE(pause, Duration(0));
    longest = std::max(longest, pause);
    different.insert(pause);
    EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
  }
  EXPECT_GT(longest, Duration(limits::kReconnectMax) * 9 / 10);
  EXPECT_GT(different.size(), 150U);
}

TEST(SessionLink, TheSameSeedGivesTheSamePauses) {
  const auto pauses = [](std::uint64_t seed) {
    SessionConfig config;
    config.seed = seed;
    Harness h(config);
    h.step(Started{});
    std::vector<Duration> all;
    for (int i = 0; i < 10; ++i) {
      h.step(EligibilityKnown{true});
      h.lose_connection();
      all.push_back(h.until_wakeup());
      h.wake();
    }
    return all;
  };
  EXPECT_EQ(pauses(1), pauses(1));
  EXPECT_NE(pauses(1), pauses(2));
}

TEST(SessionLink, APauseBeginsSmallAgainAfterTheServerWasUseful) {
  Harness h;
  h.step(Started{});
  for (int i = 0; i < 12; ++i) {
    h.step(EligibilityKnown{true});
    h.lose_connection();
    h.wake();
  }
  h.reconnect();
  h.step(EligibilityKnown{true});
  h.receive(wire::ComeBack{Duration(10), ""});
  h.lose_connection();
  EXPECT_LE(h.until_wakeup(), Duration(limits::kReconnectFirst));
}

TEST(SessionLink, AWelcomeAloneDoesNotResetThePause) {
  Harness h;
  h.connect();
  Duration longest{};
  for (int i = 0; i < 40; ++i) {
    h.lose_connection();
    longest = std::max(longest, h.until_wakeup());
    h.wake();
    h.reconnect();
  }
  EXPECT_GT(longest, Duration(5'000));
}

TEST(SessionLink, WaitsForTheWelcomeNoLongerThanAllowed) {
  Harness h;
  h.step(Started{});
  h.step(EligibilityKnown{true});
  h.step(Connected{});
  EXPECT_EQ(h.until_wakeup(), Duration(limits::kHelloDeadline));
  EXPECT_THAT(h.wake(), ElementsAre(Disconnect{}));
  EXPECT_EQ(h.machine.link(), Link::offline);
  EXPECT_THAT(h.reports.back().detail, HasSubstr("timed_out"));
}

TEST(SessionLink, ExpectsAWelcomeFirst) {
  Harness h;
  h.step(Started{});
  h.step(EligibilityKnown{true});
  h.step(Connected{});
  EXPECT_THAT(h.receive(test::some_work()), ElementsAre(Disconnect{}));
  EXPECT_THAT(h.reports.back().detail, HasSubstr("expected welcome"));
}

TEST(SessionLink, ASecondWelcomeIsAMistake) {
  Harness h;
  h.be_ready();
  EXPECT_THAT(h.receive(Harness::welcome()), ElementsAre(Disconnect{}));
}

TEST(SessionLink, MessagesThatDevicesSendAreAMistake) {
  for (const auto& message : test::every_message()) {
    const bool devices_own = std::holds_alternative<wire::Hello>(message) ||
                             std::holds_alternative<wire::Ready>(message) ||
                             std::holds_alternative<wire::Fetch>(message) ||
                             std::holds_alternative<wire::Offer>(message) ||
                             std::holds_alternative<wire::Decline>(message) ||
                             std::holds_alternative<wire::Enroll>(message) ||
                             std::holds_alternative<wire::Renew>(message) ||
                             std::holds_alternative<wire::AdminRequest>(message) ||
                             std::holds_alternative<wire::AdminReply>(message);
    if (!devices_own) continue;
    Harness h;
    h.be_ready();
    EXPECT_THAT(h.receive(message), ElementsAre(Disconnect{})) << name_of(kind_of(message));
  }
}

TEST(SessionLink, EveryMessageInEveryTaskStateIsSurvived) {
  using Prepare = void (Harness::*)();
  for (const Prepare prepare :
       {&Harness::be_ready, &Harness::be_working, &Harness::be_offering, &Harness::be_uploading}) {
    for (const auto& message : test::every_message()) {
      Harness h;
      (h.*prepare)();
      h.receive(message, std::holds_alternative<wire::Chunk>(message) ? 10 : 0);
      EXPECT_TRUE(h.machine.link() == Link::closed || h.machine.next_wakeup() ||
                  h.machine.link() == Link::asking)
          << name_of(kind_of(message)) << " leaves the device asleep for ever";
    }
  }
}

TEST(SessionLink, AnotherProtocolVersionIsFinal) {
  Harness h;
  h.step(Started{});
  h.step(EligibilityKnown{true});
  h.step(Connected{});
  wire::Welcome welcome = Harness::welcome();
  welcome.protocol = 2;
  const auto actions = h.receive(welcome);
  ASSERT_EQ(actions.size(), 2U);
  EXPECT_EQ(actions[0], Action(Disconnect{}));
  EXPECT_EQ(std::get<Finish>(actions[1]).why->code, errc::unsupported_version);
}

// ---- staying alive ----

TEST(SessionLink, PingsWhenItHasSentNothing) {
  Harness h;
  h.be_ready();
  EXPECT_EQ(h.until_wakeup(), Duration(15'000));
  auto actions = h.wake();
  ASSERT_NE(sent_message<wire::Ping>(actions), nullptr);
  EXPECT_EQ(sent_message<wire::Ping>(actions)->number, 1U);
  EXPECT_THAT(h.receive(wire::Pong{1}), IsEmpty());
  actions = h.wake();
  ASSERT_NE(sent_message<wire::Ping>(actions), nullptr);
  EXPECT_EQ(sent_message<wire::Ping>(actions)->number, 2U);
}

TEST(SessionLink, DoesNotPingWhileItTalksAndHears) {
  Harness h;
  h.be_ready();
  for (int i = 0; i < 10; ++i) {
    h.now += Duration(14'000);
    EXPECT_NE(sent_message<wire::Pong>(h.receive(wire::Ping{7})), nullptr);
    EXPECT_THAT(h.step(Tick{}), IsEmpty());
  }
}

TEST(SessionLink, AsksForASignOfTheServerDuringALongUpload) {
  Harness h;
  h.be_uploading();
  int pings = 0;
  for (int second = 0; second < 40; ++second) {
    h.now += Duration(1'000);
    h.step(BodyProgress{static_cast<std::uint64_t>(second)});
    if (sent_message<wire::Ping>(h.step(Tick{})) != nullptr) ++pings;
  }
  EXPECT_GE(pings, 2);
  EXPECT_LE(pings, 3);
}

TEST(SessionLink, GivesUpASilentServer) {
  Harness h;
  h.be_ready();
  int pings = 0;
  for (;;) {
    const auto actions = h.wake();
    if (sent_message<wire::Ping>(actions) == nullptr) {
      EXPECT_THAT(actions, ElementsAre(Disconnect{}));
      break;
    }
    ASSERT_LT(++pings, 10);
  }
  EXPECT_EQ(h.machine.link(), Link::offline);
  EXPECT_THAT(h.reports.back().detail, HasSubstr("no sign of the server"));
}

// ---- pace ----

TEST(SessionLink, StaysForAShortPause) {
  Harness h;
  h.be_ready();
  EXPECT_THAT(h.receive(wire::ComeBack{Duration(2'000), "full"}), IsEmpty());
  EXPECT_EQ(h.machine.task(), Task::sleeping);
  EXPECT_EQ(h.until_wakeup(), Duration(2'000));
  EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
  EXPECT_THAT(h.step(EligibilityKnown{true}), ElementsAre(Harness::sent(wire::Ready{})));
}

TEST(SessionLink, LeavesForALongPause) {
  Harness h;
  h.be_ready();
  const auto actions = h.receive(wire::ComeBack{Duration(600'000), "full"});
  EXPECT_NE(sent_message<wire::Goodbye>(actions), nullptr);
  EXPECT_EQ(actions.back(), Action(Disconnect{}));
  EXPECT_EQ(h.last_state(), State::sleeping);
  EXPECT_GE(h.until_wakeup(), Duration(600'000));
  EXPECT_LE(h.until_wakeup(), Duration(600'000) + Duration(limits::kReconnectFirst));
  EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
}

TEST(SessionLink, IgnoresComeBackWithoutReady) {
  Harness h;
  h.be_working();
  EXPECT_THAT(h.receive(wire::ComeBack{Duration(600'000), ""}), IsEmpty());
  EXPECT_EQ(h.machine.task(), Task::working);
}

TEST(SessionLink, ReturnsWhenAServerThatLeavesSaysSo) {
  Harness h;
  h.be_ready();
  const auto actions = h.receive(wire::Goodbye{"restart", Duration(10'000)});
  EXPECT_EQ(actions.back(), Action(Disconnect{}));
  EXPECT_GE(h.until_wakeup(), Duration(10'000));
}

// ---- errors ----

TEST(SessionLink, PermanentErrorsEndTheRun) {
  for (const errc code : {errc::unauthenticated,
                          errc::certificate_expired,
                          errc::revoked,
                          errc::unsupported_version}) {
    Harness h;
    h.be_ready();
    const auto actions = h.receive(wire::Error{code, "no", Duration(0), true});
    ASSERT_EQ(actions.size(), 2U) << to_string(code);
    EXPECT_EQ(actions[0], Action(Disconnect{}));
    EXPECT_EQ(std::get<Finish>(actions[1]).why->code, code);

    Harness c;
    c.step(Started{});
    c.step(EligibilityKnown{true});
    c.step(Connected{});
    const auto lost = c.lose_connection(code);
    EXPECT_EQ(std::get<Finish>(lost.back()).why->code, code);
  }
}

TEST(SessionLink, AVersionThatIsNotToBeHadAnyMoreEndsItsTaskOnly) {
  for (const errc code : {errc::task_closed, errc::permission_denied}) {
    Harness h;
    h.be_fetching();
    EXPECT_THAT(h.receive(wire::Error{code, "over", Duration(0), false}), IsEmpty());
    EXPECT_EQ(h.machine.link(), Link::online);
    EXPECT_EQ(h.machine.task(), Task::sleeping);
    EXPECT_LE(h.until_wakeup(), Duration(limits::kReconnectFirst));
    h.wake();
    EXPECT_THAT(h.step(EligibilityKnown{true}), ElementsAre(Harness::sent(wire::Ready{})));
    EXPECT_THAT(h.receive(test::some_work()), ElementsAre(LookUpModel{}));

    Harness closed;
    closed.be_fetching();
    EXPECT_THAT(closed.receive(wire::Error{code, "over", Duration(0), true}),
                ElementsAre(Disconnect{}));
    EXPECT_THAT(closed.wake(), ElementsAre(AskEligibility{}));  // on its way back
  }
}

TEST(SessionLink, AnExpiredCertificateOfTheServerIsWaitedFor) {
  Harness h;
  h.step(Started{});
  h.step(EligibilityKnown{true});
  EXPECT_THAT(h.lose_connection(errc::certificate_expired), IsEmpty());
  EXPECT_THAT(h.wake(), ElementsAre(AskEligibility{}));
}

TEST(SessionLink, AForeignServerEndsTheRunOnlyIfTheRightOneNeverAnswered) {
  Harness h;
  h.step(Started{});
  h.step(EligibilityKnown{true});
  EXPECT_EQ(std::get<Finish>(h.lose_connection(errc::unauthenticated).back()).why->code,
            errc::unauthenticated);
  Harness g;
  g.be_ready();
  g.lose_connection();
  g.wake();
  g.step(EligibilityKnown{true});
  EXPECT_THAT(g.lose_connection(errc::unauthenticated), IsEmpty());
  EXPECT_THAT(g.wake(), ElementsAre(AskEligibility{}));
}

TEST(SessionLink, APermanentErrorWaitsForTheTrainer) {
  Harness h;
  h.be_working();
  EXPECT_THAT(h.receive(wire::Error{errc::revoked, "", Duration(0), true}),
              ElementsAre(CancelTask{}, Disconnect{}));
  const auto actions = h.step(TaskFailed{fail(errc::cancelled, "")});
  EXPECT_EQ(std::get<Finish>(actions.back()).why->code, errc::revoked);
}

TEST(SessionLink, OtherErrorsAreTriedAgain) {
  for (const errc code : {errc::busy,
                          errc::shutting_down,
                          errc::timed_out,
                          errc::connection_failed,
                          errc::tls_failed,
                          errc::internal,
                          errc::io_failed}) {
    Harness h;
    h.be_ready();
    EXPECT_THAT(h.receive(wire::Error{code, "", Duration(1'000), true}), ElementsAre(Disconnect{}))
        << to_string(code);
    EXPECT_GE(h.until_wakeup(), Duration(1'000));
    Harness c;
    c.step(Started{});
    c.step(EligibilityKnown{true});
    EXPECT_THAT(c.lose_connection(code), IsEmpty()) << to_string(code);
    EXPECT_THAT(c.wake(), ElementsAre(AskEligibility{}));
  }
}

TEST(SessionLink, AMildErrorToReadyIsAPause) {
  Harness h;
  h.be_ready();
  EXPECT_THAT(h.receive(wire::Error{errc::busy, "", Duration(4'000), false}), IsEmpty());
  EXPECT_EQ(h.machine.task(), Task::sleeping);
  EXPECT_GE(h.until_wakeup(), Duration(4'000));
}

TEST(SessionLink, CountsConnectionsAfterTheFirst) {
  Harness h;
  h.be_ready();
  EXPECT_EQ(h.machine.summary().reconnects, 0U);
  h.lose_connection();
  h.wake();
  h.reconnect();
  EXPECT_EQ(h.machine.summary().reconnects, 1U);
}

TEST(SessionLink, EventsOfAClosedConnectionAreIgnored) {
  Harness h;
  h.be_ready();
  h.lose_connection();
  EXPECT_THAT(h.lose_connection(), IsEmpty());
  EXPECT_THAT(h.receive(test::some_work()), IsEmpty());
  EXPECT_THAT(h.step(Connected{}), IsEmpty());
  EXPECT_THAT(h.step(WorkNotUnderstood{test::some_task(), fail(errc::unsupported_feature, "")}),
              IsEmpty());
  EXPECT_THAT(h.step(BodyProgress{1}), IsEmpty());
  EXPECT_EQ(h.machine.link(), Link::offline);
}

// ---- renewal ----

const std::vector<std::byte> kCsr(8, std::byte{1});

/// Not due for an hour, good for three.
CertificateInUse in_use(const Harness& h) {
  return {h.now + std::chrono::hours(1), h.now + std::chrono::hours(3)};
}

TEST(SessionLink, RenewsItsCertificateWhenItConnects) {
  Harness h;
  h.step(Started{});
  h.step(EligibilityKnown{true});
  EXPECT_THAT(h.step(CertificateInUse{h.now, h.now + Duration(1'000)}), IsEmpty());
  h.step(Connected{});
  EXPECT_THAT(h.receive(Harness::welcome()), ElementsAre(MakeRenewalRequest{}, AskEligibility{}));
  EXPECT_THAT(h.step(RenewalRequestMade{kCsr}), ElementsAre(Harness::sent(wire::Renew{kCsr})));
  const wire::Enrolled enrolled{kCsr, kCsr, "device-1"};
  EXPECT_THAT(h.receive(enrolled), ElementsAre(StoreCertificate{enrolled}));
  EXPECT_THAT(h.receive(enrolled), IsEmpty());  // nobody asked
}

TEST(SessionLink, RenewsItsCertificateWhileItStaysConnected) {
  Harness h;
  h.be_ready();
  const CertificateInUse first = in_use(h);
  EXPECT_THAT(h.step(first), IsEmpty());
  Actions actions;
  while (h.now < first.renew_at) {  // pings and pongs, for an hour
    EXPECT_THAT(h.receive(wire::Pong{1}), IsEmpty());
    actions = h.wake();
    ASSERT_LE(h.now, first.renew_at) << "it is woken at that instant";
    ASSERT_EQ(h.machine.link(), Link::online);
  }
  EXPECT_EQ(actions.back(), Action(MakeRenewalRequest{}));
  EXPECT_THAT(h.step(RenewalRequestMade{kCsr}), ElementsAre(Harness::sent(wire::Renew{kCsr})));
  const wire::Enrolled enrolled{kCsr, kCsr, "device-1"};
  EXPECT_THAT(h.receive(enrolled), ElementsAre(StoreCertificate{enrolled}));
  EXPECT_THAT(h.step(in_use(h)), IsEmpty());
  EXPECT_THAT(h.receive(test::some_work()), ElementsAre(LookUpModel{}));
}

TEST(SessionLink, RenewsBetweenTasksOnly) {
  using Prepare = void (Harness::*)();
  for (const Prepare prepare : {&Harness::be_working, &Harness::be_offering}) {
    for (const bool made_before : {false, true}) {
      Harness h;
      (h.*prepare)();
      EXPECT_THAT(h.step(CertificateInUse{h.now, h.now + std::chrono::hours(1)}), IsEmpty());
      if (made_before) {
        EXPECT_THAT(h.step(RenewalRequestMade{kCsr}), IsEmpty());
      }
      EXPECT_EQ(sent_message<wire::Renew>(h.tick_after(Duration(20'000))), nullptr);
      if (h.machine.task() == Task::working) h.step(TaskFinished{test::some_offer()});
      h.receive(wire::Take{test::some_task(), 0});
      ASSERT_EQ(h.machine.task(), Task::uploading);
      EXPECT_EQ(sent_message<wire::Renew>(h.tick_after(Duration(20'000))), nullptr);
      const Action next =
          made_before ? Action(Harness::sent(wire::Renew{kCsr})) : Action(MakeRenewalRequest{});
      EXPECT_THAT(h.receive(wire::Accepted{test::some_task(), wire::Durability::full}),
                  ElementsAre(StopBody{}, DropUpload{test::some_task()}, next, AskEligibility{}));
    }
  }
}

TEST(SessionLink, AsksForRenewalAgainOnTheNextConnection) {
  Harness h;
  h.be_ready();
  EXPECT_THAT(h.step(RenewalRequestMade{kCsr}), ElementsAre(Harness::sent(wire::Renew{kCsr})));
  h.lose_connection();
  h.wake();
  h.step(EligibilityKnown{true});
  h.step(Connected{});
  EXPECT_NE(sent_message<wire::Renew>(h.receive(Harness::welcome())), nullptr);
}

TEST(SessionLink, ARefusedRenewalIsTriedAgainLaterAndHoldsNothingUp) {
  for (const bool fatal : {false, true}) {
    Harness h;
    h.be_ready();
    const TimePoint end = h.now + std::chrono::hours(8);
    EXPECT_THAT(h.step(CertificateInUse{h.now, end}), ElementsAre(MakeRenewalRequest{}));
    const TimePoint again = h.now + std::chrono::hours(1);
    EXPECT_THAT(h.step(RenewalRequestMade{kCsr}), ElementsAre(Harness::sent(wire::Renew{kCsr})));
    const auto told = h.receive(wire::Error{errc::wrong_state, "off", Duration(0), fatal});
    const Action refused = RenewalRefused{fail(errc::wrong_state, "the server says: off")};
    if (fatal) {
      EXPECT_THAT(told, ElementsAre(refused, Disconnect{}));
      h.wake();
      h.reconnect();  // without asking again
      EXPECT_THAT(h.step(EligibilityKnown{true}), ElementsAre(Harness::sent(wire::Ready{})));
    } else {
      EXPECT_THAT(told, ElementsAre(refused));
    }
    EXPECT_EQ(h.machine.task(), Task::ready);
    Actions actions;
    while (h.now < again) {
      h.receive(wire::Pong{1});
      actions = h.wake();
    }
    EXPECT_EQ(actions.back(), Action(MakeRenewalRequest{}));
  }
}

// ---- all of it, at random ----

TEST(SessionLink, SurvivesRandomHistoriesAndAlwaysGoesOn) {
  const auto messages = test::every_message();
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SessionConfig config;
    config.seed = seed;
    Harness h(config);
    Rng rng(seed);
    h.step(Started{});
    for (int i = 0; i < 400 && h.machine.link() != Link::closed; ++i) {
      switch (rng.below(14)) {
        case 0:
          h.step(EligibilityKnown{rng.below(8) != 0});
          break;
        case 1:
          h.step(Connected{});
          break;
        case 2:
          if (rng.below(3) == 0) h.lose_connection();
          break;
        case 3:
          h.receive(Harness::welcome());
          break;
        case 4:
          h.receive(messages[rng.below(messages.size())], 1);
          break;
        case 5:
          h.receive(test::some_work());
          break;
        case 6:
          h.step(Harness::looked_up(rng.below(2) * 4096));
          break;
        case 7:
          h.receive(wire::Chunk{h.machine.download().there}, 1024);
          break;
        case 8:
          h.step(ModelVerified{});
          break;
        case 9:
          h.step(TaskFinished{test::some_offer()});
          break;
        case 10:
          h.receive(wire::Take{test::some_task(), 0});
          break;
        case 11:
          h.step(CertificateInUse{h.now, h.now + Duration(1'000'000)});
          break;
        case 12:
          h.step(RenewalRequestMade{kCsr});
          break;
        default:
          if (h.machine.next_wakeup()) h.wake();
          break;
      }
      // Either somebody owes us an answer, or there is a time to wake up at.
      const Link link = h.machine.link();
      const Task task = h.machine.task();
      const bool owed = link == Link::asking || link == Link::connecting || task == Task::working ||
                        task == Task::cancelling || task == Task::looking_up ||
                        task == Task::verifying;
      ASSERT_TRUE(link == Link::closed || owed || h.machine.next_wakeup())
          << "seed " << seed << " step " << i << ": " << to_string(link) << "/" << to_string(task);
    }
  }
}

}  // namespace
}  // namespace chorus::client
