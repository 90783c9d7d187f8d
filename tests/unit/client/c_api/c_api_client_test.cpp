// Enrolment and a whole run, in C, against a scripted server.
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "chorus/chorus.h"
#include "tests/unit/client/src/client_fixture.hpp"

namespace chorus::client {
namespace {

using ::testing::HasSubstr;

chorus_status add_half(const chorus_task* task,
                       float* parameters,
                       std::uint64_t count,
                       chorus_report* report,
                       void* context) {
  ++*static_cast<int*>(context);
  for (std::uint64_t i = 0; i < count; ++i) parameters[i] += 0.5F;
  chorus_report_steps(report, chorus_task_round(task));
  chorus_report_metric(report, "loss", 0.25);
  return chorus_report_examples(report, 12);
}

chorus_status measure(
    const chorus_task*, const float* parameters, std::uint64_t, chorus_report* report, void*) {
  chorus_report_metric(report, "first", static_cast<double>(parameters[1]));
  return chorus_report_examples(report, 5);
}

class CClient : public ClientTest {
 protected:
  void SetUp() override {
    callbacks_.size = sizeof callbacks_;
    callbacks_.train = add_half;
    callbacks_.evaluate = measure;
    callbacks_.context = &trained_;
    ASSERT_EQ(chorus_trainer_create(&callbacks_, &trainer_), CHORUS_OK);
  }
  void TearDown() override {
    chorus_client_destroy(&client_);
    chorus_trainer_destroy(&trainer_);
    ClientTest::TearDown();
  }
  chorus_client_options options() {
    chorus_client_options options{};
    options.size = sizeof options;
    folder_text_ = state_.string();
    options.state = folder_text_.c_str();
    return options;
  }
  void expect_refused(const chorus_client_options& options, const std::string& text) {
    EXPECT_EQ(chorus_client_create(&options, &client_), CHORUS_INVALID_ARGUMENT);
    EXPECT_THAT(chorus_last_error(), HasSubstr(text));
    EXPECT_EQ(client_, nullptr);
  }

