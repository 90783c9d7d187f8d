// Reports in parts and what a trainer keeps between tasks, over refusals and restarts.
#include <functional>

#include "common/codec/update.hpp"
#include "tests/unit/client/src/client_fixture.hpp"

namespace chorus::client {
namespace {

awaitable<void> give_control_work(Peer& peer, const Version& version) {
  wire::Work asked = version.work();
  std::get<TrainPlan>(asked.plan).control = ControlVariates::from_gradient;
  wire::Message work(std::move(asked));
  co_await peer.send(std::move(work));
}

/// Reports a control variate beside the difference, and keeps it.
struct Corrected : public AddConstant {
  Result<TaskReport> train(const TrainTask& task, std::span<float> parameters) override {
    auto kept = task.state->load("control");
    if (!kept) return kept.error();
    seen.push_back(kept->value_or(std::vector<float>{-1.0F})[0]);
    if (auto stored = task.state->store("control", std::vector<float>{seen.back() + 2.0F});
        !stored) {
      return stored.error();
    }
    auto report = AddConstant::train(task, parameters);
    report->parts = {{ReportKind::control_delta, {3.0F, 4.0F}}};
    report->epochs = 1.5;
    report->ending = Ending::early_stop;
    report->state_epoch = task.state->epoch();
    return report;
  }
  std::vector<float> seen;
};

// The first update is refused: what that task stored is forgotten. The third task is of another
// process.
TEST_F(ClientTest, LocalStateGoesOnWithWhatWasAccepted) {
  std::vector<wire::Offer> offers;
  std::vector<std::byte> body(version_.update_bytes() + 8);
  const auto task = [&](Peer& peer, bool accepted) -> awaitable<void> {
    co_await give_control_work(peer, version_);
    if (offers.empty()) co_await peer.serve(version_.file, 1U << 20U);
    offers.push_back(co_await take_offer(peer, 0));
    co_await peer.take(body, 0, body.size());
    if (accepted) {
      co_await accept(peer, offers.back().task);
    } else {
      wire::Message refuse(
          wire::Refuse{offers.back().task, errc::task_closed, "late", Duration(0)});
      co_await peer.send(std::move(refuse));
    }
  };
  serve({[&](Peer& peer) -> awaitable<void> {
           co_await peer.greet_ready();
           co_await task(peer, false);
           co_await peer.expect<wire::Ready>();
           co_await task(peer, true);
           co_await until_gone(peer);
         },
         [&](Peer& peer) -> awaitable<void> {
           co_await peer.greet_ready();
           co_await task(peer, true);
           co_await until_gone(peer);
         }});
  Corrected trainer;
  ASSERT_TRUE(make_client()->run(trainer));
  ASSERT_TRUE(make_client()->run(trainer));
  EXPECT_EQ(trainer.seen, (std::vector<float>{-1.0F, -1.0F, 1.0F}));
  ASSERT_EQ(offers.size(), 3U);
  const std::uint64_t epochs[] = {0, 0, 1};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(offers[i].state_epoch, epochs[i]);
    EXPECT_EQ(offers[i].epochs, 1.5);
    EXPECT_EQ(offers[i].ending, Ending::early_stop);
    EXPECT_EQ(offers[i].parts,
              (std::vector<wire::ReportPart>{{ReportKind::delta, version_.parameters.size()},
                                             {ReportKind::control_delta, 2}}));
    EXPECT_EQ(offers[i].bytes, body.size());
  }
  EXPECT_EQ(offers[2].digest, body_digest(body));
  float last = 0.0F;
  std::memcpy(&last, body.data() + body.size() - 4, 4);
  EXPECT_EQ(last, 4.0F);
  body.resize(version_.update_bytes());
  expect_update(body, 0.5F);
  EXPECT_FALSE(std::filesystem::exists(state_ / "kept" / "next"));
}

// Killed after the offer was made durable: the state beside it counts when the repeated offer is
// accepted.
TEST_F(ClientTest, LocalStateSurvivesARestartBeforeTheAnswer) {
  std::vector<std::byte> body(version_.update_bytes() + 8);
  Corrected trainer;
  std::unique_ptr<Client> client;
  serve({[&](Peer& peer) -> awaitable<void> {
           co_await peer.greet_ready();
           co_await give_control_work(peer, version_);
           co_await peer.serve(version_.file, 1U << 20U);
           co_await peer.expect<wire::Offer>();
           client->stop();
           co_await until_gone(peer);
         },
         [&](Peer& peer) -> awaitable<void> {
           co_await peer.greet();
           const auto offer = co_await take_offer(peer, 0);
           co_await peer.take(body, 0, body.size());
           co_await accept(peer, offer.task);
           co_await until_gone(peer);
         }});
  client = make_client();
  ASSERT_TRUE(client->run(trainer));
  client.reset();
  EXPECT_TRUE(std::filesystem::exists(state_ / "kept" / "next"));
  EXPECT_FALSE(std::filesystem::exists(state_ / "kept" / (kTask.job.value + ".state")));
  ASSERT_TRUE(make_client()->run(trainer));
  EXPECT_FALSE(std::filesystem::exists(state_ / "kept" / "next"));
  EXPECT_TRUE(std::filesystem::exists(state_ / "kept" / (kTask.job.value + ".state")));
  EXPECT_EQ(trainer.trained, 1);
}

class ClientDeclines : public ClientTest {
 protected:
  /// What it says to a plan, without training.
  wire::Decline answer_to(const std::function<void(TrainPlan&)>& change) {
    wire::Decline decline;
    serve({[&](Peer& peer) -> awaitable<void> {
      co_await peer.greet_ready();
      wire::Work asked = version_.work();
      change(std::get<TrainPlan>(asked.plan));
      wire::Message work(std::move(asked));
      co_await peer.send(std::move(work));
      co_await peer.serve(version_.file, 1U << 20U);
      decline = co_await peer.expect<wire::Decline>();
      wire::Message error(wire::Error{errc::revoked, "enough", Duration(0), true});
      co_await peer.send(std::move(error));
      co_await until_gone(peer);
    }});
    AddConstant trainer;
    EXPECT_EQ(make_client()->run(trainer).error().code, errc::revoked);
    EXPECT_EQ(trainer.trained, 0);
    return decline;
  }
};

TEST_F(ClientDeclines, ToCompressAReportOfSeveralParts) {
  const auto decline = answer_to([](TrainPlan& plan) {
    plan.probe.losses = true;
    plan.compression.emplace();
  });
  EXPECT_EQ(decline.code, errc::unsupported_feature);
}

// After its death it could not tell which of them were accepted.
TEST_F(ClientDeclines, ToSendDifferencesWithoutKeepingItsUploads) {
  durable_ = false;
  const auto decline = answer_to([](TrainPlan& plan) {
    plan.compression = Compression{
        .codec = {.kind = CodecKind::top_k}, .feedback = Feedback::difference, .since = 1};
  });
  EXPECT_EQ(decline.code, errc::unsupported_feature);
  EXPECT_NE(decline.detail.find("durable_upload"), std::string::npos) << decline.detail;
}

// Half of the elements travel; the other half comes with the next update, from another process and
// three rounds later: the device was in no cohort meanwhile. Then the memory is damaged.
TEST_F(ClientTest, ErrorFeedbackGoesOnInAnotherProcessAndBeginsAnewWhenItIsLost) {
  wire::Work asked = version_.work();
  auto& plan = std::get<TrainPlan>(asked.plan);
  plan.compression =
      Compression{.codec = {.kind = CodecKind::top_k, .density = 0.5}, .feedback = Feedback::error};
  const auto form = codec::UpdateForm::of(plan, version_.layout).value();
  std::vector<wire::Offer> offers;
  std::vector<std::vector<float>> updates;
  const auto task = [&](Peer& peer) -> awaitable<void> {
    co_await peer.greet_ready();
    asked.task.round = RoundId{1 + 3 * offers.size()};
    wire::Message work(asked);
    co_await peer.send(std::move(work));
    if (offers.empty()) co_await peer.serve(version_.file, 1U << 20U);
    offers.push_back(co_await take_offer(peer, 0));
    std::vector<std::byte> body(offers.back().bytes);
    co_await peer.take(body, 0, body.size());
    auto& update = updates.emplace_back(version_.parameters.size());
    EXPECT_TRUE(codec::decode_update(form, body, 10.0F, update));
    co_await accept(peer, offers.back().task);
    co_await until_gone(peer);
  };
  serve({task, task, task});
  AddConstant trainer;
  ASSERT_TRUE(make_client()->run(trainer));
  ASSERT_TRUE(make_client()->run(trainer));
  const auto kept = state_ / "kept" / (kTask.job.value + ".state");
  ASSERT_TRUE(std::filesystem::exists(kept));
  std::filesystem::resize_file(kept, 40);
  ASSERT_TRUE(make_client()->run(trainer));

  ASSERT_EQ(updates.size(), 3U);
  std::size_t left_out = 0;
  for (std::size_t i = 0; i < updates[0].size(); ++i) {
    if (updates[0][i] != 0.0F) {
      ASSERT_NEAR(updates[0][i], 0.5F, 1e-6F) << i;
      continue;
    }
    ++left_out;
    ASSERT_NEAR(updates[1][i], 1.0F, 1e-6F) << "with what was left out, " << i;
  }
  EXPECT_EQ(left_out, updates[0].size() / 2);
  EXPECT_EQ(updates[2], updates[0]) << "as if it were the first";
  EXPECT_EQ(offers[0].state_epoch, 0U);
  EXPECT_EQ(offers[1].state_epoch, 1U);
  EXPECT_EQ(offers[2].state_epoch, 0U) << "it says that its memory is gone";
}

}  // namespace
}  // namespace chorus::client
