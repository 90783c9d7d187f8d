// Fetching the steps to a version instead of its file.
#include "common/codec/update.hpp"
#include "common/crypto/digest.hpp"
#include "common/tensor/safetensors.hpp"
#include "tests/unit/server/net/net_daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;

class FetchSteps : public testing::Test {
 protected:
  void SetUp() override {
    job = server.daemon.submit(one_device_job(5, "[compress.down]\ncodec = \"uniform\"\n"));
  }
  static boost::asio::awaitable<void> train(Client& client, wire::Work work) {
    client.values.clear();
    co_await client.offer(std::move(work));
    co_await client.send_chunk(0, client.update().size());
    co_await client.hear_a<wire::Accepted>();
  }
  static boost::asio::awaitable<std::vector<std::byte>> fetch(Client& client,
                                                              Sha256 version,
                                                              std::uint64_t offset,
                                                              std::uint32_t steps,
                                                              std::size_t bytes) {
    wire::Message message(wire::Fetch{version, offset, steps});
    co_await client.say(std::move(message));
    std::vector<std::byte> all;
    while (all.size() < bytes) {
      const auto chunk = co_await client.hear_a<wire::Chunk>();
      EXPECT_EQ(chunk.offset, offset + all.size());
      if (client.body.empty()) break;
      all.insert(all.end(), client.body.begin(), client.body.end());
    }
    co_return all;
  }
  NetDaemon server;
  std::shared_ptr<JobRunner> job;
};

TEST_F(FetchSteps, MakeTheVersionOfTheFile) {
  std::size_t fetched = 0;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto first = co_await client->get_work();
    EXPECT_FALSE(first.steps);
    auto file = co_await client->fetch(first.model);
    co_await train(*client, first);
    const auto second = co_await client->get_work();
    co_await train(*client, second);
    const auto third = co_await client->get_work();
    EXPECT_TRUE(third.steps);
    const auto& steps = third.steps->steps;
    EXPECT_EQ(steps.size(), 2U);
    EXPECT_EQ(steps[0].base, first.model.sha256);

    // Both at once, which is how a device that was away for a round goes on.
    const std::size_t bytes = codec::bytes_of(steps);
    const auto bodies = co_await fetch(*client, third.model.sha256, 0, 2, bytes);
    EXPECT_EQ(bodies.size(), bytes);
    fetched += bytes;
    const auto layout = layout_of(third.spec).value();
    const auto head = tensor::parse_header(file, file.size()).value().data_offset;
    std::vector<float> x(layout.parameters);
    std::memcpy(x.data(), file.data() + head, x.size() * sizeof(float));
    std::span<const std::byte> rest = bodies;
    for (const auto& step : steps) {
      const auto form = codec::form_of(*third.steps, step.seed, layout).value();
      EXPECT_TRUE(codec::add_update(form, rest.first(step.bytes), x));
      rest = rest.subspan(step.bytes);
    }
    std::memcpy(file.data() + head, x.data(), x.size() * sizeof(float));
    EXPECT_EQ(sha256(std::span<const std::byte>(file)), third.model.sha256);

    // From any byte on, across the border of the two, and only the last.
    for (const std::uint64_t offset : {std::uint64_t{1}, steps[0].bytes - 3, steps[0].bytes + 5}) {
      const auto part = co_await fetch(*client, third.model.sha256, offset, 2, bytes - offset);
      EXPECT_TRUE(std::equal(part.begin(),
                             part.end(),
                             bodies.begin() + static_cast<std::ptrdiff_t>(offset),
                             bodies.end()));
      fetched += part.size();
    }
    const auto last = co_await fetch(*client, third.model.sha256, 0, 1, steps[1].bytes);
    EXPECT_TRUE(std::equal(last.begin(),
                           last.end(),
                           bodies.begin() + static_cast<std::ptrdiff_t>(steps[0].bytes),
                           bodies.end()));
    fetched += last.size();
    co_await train(*client, third);
    static_cast<void>(co_await client->get_work());  // the round is closed
  });
  EXPECT_EQ(server.daemon.rounds().back().bytes_down, fetched);
}

TEST_F(FetchSteps, MoreThanTheTaskOffersIsAnError) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto first = co_await client->get_work();
    co_await train(*client, first);
    const auto second = co_await client->get_work();
    wire::Message message(wire::Fetch{second.model.sha256, 0, 2});
    co_await client->say(std::move(message));
    const auto error = co_await client->hear_the_end(errc::invalid_argument);
    EXPECT_THAT(error.detail, HasSubstr("the last 2 steps"));
    EXPECT_THAT(error.detail, HasSubstr("the task offers 1"));
  });
}

TEST_F(FetchSteps, BeyondTheirEndIsAnError) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto first = co_await client->get_work();
    co_await train(*client, first);
    const auto second = co_await client->get_work();
    const std::uint64_t bytes = second.steps->steps[0].bytes;
    wire::Message message(wire::Fetch{second.model.sha256, bytes + 1, 1});
    co_await client->say(std::move(message));
    co_await client->hear_the_end(errc::invalid_argument);
  });
}

TEST_F(FetchSteps, AnAdministratorHasNone) {
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, admin_tls("ann", Role::viewer));
    co_await client->greet();
    wire::Message message(wire::Fetch{job->row().current_version, 0, 1});
    co_await client->say(std::move(message));
    co_await client->hear_the_end(errc::invalid_argument);
  });
}

}  // namespace
}  // namespace chorus::server::test
