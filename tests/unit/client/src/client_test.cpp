// A whole Client against a scripted server over TLS: transfers, interruptions, refusals.
#include "common/base/files.hpp"
#include "tests/unit/client/src/client_fixture.hpp"

namespace chorus::client {
namespace {

using ::testing::HasSubstr;

TEST_F(ClientTest, DownloadsTrainsAndUploads) {
  for (const bool in_memory : {false, true}) {
    durable_ = !in_memory;
    cached_ = !in_memory;
    std::filesystem::remove_all(state_);
    std::vector<std::byte> body(version_.update_bytes());
    wire::Offer offer;
    serve({[&](Peer& peer) -> awaitable<void> {
      co_await peer.greet_ready();
      co_await give_work(peer, version_);
      EXPECT_EQ(co_await peer.serve(version_.file, 1U << 20U), 0U);
      offer = co_await take_offer(peer, 0);
      co_await peer.take(body, 0, body.size());
      co_await accept(peer, offer.task);
      co_await until_gone(peer);
    }});
    AddConstant trainer;
    const auto summary = make_client()->run(trainer);
    ASSERT_TRUE(summary) << summary.error().to_string();
    EXPECT_EQ(summary->accepted, 1U);
    EXPECT_EQ(summary->reconnects, 0U);
    EXPECT_GT(summary->bytes_sent, version_.update_bytes());
    EXPECT_GT(summary->bytes_received, version_.file.size());
    EXPECT_EQ(offer.task, kTask);
    EXPECT_EQ(offer.bytes, version_.update_bytes());
    EXPECT_EQ(offer.base, version_.digest);
    EXPECT_EQ(offer.examples, Examples{12});
    EXPECT_EQ(offer.steps, 3U);
    EXPECT_EQ(offer.metrics, (std::vector<Metric>{{"loss", 0.25}}));
    EXPECT_EQ(offer.digest, body_digest(body));
    expect_update(body, 0.5F);
    EXPECT_FALSE(std::filesystem::exists(state_ / "upload.offer"));
    EXPECT_FALSE(std::filesystem::exists(state_ / "upload.body"));
  }
}

TEST_F(ClientTest, EvaluatesAndUsesACachedVersionAfterARestart) {
  const auto evaluate = [&](Peer& peer, bool fetches) -> awaitable<void> {
    co_await peer.greet_ready();
    wire::Message work(version_.work(TaskKind::evaluate));
    co_await peer.send(std::move(work));
    if (fetches) co_await peer.serve(version_.file, 100'000);
    const auto offer = co_await peer.expect<wire::Offer>();
    EXPECT_EQ(offer.bytes, 0U);
    EXPECT_EQ(offer.examples, Examples{5});
    EXPECT_NEAR(offer.metrics.at(0).value, 0.001, 1e-6);
    co_await accept(peer, offer.task);
    co_await peer.expect<wire::Ready>();
    wire::Message error(wire::Error{errc::revoked, "enough", Duration(0), true});
    co_await peer.send(std::move(error));
    co_await until_gone(peer);
  };
  serve({[&](Peer& peer) { return evaluate(peer, true); },
         [&](Peer& peer) { return evaluate(peer, false); }});
  AddConstant trainer;
  for (int run = 0; run < 2; ++run) {
    const auto summary = make_client()->run(trainer);
    ASSERT_FALSE(summary);
    EXPECT_EQ(summary.error().code, errc::revoked);
  }
  EXPECT_EQ(trainer.evaluated, 2);
}

TEST_F(ClientTest, ADamagedCachedVersionIsDownloadedAgain) {
  const auto script = [&](Peer& peer) -> awaitable<void> {
    co_await peer.greet_ready();
    co_await give_work(peer, version_);
    EXPECT_EQ(co_await peer.serve(version_.file, 1U << 20U), 0U);
    std::vector<std::byte> body(version_.update_bytes());
    const auto offer = co_await take_offer(peer, 0);
    co_await peer.take(body, 0, body.size());
    co_await accept(peer, offer.task);
    co_await until_gone(peer);
  };
  serve({script, script});
  AddConstant trainer;
  ASSERT_TRUE(make_client()->run(trainer));
  const auto path = state_ / "versions" / (hex(version_.digest) + ".safetensors");
  ASSERT_TRUE(std::filesystem::exists(path));
  auto bytes = version_.file;
  bytes[bytes.size() / 2] ^= std::byte{1};
  ASSERT_TRUE(write_durably(path, std::span<const std::byte>(bytes)));
  ASSERT_TRUE(make_client()->run(trainer));
}

TEST_F(ClientTest, ResumesAnInterruptedDownload) {
  for (const bool cached : {true, false}) {
    cached_ = cached;
    std::filesystem::remove_all(state_);
    std::vector<std::byte> body(version_.update_bytes());
    std::atomic<std::uint64_t> resumed_at{0};
    serve({[&](Peer& peer) -> awaitable<void> {
             co_await peer.greet_ready();
             co_await give_work(peer, version_);
             co_await peer.serve(version_.file, 100'000, 1'000'000);
           },
           [&](Peer& peer) -> awaitable<void> {
             co_await peer.greet_ready();
             co_await give_work(peer, version_);
             resumed_at = co_await peer.serve(version_.file, 100'000);
             const auto offer = co_await take_offer(peer, 0);
             co_await peer.take(body, 0, body.size());
             co_await accept(peer, offer.task);
             co_await until_gone(peer);
           }});
    AddConstant trainer;
    const auto summary = make_client()->run(trainer);
    ASSERT_TRUE(summary) << summary.error().to_string();
    EXPECT_EQ(summary->reconnects, 1U);
    EXPECT_GT(resumed_at, 0U);
    EXPECT_LE(resumed_at, 1'000'000U);
    EXPECT_EQ(resumed_at % 100'000, 0U);
    expect_update(body, 0.5F);
  }
}

TEST_F(ClientTest, ResumesAnInterruptedUpload) {
  std::vector<std::byte> body(version_.update_bytes());
  serve({[&](Peer& peer) -> awaitable<void> {
           co_await peer.greet_ready();
           co_await give_work(peer, version_);
           co_await peer.serve(version_.file, 1U << 20U);
           co_await take_offer(peer, 0);
           co_await peer.take(body, 0, 1U << 20U);
         },
         [&](Peer& peer) -> awaitable<void> {
           co_await peer.greet();  // no Ready: it has something to deliver
           const auto offer = co_await take_offer(peer, 1U << 20U);
           co_await peer.take(body, 1U << 20U, body.size());
           EXPECT_EQ(offer.digest, body_digest(body));
           co_await accept(peer, offer.task);
           co_await until_gone(peer);
         }});
  AddConstant trainer;
  const auto summary = make_client()->run(trainer);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(trainer.trained, 1);
  EXPECT_EQ(summary->accepted, 1U);
  expect_update(body, 0.5F);
}

TEST_F(ClientTest, OffersAnUnfinishedUploadAfterARestartOfTheProcess) {
  std::vector<std::byte> body(version_.update_bytes());
  std::promise<void> uploading;
  serve({[&](Peer& peer) -> awaitable<void> {
           co_await peer.greet_ready();
           co_await give_work(peer, version_);
           co_await peer.serve(version_.file, 1U << 20U);
           co_await take_offer(peer, 0);
           co_await peer.take(body, 0, 1U << 20U);
           uploading.set_value();
           co_await until_gone(peer);
         },
         [&](Peer& peer) -> awaitable<void> {
           co_await peer.greet();
           const auto offer = co_await take_offer(peer, 1U << 20U);
           co_await peer.take(body, 1U << 20U, body.size());
           EXPECT_EQ(offer.digest, body_digest(body));
           EXPECT_EQ(offer.base, version_.digest);
           co_await accept(peer, offer.task);
           co_await until_gone(peer);
         }});
  AddConstant trainer;
  {
    const auto client = make_client();
    std::thread stopper([&] {
      uploading.get_future().wait();
      client->stop();
    });
    const auto summary = client->run(trainer);
    stopper.join();
    ASSERT_TRUE(summary) << summary.error().to_string();
    EXPECT_EQ(summary->accepted, 0U);
  }
  EXPECT_TRUE(std::filesystem::exists(state_ / "upload.offer"));
  const auto summary = make_client()->run(trainer);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->accepted, 1U);
  EXPECT_EQ(trainer.trained, 1);
  expect_update(body, 0.5F);
  EXPECT_FALSE(std::filesystem::exists(state_ / "upload.offer"));
}

/// Trains until it is told to go on, or cancelled.
class Waiting : public AddConstant {
 public:
  Result<TaskReport> train(const TrainTask& task, std::span<float> parameters) override {
    started.set_value();
    while (!go_on && !task.cancel->cancelled()) std::this_thread::yield();
    if (task.cancel->cancelled()) return fail(errc::cancelled, "told to stop");
    return AddConstant::train(task, parameters);
  }
  std::promise<void> started;
  std::atomic<bool> go_on{false};
};

TEST_F(ClientTest, TrainsOnWhileItReconnects) {
  std::vector<std::byte> body(version_.update_bytes());
  Waiting trainer;
  auto started = trainer.started.get_future().share();
  serve({[&](Peer& peer) -> awaitable<void> {
           co_await peer.greet_ready();
           co_await give_work(peer, version_);
           co_await peer.serve(version_.file, 1U << 20U);
           started.wait();  // then the connection is closed
         },
         [&](Peer& peer) -> awaitable<void> {
           co_await peer.greet();
           trainer.go_on = true;
           const auto offer = co_await take_offer(peer, 0);
           co_await peer.take(body, 0, body.size());
           co_await accept(peer, offer.task);
           co_await until_gone(peer);
         }});
  const auto summary = make_client()->run(trainer);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->accepted, 1U);
  expect_update(body, 0.5F);
}

TEST_F(ClientTest, StopsTrainingWhenTheServerCancels) {
  Waiting trainer;
  auto started = trainer.started.get_future().share();
  serve({[&](Peer& peer) -> awaitable<void> {
    co_await peer.greet_ready();
    co_await give_work(peer, version_);
    co_await peer.serve(version_.file, 1U << 20U);
    started.wait();
    wire::Message cancel(wire::Cancel{kTask, "aborted"});
    co_await peer.send(std::move(cancel));
    co_await peer.expect<wire::Ready>();
    wire::Message error(wire::Error{errc::revoked, "enough", Duration(0), true});
    co_await peer.send(std::move(error));
    co_await until_gone(peer);
  }});
  EXPECT_EQ(make_client()->run(trainer).error().code, errc::revoked);
}

TEST_F(ClientTest, StopEndsTraining) {
  Waiting trainer;
  serve({[&](Peer& peer) -> awaitable<void> {
    co_await peer.greet_ready();
    co_await give_work(peer, version_);
    co_await peer.serve(version_.file, 1U << 20U);
    co_await peer.expect<wire::Goodbye>();
  }});
  const auto client = make_client();
  std::thread stopper([&] {
    trainer.started.get_future().wait();
    client->stop();
  });
  const auto summary = client->run(trainer);
  stopper.join();
  ASSERT_TRUE(summary) << summary.error().to_string();
}

TEST_F(ClientTest, ARefusedUpdateIsDroppedAndTheDeviceIsFreeAgain) {
  serve({[&](Peer& peer) -> awaitable<void> {
    co_await peer.greet_ready();
    co_await give_work(peer, version_);
    co_await peer.serve(version_.file, 1U << 20U);
    co_await peer.expect<wire::Offer>();
    wire::Message refuse(wire::Refuse{kTask, errc::task_closed, "too late", Duration(0)});
    co_await peer.send(std::move(refuse));
    co_await peer.expect<wire::Ready>();
    wire::Message goodbye(wire::Goodbye{"", Duration(3'600'000)});
    co_await peer.send(std::move(goodbye));
    co_await until_gone(peer);
  }});
  AddConstant trainer;
  ClientOptions options;
  options.state = state_;
  std::atomic<bool> sleeping{false};
  Client* running = nullptr;
  options.on_progress = [&](const Progress& progress) {
    if (progress.state != State::sleeping) return;
    sleeping = true;
    running->stop();
  };
  auto client = Client::create(std::move(options)).value();
  running = client.get();
  const auto summary = client->run(trainer);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_TRUE(sleeping);
  EXPECT_EQ(summary->discarded, 1U);
  EXPECT_EQ(summary->accepted, 0U);
  EXPECT_FALSE(std::filesystem::exists(state_ / "upload.offer"));
}

/// What a trainer may do wrong, and what the server hears of it.
struct Wrong : public AddConstant {
  using Train = Result<TaskReport> (*)(std::span<float>);
  explicit Wrong(Train t) : train_now(t) {}
  Result<TaskReport> train(const TrainTask&, std::span<float> parameters) override {
    return train_now(parameters);
  }
  Train train_now;
};

TEST_F(ClientTest, DeclinesWhatTheTrainerCannotDo) {
  struct Case {
    Wrong::Train train;
    errc code;
    std::string words;
  };
  const std::vector<Case> cases{
      {[](std::span<float>) -> Result<TaskReport> {
         return fail(errc::unsupported_feature, "no dense layers here");
       },
       errc::unsupported_feature,
       "no dense"},
      {[](std::span<float> p) -> Result<TaskReport> {
         p.back() = std::nanf("");
         return TaskReport{1, 1, {}};
       },
       errc::not_finite,
       "NaN"},
      {[](std::span<float> p) -> Result<TaskReport> {
         p[3] = std::numeric_limits<float>::infinity();
         return TaskReport{1, 1, {}};
       },
       errc::not_finite,
       "infinity"},
      {[](std::span<float>) -> Result<TaskReport> {
         return TaskReport{0, 1, {}};
       },
       errc::weight_out_of_range,
       "0 examples"},
      {[](std::span<float>) -> Result<TaskReport> {
         return TaskReport{1, 1, {{"Loss", 1.0}}};
       },
       errc::invalid_argument,
       "Loss"},
      {[](std::span<float>) -> Result<TaskReport> {
         return TaskReport{1, 1, {{"loss", std::nan("")}}};
       },
       errc::not_finite,
       "loss"},
      {[](std::span<float>) -> Result<TaskReport> {
         return TaskReport{1, 1, std::vector<Metric>(33, Metric{"m", 0.0})};
       },
       errc::invalid_argument,
       "33 metrics"},
      {[](std::span<float>) -> Result<TaskReport> {
         TaskReport report{1, 1};
         report.delta = false;
         return report;
       },
       errc::invalid_argument,
       "no part"},
      {[](std::span<float>) -> Result<TaskReport> {
         TaskReport report{1, 1};
         report.parts = {{ReportKind::scalars, {}}};
         return report;
       },
       errc::invalid_argument,
       "without numbers"},
      {[](std::span<float>) -> Result<TaskReport> {
         TaskReport report{1, 1};
         report.parts.resize(17, {ReportKind::scalars, {1.0F}});
         return report;
       },
       errc::invalid_argument,
       "17 parts"},
      {[](std::span<float>) -> Result<TaskReport> {
         TaskReport report{1, 1};
         report.parts = {{ReportKind::scalars, {1.0F}}};
         return report;
       },
       errc::unsupported_feature,
       "other parts than the plan asks for"},
      {[](std::span<float>) -> Result<TaskReport> { throw std::runtime_error("boom"); },
       errc::internal,
       "boom"}};
  for (const Case& wrong : cases) {
    wire::Decline decline;
    serve({[&](Peer& peer) -> awaitable<void> {
      co_await peer.greet_ready();
      co_await give_work(peer, version_);
      wire::Message next = co_await peer.receive();
      if (const auto* fetch = std::get_if<wire::Fetch>(&next)) {
        EXPECT_EQ(fetch->offset, 0U);
        std::size_t at = 0;
        while (at < version_.file.size()) {
          const auto part =
              std::span<const std::byte>(version_.file)
                  .subspan(at, std::min<std::size_t>(1U << 20U, version_.file.size() - at));
          wire::Message chunk(wire::Chunk{at});
          co_await peer.send(std::move(chunk), part);
          at += part.size();
        }
        next = co_await peer.receive();
      }
      decline = std::get<wire::Decline>(next);
      wire::Message error(wire::Error{errc::revoked, "enough", Duration(0), true});
      co_await peer.send(std::move(error));
      co_await until_gone(peer);
    }});
    Wrong trainer(wrong.train);
    EXPECT_EQ(make_client()->run(trainer).error().code, errc::revoked);
    EXPECT_EQ(decline.code, wrong.code) << wrong.words;
    EXPECT_THAT(decline.detail, HasSubstr(wrong.words));
    EXPECT_EQ(decline.task, kTask);
  }
}

// Work with a required feature, made of bytes: a second `train` field merges into the first.
awaitable<void> send_future_work(Peer& peer, const Version& version) {
  auto frame = wire::encode(version.work()).value();
  const std::array<std::byte, 7> more{std::byte{0x22},
                                      std::byte{5},
                                      std::byte{0x32},
                                      std::byte{3},
                                      std::byte{'n'},
                                      std::byte{'e'},
                                      std::byte{'w'}};
  frame.insert(frame.end(), more.begin(), more.end());
  const auto header = wire::encode_header(
      {wire::FrameKind::work, static_cast<std::uint32_t>(frame.size() - wire::kHeaderBytes), 0});
  std::copy(header.begin(), header.end(), frame.begin());
  const net::Stream::Bytes bytes(frame);
  EXPECT_TRUE(co_await peer.frames().stream().write_all(bytes));
}

TEST_F(ClientTest, DeclinesWorkOfTheFutureAndStaysConnected) {
  wire::Decline decline;
  serve({[&](Peer& peer) -> awaitable<void> {
    co_await peer.greet_ready();
    co_await send_future_work(peer, version_);
    decline = co_await peer.expect<wire::Decline>();
    co_await peer.expect<wire::Ready>();
    wire::Message error(wire::Error{errc::revoked, "enough", Duration(0), true});
    co_await peer.send(std::move(error));
    co_await until_gone(peer);
  }});
  AddConstant trainer;
  EXPECT_EQ(make_client()->run(trainer).error().code, errc::revoked);
  EXPECT_EQ(decline.task, kTask);
  EXPECT_EQ(decline.code, errc::unsupported_feature);
  EXPECT_THAT(decline.detail, HasSubstr("'new'"));
}

TEST_F(ClientTest, DeclinesAVersionThatIsNotWhatItsWorkSays) {
  Version other(1000, 700);
  other.file[other.file.size() - 1] ^= std::byte{1};
  wire::Decline decline;
  serve({[&](Peer& peer) -> awaitable<void> {
    co_await peer.greet_ready();
    co_await give_work(peer, version_);
    EXPECT_EQ(co_await peer.serve(other.file, 1U << 20U), 0U);
    EXPECT_EQ(co_await peer.serve(other.file, 1U << 20U), 0U);  // once more, from the beginning
    decline = co_await peer.expect<wire::Decline>();
    wire::Message error(wire::Error{errc::revoked, "enough", Duration(0), true});
    co_await peer.send(std::move(error));
    co_await until_gone(peer);
  }});
  AddConstant trainer;
  EXPECT_EQ(make_client()->run(trainer).error().code, errc::revoked);
  EXPECT_EQ(decline.code, errc::digest_mismatch);
  EXPECT_EQ(trainer.trained, 0);
}

TEST_F(ClientTest, ARunThatWasStoppedBeforeItBeganEndsAtOnce) {
  serve({});
  const auto client = make_client();
  client->stop();
  client->stop();
  AddConstant trainer;
  EXPECT_TRUE(client->run(trainer));
}

TEST_F(ClientTest, StopEndsAWaitForAServerThatIsNotThere) {
  serve({});
  ClientOptions options;
  options.server = "127.0.0.1:1";
  options.state = state_;
  Client* running = nullptr;
  int attempts = 0;
  std::string why;
  options.on_progress = [&](const Progress& progress) {
    if (progress.detail.empty() || ++attempts < 2) return;
    if (why.empty()) why = progress.detail;
    running->stop();
  };
  auto client = Client::create(std::move(options)).value();
  running = client.get();
  AddConstant trainer;
  EXPECT_TRUE(client->run(trainer));
  EXPECT_THAT(why, HasSubstr("connection_failed"));
}

TEST_F(ClientTest, RefusesAServerOfAnotherFederation) {
  serve({});
  const test::FakeFederation foreign;
  test::FakeServer impostor(foreign, {[](Peer& peer) { return until_gone(peer); }});
  ClientOptions options;
  options.server = impostor.address();
  options.state = state_;
  auto client = Client::create(std::move(options)).value();
  AddConstant trainer;
  const auto summary = client->run(trainer);
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().code, errc::unauthenticated) << summary.error().detail;
}

TEST_F(ClientTest, GoesOnWhenItsVersionIsNotToBeHadAnyMore) {
  serve({[&](Peer& peer) -> awaitable<void> {
    co_await peer.greet_ready();
    co_await give_work(peer, version_);
    co_await peer.expect<wire::Fetch>();
    wire::Message error(wire::Error{errc::task_closed, "the task is over", Duration(0), false});
    co_await peer.send(std::move(error));
    co_await peer.expect<wire::Ready>();
    co_await give_work(peer, version_);
    co_await peer.serve(version_.file, 1U << 20U);
    const auto offer = co_await take_offer(peer, 0);
    std::vector<std::byte> body(offer.bytes);
    co_await peer.take(body, 0, body.size());
    co_await accept(peer, offer.task);
    co_await until_gone(peer);
  }});
  AddConstant trainer;
  const auto summary = make_client()->run(trainer);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->accepted, 1U);
  EXPECT_EQ(summary->reconnects, 0U);
}

awaitable<void> renewed(Peer& peer, wire::Renew renew, const test::FakeFederation& federation) {
  const auto& authority = federation.authority();
  const auto validity = valid_for(std::chrono::hours(20));
  const auto certificate = authority.sign_device(renew.csr, ClientId{"device-1"}, validity).value();
  wire::Message enrolled(wire::Enrolled{
      certificate.to_der().value(), authority.certificate().to_der().value(), "device-1"});
  co_await peer.send(std::move(enrolled));
}

TEST_F(ClientTest, RenewsItsCertificateInTime) {
  using std::chrono::hours;
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  server_ = std::make_unique<test::FakeServer>(
      federation_, std::vector<Script>{[&](Peer& peer) -> awaitable<void> {
        co_await peer.greet();
        const auto renew = co_await peer.expect<wire::Renew>();
        co_await peer.expect<wire::Ready>();
        co_await renewed(peer, renew, federation_);
        wire::Message error(wire::Error{errc::revoked, "enough", Duration(0), true});
        co_await peer.send(std::move(error));
        co_await until_gone(peer);
      }});
  // An authority's certificates never begin before it: so a validity that ends soon.
  federation_.give_identity(state_, server_->address(), {now, std::chrono::minutes(2)});
  const auto before = read_text(state_ / "certificate.pem", 1U << 16U).value();
  AddConstant trainer;
  EXPECT_EQ(make_client()->run(trainer).error().code, errc::revoked);
  const auto after = read_text(state_ / "certificate.pem", 1U << 16U).value();
  EXPECT_NE(before, after);
  const auto info = Certificate::from_pem(after).value().info().value();
  EXPECT_GT(info.not_after, now + hours(10));
}

TEST_F(ClientTest, RenewsItsCertificateWhileItStaysConnected) {
  using std::chrono::seconds;
  const auto now = std::chrono::floor<seconds>(std::chrono::system_clock::now());
  server_ = std::make_unique<test::FakeServer>(
      federation_, std::vector<Script>{[&](Peer& peer) -> awaitable<void> {
        co_await peer.greet_ready();  // not due yet
        const auto renew = co_await peer.expect<wire::Renew>();
        co_await give_work(peer, version_);  // and tasks go on
        co_await peer.serve(version_.file, 1U << 20U);
        co_await renewed(peer, renew, federation_);
        const auto offer = co_await take_offer(peer, 0);
        std::vector<std::byte> body(offer.bytes);
        co_await peer.take(body, 0, body.size());
        co_await accept(peer, offer.task);
        co_await until_gone(peer);
      }});
  // The certificate begins with its authority, five minutes ago; a third of its life is left in
  // about three seconds.
  federation_.give_identity(state_, server_->address(), {now, seconds(155)});
  const auto before = read_text(state_ / "certificate.pem", 1U << 16U).value();
  AddConstant trainer;
  const auto summary = make_client()->run(trainer);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->accepted, 1U);
  EXPECT_EQ(summary->reconnects, 0U);
  EXPECT_NE(before, read_text(state_ / "certificate.pem", 1U << 16U).value());
}

// ---- options ----

TEST_F(ClientTest, NeedsAnIdentityAFolderOfItsOwnAndSaneOptions) {
  serve({});
  ClientOptions options;
  options.state = folder_.path() / "nobody";
  EXPECT_EQ(Client::create(options).error().code, errc::not_found);
  options.state.clear();
  EXPECT_EQ(Client::create(options).error().code, errc::invalid_argument);
  options.state = state_;
  options.jobs = {"Bad Name"};
  EXPECT_EQ(Client::create(options).error().code, errc::invalid_argument);
  options.jobs = {};
  options.server = "no port";
  EXPECT_EQ(Client::create(options).error().code, errc::invalid_argument);
  options.server = server_->address();
  options.software = std::string(65, 's');
  EXPECT_EQ(Client::create(options).error().code, errc::invalid_argument);
  options.software = "test";
  options.eligibility_interval = std::chrono::milliseconds(0);
  EXPECT_EQ(Client::create(options).error().code, errc::invalid_argument);
  options.eligibility_interval = std::chrono::milliseconds(1);
  const auto first = Client::create(options);
  ASSERT_TRUE(first) << first.error().to_string();
  const auto second = Client::create(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::busy);
  EXPECT_THAT(second.error().detail, HasSubstr("another process"));
}

}  // namespace
}  // namespace chorus::client
