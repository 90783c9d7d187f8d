// Compressed updates over a connection: taken, summed, resumed, and what a bad one costs its
// sender.
#include "common/codec/update.hpp"
#include "tests/unit/server/net/net_daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;

std::vector<std::byte> encoded(const wire::Work& work, std::span<const float> delta) {
  const auto& plan = std::get<TrainPlan>(work.plan);
  const auto form = codec::UpdateForm::of(plan, layout_of(work.spec).value()).value();
  return codec::encode_update(form, delta).value();
}

class CompressedUpload : public testing::Test {
 protected:
  void submit(const std::string& codec) {
    job = server.daemon.submit(one_device_job(5, "[compress]\n" + codec));
  }
  NetDaemon server;
  std::shared_ptr<JobRunner> job;
};

TEST_F(CompressedUpload, IsTakenWhole) {
  submit("codec = \"uniform\"\n");
  std::size_t sent = 0;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto first = co_await client->get_work();
    const auto& plan = std::get<TrainPlan>(first.plan);
    EXPECT_TRUE(plan.compression);
    client->encoded = encoded(first, std::vector<float>(93, 0.25F));
    sent = client->encoded.size();
    EXPECT_LT(sent, 93 * sizeof(float) / 2);
    co_await client->offer(first);
    co_await client->send_chunk(0, 33);  // any length
    co_await client->send_chunk(33, sent - 33);
    co_await client->hear_a<wire::Accepted>();
    const auto second = co_await client->get_work();
    EXPECT_NE(second.model.sha256, first.model.sha256);
    EXPECT_NE(std::get<TrainPlan>(second.plan).compression->seed, plan.compression->seed);
  });
  ASSERT_EQ(server.daemon.rounds().size(), 1U);
  EXPECT_EQ(server.daemon.rounds()[0].bytes_up, sent);
}

TEST_F(CompressedUpload, GoesOnWhereItStopped) {
  submit("codec = \"top_k\"\ndensity = 0.5\n");
  wire::Work work;
  std::vector<std::byte> body;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    work = co_await client->get_work();
    client->encoded = encoded(work, std::vector<float>(93, 1.0F));
    body = client->encoded;
    co_await client->offer(work);
    co_await client->send_chunk(0, 51);
    wire::Message ping(wire::Ping{1});
    co_await client->say(std::move(ping));
    co_await client->hear_a<wire::Pong>();
  });
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    client->encoded = body;
    const auto take = co_await client->offer(work);
    EXPECT_EQ(take.offset, 51U);
    co_await client->send_chunk(51, body.size() - 51);
    co_await client->hear_a<wire::Accepted>();
  });
}

TEST_F(CompressedUpload, ABadPayloadIsRefusedWithThePlaceOfTheFault) {
  submit("codec = \"uniform\"\n");
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    client->encoded = encoded(work, std::vector<float>(93, 1e6F));  // beyond value_max
    co_await client->offer(work);
    co_await client->send_chunk(0, client->encoded.size());
    const auto refuse = co_await client->hear_a<wire::Refuse>();
    EXPECT_EQ(refuse.code, errc::value_out_of_range);
    EXPECT_THAT(refuse.detail, HasSubstr("elements 0 to 92"));
  });
  EXPECT_TRUE(server.audited("update_rejected", "gate-1", "elements 0 to 92"));
}

TEST_F(CompressedUpload, ATableThatDoesNotFitIsRefused) {
  submit("codec = \"uniform\"\n");
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    client->encoded = encoded(work, std::vector<float>(93, 1.0F));
    client->encoded[8] ^= std::byte{1};  // the payload's size
    co_await client->offer(work);
    co_await client->send_chunk(0, client->encoded.size());
    const auto refuse = co_await client->hear_a<wire::Refuse>();
    EXPECT_EQ(refuse.code, errc::shape_mismatch);
  });
}

TEST_F(CompressedUpload, APlainOneIsNotOfThisRound) {
  submit("codec = \"uniform\"\n");
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    client->values.resize(93);
    wire::Offer offer;
    offer.task = work.task;
    offer.bytes = client->update().size();
    offer.base = work.model.sha256;
    offer.examples = Examples{10};
    wire::Message message(std::move(offer));
    co_await client->say(std::move(message));
    const auto refuse = co_await client->hear_a<wire::Refuse>();
    EXPECT_EQ(refuse.code, errc::shape_mismatch);
    EXPECT_THAT(refuse.detail, HasSubstr("at most"));
  });
}

}  // namespace
}  // namespace chorus::server::test