  int trained_ = 0;
  std::string folder_text_;
  chorus_trainer_callbacks callbacks_{};
  chorus_trainer* trainer_ = nullptr;
  chorus_client* client_ = nullptr;
};

TEST_F(CClient, TrainsAndUploads) {
  std::vector<std::byte> body(version_.update_bytes());
  wire::Hello hello;
  serve({[&](Peer& peer) -> awaitable<void> {
    hello = co_await peer.greet();
    co_await peer.expect<wire::Ready>();
    co_await give_work(peer, version_);
    EXPECT_EQ(co_await peer.serve(version_.file, 1U << 20U), 0U);
    const auto offer = co_await take_offer(peer, 0);
    EXPECT_EQ(offer.examples, Examples{12});
    EXPECT_EQ(offer.steps, 1U);
    EXPECT_EQ(offer.metrics, (std::vector<Metric>{{"loss", 0.25}}));
    co_await peer.take(body, 0, body.size());
    co_await accept(peer, offer.task);
    co_await until_gone(peer);
  }});
  struct Told {
    std::vector<std::string> states;
    int asked = 0;
  } told;
  auto with = options();
  const char* const jobs[] = {"digits", "words"};
  with.jobs = jobs;
  with.job_count = 2;
  with.software = "c-test";
  with.tasks_max = 1;
  with.flags = CHORUS_CLIENT_UPLOAD_IN_MEMORY | CHORUS_CLIENT_NO_VERSION_CACHE;
  with.context = &told;
  with.eligible = [](void* context) { return ++static_cast<Told*>(context)->asked > 0; };
  with.on_progress = [](const chorus_progress* now, void* context) {
    static_cast<Told*>(context)->states.emplace_back(chorus_state_name(now->state));
    EXPECT_NE(now->job, nullptr);
    EXPECT_NE(now->detail, nullptr);
  };
  ASSERT_EQ(chorus_client_create(&with, &client_), CHORUS_OK) << chorus_last_error();
  chorus_run_summary summary{};
  summary.size = sizeof summary;
  ASSERT_EQ(chorus_client_run(client_, trainer_, &summary), CHORUS_OK) << chorus_last_error();
  expect_update(body, 0.5F);
  EXPECT_EQ(trained_, 1);
  EXPECT_EQ(summary.size, sizeof summary);
  EXPECT_EQ(summary.accepted, 1U);
  EXPECT_GT(summary.bytes_sent, version_.update_bytes());
  EXPECT_GT(summary.bytes_received, version_.file.size());
  EXPECT_EQ(hello.software, "c-test");
  EXPECT_GT(told.asked, 0);
  for (const char* state : {"connecting", "downloading", "training", "uploading", "stopped"}) {
    EXPECT_THAT(told.states, ::testing::Contains(state));
  }
  EXPECT_FALSE(std::filesystem::exists(state_ / "upload.offer"));
}

TEST_F(CClient, AFailureOfTheRunHasItsStatusAndText) {
  serve({[&](Peer& peer) -> awaitable<void> {
    co_await peer.greet_ready();
    wire::Message error(wire::Error{errc::revoked, "shut out", Duration(0), true});
    co_await peer.send(std::move(error));
    co_await until_gone(peer);
  }});
  const auto with = options();
  ASSERT_EQ(chorus_client_create(&with, &client_), CHORUS_OK) << chorus_last_error();
  EXPECT_EQ(chorus_client_run(client_, trainer_, nullptr), CHORUS_REVOKED);
  EXPECT_THAT(chorus_last_error(), HasSubstr("shut out"));
}

TEST_F(CClient, StopsFromAnotherThreadAndWhenClosed) {
  for (const bool closed : {false, true}) {
    std::promise<void> greeted;
    serve({[&](Peer& peer) -> awaitable<void> {
      co_await peer.greet_ready();
      greeted.set_value();
      co_await until_gone(peer);
    }});
    auto with = options();
    const std::string address = server_->address();
    with.server = address.c_str();
    ASSERT_EQ(chorus_client_create(&with, &client_), CHORUS_OK) << chorus_last_error();
    chorus_client* const running = client_;
    std::thread runs([&] { EXPECT_EQ(chorus_client_run(running, trainer_, nullptr), CHORUS_OK); });
    greeted.get_future().wait();
    if (!closed) {
      EXPECT_EQ(chorus_client_stop(client_), CHORUS_OK);
      runs.join();
    }
    chorus_client_destroy(&client_);
    EXPECT_EQ(client_, nullptr);
    if (closed) runs.join();
  }
}

TEST_F(CClient, OptionsAreChecked) {
  auto with = options();
  with.size = sizeof(void*);
  expect_refused(with, "chorus_client_options.size is 8; expected sizeof(chorus_client_options)");
  with = options();
  with.state = nullptr;
  expect_refused(with, "state is empty");
  with = options();
  with.job_count = 1;
  expect_refused(with, "'chorus_client_options.jobs' is null");
  const char* const hole[] = {nullptr};
  with.jobs = hole;
  expect_refused(with, "'chorus_client_options.jobs[i]' is null");
  with = options();
  with.flags = 4;
  expect_refused(with, "chorus_client_options.flags is 4");
  with = options();
  with.eligibility_interval = static_cast<std::uint64_t>(-1);
  expect_refused(with, "eligibility_interval is 18446744073709551615 ms");

  with = options();
  EXPECT_EQ(chorus_client_create(&with, &client_), CHORUS_NOT_FOUND);
  EXPECT_THAT(chorus_last_error(), HasSubstr("enrol"));
}

TEST_F(CClient, EnrolmentIsChecked) {
  char name[CHORUS_NAME_SIZE] = "";
  chorus_enroll_options with{};
  EXPECT_EQ(chorus_enroll(&with, name, sizeof name), CHORUS_INVALID_ARGUMENT);
  with.size = sizeof with;
  EXPECT_EQ(chorus_enroll(&with, name, sizeof name), CHORUS_INVALID_ARGUMENT);
  EXPECT_THAT(chorus_last_error(), HasSubstr("'chorus_enroll_options.token' is null"));
  with.token = "chorus-join-1.x";
  EXPECT_EQ(chorus_enroll(&with, name, sizeof name), CHORUS_INVALID_ARGUMENT);
  EXPECT_THAT(chorus_last_error(), HasSubstr("'chorus_enroll_options.state' is null"));
  const std::string folder = state_.string();
  with.state = folder.c_str();
  EXPECT_EQ(chorus_enroll(&with, name, CHORUS_NAME_SIZE - 1), CHORUS_INVALID_ARGUMENT);
  EXPECT_THAT(chorus_last_error(), HasSubstr("name_size is 63; expected at least 64"));
  EXPECT_NE(chorus_enroll(&with, name, sizeof name), CHORUS_OK);
  EXPECT_STRNE(chorus_last_error(), "");
  EXPECT_STREQ(name, "");
}

}  // namespace
}  // namespace chorus::client
