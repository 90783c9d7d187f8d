// Models down, updates up: what is checked, what is resumed, and what a bad body costs its sender.
#include <cmath>
#include <fcntl.h>
#include <filesystem>
#include <limits>
#include <optional>
#include <unistd.h>

#include "common/base/limits.hpp"
#include "common/crypto/digest.hpp"
#include "tests/unit/server/net/net_daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;

constexpr std::size_t kBody = 93 * sizeof(float);

class Upload : public testing::Test {
 protected:
  void SetUp() override { job = server.daemon.submit(one_device_job()); }
  NetDaemon server;
  std::shared_ptr<JobRunner> job;
};

TEST_F(Upload, ADeviceDoesItsPartOfARound) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    EXPECT_EQ(work.task.round, RoundId{1});
    EXPECT_EQ(work.deadline, 0ms);
    const auto file = co_await client->fetch(work.model);
    EXPECT_EQ(sha256(file), work.model.sha256);
    const auto take = co_await client->offer(work);
    EXPECT_EQ(take.offset, 0U);
    co_await client->send_chunk(0, kBody);
    const auto accepted = co_await client->hear_a<wire::Accepted>();
    EXPECT_EQ(accepted.task, work.task);
    EXPECT_EQ(accepted.durability, wire::Durability::process);
    client->values.clear();
    const auto next = co_await client->get_work();
    EXPECT_EQ(next.task.round, RoundId{2});
    EXPECT_NE(next.model.sha256, work.model.sha256);
  });
  const auto rounds = server.daemon.rounds();
  ASSERT_EQ(rounds.size(), 1U);
  EXPECT_EQ(rounds[0].bytes_up, kBody);
  EXPECT_GT(rounds[0].bytes_down, kBody);
}

TEST_F(Upload, ABodyMayComeInPieces) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    co_await client->offer(work);
    co_await client->send_chunk(0, 100);
    wire::Message ping(wire::Ping{5});
    co_await client->say(std::move(ping));
    co_await client->hear_a<wire::Pong>();  // also in the middle
    co_await client->send_chunk(100, 4);
    co_await client->send_chunk(104, kBody - 104);
    co_await client->hear_a<wire::Accepted>();
  });
}

TEST_F(Upload, AnOfferRepeatedAfterItsRoundHasTheSameAnswer) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    co_await client->offer(work);
    co_await client->send_chunk(0, kBody);
    co_await client->hear_a<wire::Accepted>();
    while (job->machine().rounds_done() == 0) (void)co_await net::sleep_for(1ms);
    wire::Offer again;
    again.task = work.task;
    again.bytes = kBody;
    again.digest = body_digest(client->update());
    again.base = work.model.sha256;
    again.examples = Examples{10};
    wire::Message message(again);
    co_await client->say(std::move(message));
    const auto accepted = co_await client->hear_a<wire::Accepted>();
    EXPECT_EQ(accepted.task, work.task);
    again.digest.bytes[0] ^= std::byte{1};  // another update than the one that counted
    wire::Message other(std::move(again));
    co_await client->say(std::move(other));
    const auto refuse = co_await client->hear_a<wire::Refuse>();
    EXPECT_EQ(refuse.code, errc::task_closed);
  });
}

// ---- interrupted ----

TEST_F(Upload, AnInterruptedUploadGoesOnWhereItStopped) {
  wire::Work work;
  std::vector<float> values;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    work = co_await client->get_work();
    co_await client->offer(work);
    co_await client->send_chunk(0, 200);
    values = client->values;
    // A ping comes back only when the chunk is in the journal.
    wire::Message ping(wire::Ping{1});
    co_await client->say(std::move(ping));
    co_await client->hear_a<wire::Pong>();
  });
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    client->values = values;
    const auto take = co_await client->offer(work);
    EXPECT_EQ(take.offset, 200U);
    co_await client->send_chunk(200, kBody - 200);
    co_await client->hear_a<wire::Accepted>();
  });
}

TEST_F(Upload, AWholeBodyWithoutAnAnswerNeedsNoSecondTime) {
  wire::Work work;
  std::vector<float> values;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    work = co_await client->get_work();
    co_await client->offer(work);
    values = client->values;
    co_await client->send_chunk(0, kBody - 4);
    wire::Message ping(wire::Ping{1});
    co_await client->say(std::move(ping));
    co_await client->hear_a<wire::Pong>();
  });
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    client->values = values;
    const auto take = co_await client->offer(work);
    EXPECT_EQ(take.offset, kBody - 4);
    co_await client->send_chunk(kBody - 4, 4);
    co_await client->hear_a<wire::Accepted>();
  });
}

TEST_F(Upload, AnotherBodyBeginsAnew) {
  wire::Work work;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    work = co_await client->get_work();
    co_await client->offer(work);
    co_await client->send_chunk(0, 200);
    wire::Message ping(wire::Ping{1});
    co_await client->say(std::move(ping));
    co_await client->hear_a<wire::Pong>();
  });
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    client->values.assign(93, 0.125F);
    const auto take = co_await client->offer(work);
    EXPECT_EQ(take.offset, 0U);
    co_await client->send_chunk(0, kBody);
    co_await client->hear_a<wire::Accepted>();
  });
}

TEST_F(Upload, AStoredBeginningThatIsBadIsFoundWhenItIsResumed) {
  wire::Work work;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    work = co_await client->get_work();
    client->values.assign(93, 0.5F);
    auto announced = client->values;
    announced[90] = 0.25F;  // the digest is of another body
    client->digest = body_digest(std::as_bytes(std::span<const float>(announced)));
    co_await client->offer(work);
    co_await client->send_chunk(0, kBody - 4);
    wire::Message ping(wire::Ping{1});
    co_await client->say(std::move(ping));
    co_await client->hear_a<wire::Pong>();
  });
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    client->values.assign(93, 0.5F);
    client->values[90] = 0.25F;
    const auto take = co_await client->offer(work);
    EXPECT_EQ(take.offset, kBody - 4);
    co_await client->send_chunk(kBody - 4, 4);
    const auto refuse = co_await client->hear_a<wire::Refuse>();
    EXPECT_EQ(refuse.code, errc::digest_mismatch);
  });
}

TEST_F(Upload, ADeviceMayGiveItsUploadUp) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    co_await client->offer(work);
    co_await client->send_chunk(0, 100);
    const auto again = co_await client->get_work();  // Ready in the middle
    EXPECT_EQ(again.task, work.task);
    const auto take = co_await client->offer(work);
    EXPECT_EQ(take.offset, 100U);
    co_await client->send_chunk(100, kBody - 100);
    co_await client->hear_a<wire::Accepted>();
  });
}

// ---- bad bodies ----

struct BadBody {
  const char* name;
  std::function<void(std::vector<float>&)> spoil;  ///< before the digest is made
  bool wrong_digest;
  errc code;
  const char* says;
};

TEST_F(Upload, ABadBodyIsRefusedAndAuditedAndTheConnectionGoesOn) {
  const std::vector<BadBody> cases{
      {"nan",
       [](auto& v) { v[7] = std::numeric_limits<float>::quiet_NaN(); },
       false,
       errc::not_finite,
       "element 7 of the update is NaN"},
      {"infinite",
       [](auto& v) { v[92] = std::numeric_limits<float>::infinity(); },
       false,
       errc::not_finite,
       "element 92 of the update is infinite"},
      {"too-large",
       [](auto& v) { v[0] = std::nextafter(100.0F, 200.0F); },
       false,
       errc::value_out_of_range,
       "element 0 of the update"},
      {"digest", [](auto&) {}, true, errc::digest_mismatch, "XXH3-128"}};
  std::uint64_t round = 1;
  for (const BadBody& bad : cases) {
    server.play([&]() -> Work {
      auto client = co_await Client::device(server, bad.name);
      const auto work = co_await client->get_work();
      EXPECT_EQ(work.task.round.value, round);
      client->values.assign(93, 1.0F);
      bad.spoil(client->values);
      if (bad.wrong_digest) client->digest = BodyDigest{};
      co_await client->offer(work);
      co_await client->send_chunk(0, 360);
      co_await client->send_chunk(360, kBody - 360);  // on its way when the first is refused
      const auto refuse = co_await client->hear_a<wire::Refuse>();
      EXPECT_EQ(to_string(refuse.code), to_string(bad.code));
      EXPECT_EQ(refuse.task, work.task);
      EXPECT_THAT(refuse.detail, HasSubstr(bad.says));
      wire::Message ping(wire::Ping{1});
      co_await client->say(std::move(ping));
      co_await client->hear_a<wire::Pong>();
    });
    EXPECT_TRUE(server.audited("update_rejected", bad.name, bad.says)) << bad.name;
    EXPECT_TRUE(server.run_until([&] { return server.daemon.board->devices_connected() == 0; }));
    ++round;  // the only device was at fault: the round is abandoned
  }
  for (const RoundRow& row : server.daemon.rounds()) {
    EXPECT_EQ(row.state, RoundState::abandoned);
    EXPECT_EQ(row.rejected, 1U);
  }
}

TEST_F(Upload, BadNumbersInTheOfferAreRefusedBeforeABodyIsTaken) {
  struct BadOffer {
    const char* name;
    std::function<void(wire::Offer&)> spoil;
    errc code;
  };
  const std::vector<BadOffer> cases{
      {"no-examples", [](wire::Offer& o) { o.examples = Examples{0}; }, errc::weight_out_of_range},
      {"too-many",
       [](wire::Offer& o) { o.examples = Examples{1'000'001}; },
       errc::weight_out_of_range},
      {"short", [](wire::Offer& o) { o.bytes = kBody - 4; }, errc::shape_mismatch},
      {"long", [](wire::Offer& o) { o.bytes = kBody + 4; }, errc::shape_mismatch}};
  for (const BadOffer& bad : cases) {
    server.play([&]() -> Work {
      auto client = co_await Client::device(server, bad.name);
      const auto work = co_await client->get_work();
      wire::Offer offer;
      offer.task = work.task;
      offer.bytes = kBody;
      offer.base = work.model.sha256;
      offer.examples = Examples{10};
      bad.spoil(offer);
      wire::Message message(std::move(offer));
      co_await client->say(std::move(message));
      const auto refuse = co_await client->hear_a<wire::Refuse>();
      EXPECT_EQ(to_string(refuse.code), to_string(bad.code)) << bad.name;
    });
    EXPECT_TRUE(server.audited("update_rejected", bad.name, to_string(bad.code).data()));
    EXPECT_TRUE(server.run_until([&] { return server.daemon.board->devices_connected() == 0; }));
  }
}

// ---- chunks out of place ----

TEST_F(Upload, ChunksOutOfPlaceEndTheConnection) {
  struct BadChunk {
    std::uint64_t offset;
    std::size_t length;
  };
  for (const auto& [offset, length] :
       {BadChunk{4, 100}, BadChunk{0, 6}, BadChunk{0, 0}, BadChunk{kBody, 4}}) {
    server.play([&, at = offset, bytes = length]() -> Work {
      auto client = co_await Client::device(server, "gate-1");
      const auto work = co_await client->get_work();
      co_await client->offer(work);
      client->values.resize(200);
      co_await client->send_chunk(at, bytes);
      co_await client->hear_the_end(errc::unexpected_message);
    });
  }
  server.play([&]() -> Work {  // beyond the end
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    co_await client->offer(work);
    client->values.resize(200);
    co_await client->send_chunk(0, kBody + 4);
    co_await client->hear_the_end(errc::unexpected_message);
  });
  server.play([&]() -> Work {  // none of it spoilt the upload
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    const auto take = co_await client->offer(work);
    EXPECT_EQ(take.offset, 0U);
    co_await client->send_chunk(0, kBody);
    co_await client->hear_a<wire::Accepted>();
  });
}

TEST_F(Upload, AChunkWithoutAnUploadEndsTheConnection) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    co_await client->get_work();
    client->values.resize(10);
    co_await client->send_chunk(0, 40);
    co_await client->hear_the_end(errc::unexpected_message);
  });
}

// ---- a disk that does not take it ----

/// What is written to the open files of `folder` goes to `target` instead, until destroyed.
class Diverted {
 public:
  Diverted(const std::filesystem::path& folder, const char* target, int flags) {
    const int other = ::open(target, flags | O_CLOEXEC);
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (std::filesystem::read_symlink(entry.path(), gone).parent_path() != folder) continue;
      const int fd = std::stoi(entry.path().filename().string());
      saved_.emplace_back(fd, ::dup(fd));
    }
    for (const auto& [fd, copy] : saved_) EXPECT_EQ(::dup2(other, fd), fd);
    ::close(other);
    EXPECT_FALSE(saved_.empty()) << folder << " has no open files";
  }
  Diverted(const Diverted&) = delete;
  Diverted& operator=(const Diverted&) = delete;
  ~Diverted() {
    for (const auto& [fd, copy] : saved_) {
      EXPECT_EQ(::dup2(copy, fd), fd);
      ::close(copy);
    }
  }

 private:
  std::vector<std::pair<int, int>> saved_;
};

TEST_F(Upload, AFullDiskIsSaidAndTheUploadGoesOnWhenThereIsRoom) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    co_await client->offer(work);
    co_await client->send_chunk(0, 100);
    wire::Message ping(wire::Ping{1});
    co_await client->say(std::move(ping));
    co_await client->hear_a<wire::Pong>();
    std::optional<Diverted> full;
    full.emplace(server.folder.path() / "journal" / "job" / "1", "/dev/full", O_RDWR);
    co_await client->send_chunk(100, kBody - 100);
    const auto refuse = co_await client->hear_a<wire::Refuse>();
    EXPECT_EQ(to_string(refuse.code), "disk_full");
    EXPECT_EQ(refuse.task, work.task);
    EXPECT_THAT(refuse.detail, HasSubstr("could not store the update: disk_full"));
    full.reset();
    EXPECT_EQ(job->machine().job_phase(), JobPhase::running);
    const auto take = co_await client->offer(work);  // on the same connection
    EXPECT_EQ(take.offset, 100U);
    co_await client->send_chunk(100, kBody - 100);
    co_await client->hear_a<wire::Accepted>();
  });
  EXPECT_TRUE(server.audited("update_not_stored", "gate-1", "job round 1: disk_full"));
}

TEST_F(Upload, AJournalThatCannotBeWrittenDegradesItsJobAndTheDeviceKeepsItsUpdate) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    co_await client->offer(work);
    std::optional<Diverted> broken;
    broken.emplace(server.folder.path() / "journal" / "job" / "1", "/dev/null", O_RDONLY);
    co_await client->send_chunk(0, kBody);
    const auto refuse = co_await client->hear_a<wire::Refuse>();
    EXPECT_EQ(to_string(refuse.code), "busy");  // io_failed would have the device drop its update
    EXPECT_EQ(job->machine().job_phase(), JobPhase::degraded);
    EXPECT_THAT(job->machine().why(), HasSubstr("io_failed"));
    broken.reset();
    EXPECT_TRUE(job->control(JobVerb::resume));
    const auto take = co_await client->offer(work);
    EXPECT_EQ(take.offset, 0U);
    co_await client->send_chunk(0, kBody);
    co_await client->hear_a<wire::Accepted>();
  });
  EXPECT_TRUE(server.audited("update_not_stored", "gate-1", "job round 1: io_failed"));
  EXPECT_TRUE(server.audited("job_degraded", "", "io_failed"));
}

// ---- rounds that close meanwhile ----

TEST_F(Upload, ARoundThatClosesInTheMiddleOfAnUploadRefusesItKindly) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    co_await client->offer(work);
    co_await client->send_chunk(0, 100);
    wire::Message ping(wire::Ping{1});
    co_await client->say(std::move(ping));
    co_await client->hear_a<wire::Pong>();
    EXPECT_TRUE(job->control(JobVerb::abort_round));
    const auto cancel = co_await client->hear_a<wire::Cancel>();
    EXPECT_EQ(cancel.task, work.task);
    while (job->machine().rounds_done() == 0) (void)co_await net::sleep_for(1ms);
    // The chunk had been sent already; the journal is gone.
    co_await client->send_chunk(100, kBody - 100);
    const auto refuse = co_await client->hear_a<wire::Refuse>();
    EXPECT_EQ(refuse.code, errc::task_closed);
    const auto next = co_await client->get_work();  // the same connection goes on
    EXPECT_EQ(next.task.round, RoundId{2});
  });
  for (const AuditRow& row : server.daemon.audit()) EXPECT_NE(row.what, "update_rejected");
}

TEST_F(Upload, ADeclinedTaskIsAuditedAndTheDeviceGoesOn) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    wire::Decline decline;
    decline.task = work.task;
    decline.code = errc::unsupported_feature;
    decline.detail = "no convolution here";
    wire::Message message(std::move(decline));
    co_await client->say(std::move(message));
    const auto next = co_await client->get_work();
    EXPECT_EQ(next.task.round, RoundId{2});
  });
  EXPECT_TRUE(server.audited("task_declined", "gate-1", "no convolution here"));
}

// ---- models ----

TEST_F(Upload, AFetchGoesOnAtAnOffset) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    const auto whole = co_await client->fetch(work.model);
    const auto rest = co_await client->fetch(work.model, 100);
    EXPECT_TRUE(std::equal(rest.begin(), rest.end(), whole.begin() + 100, whole.end()));
    const auto none = co_await client->fetch(work.model, work.model.bytes);
    EXPECT_TRUE(none.empty());
  });
}

TEST_F(Upload, AFetchBeyondTheEndIsAnError) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    wire::Message message(wire::Fetch{work.model.sha256, work.model.bytes + 1});
    co_await client->say(std::move(message));
    co_await client->hear_the_end(errc::invalid_argument);
  });
}

TEST_F(Upload, ADeviceFetchesOnlyWhatItsTaskNeedsAndIsToldMildly) {
  const auto ask_in_vain = [](Client& client, Sha256 version) -> Work {
    wire::Message fetch(wire::Fetch{version, 0});
    co_await client.say(std::move(fetch));
    const auto error = co_await client.hear_a<wire::Error>();
    EXPECT_EQ(to_string(error.code), "task_closed");
    EXPECT_FALSE(error.fatal);
    EXPECT_THAT(error.detail, HasSubstr("its present task only"));
  };
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    co_await ask_in_vain(*client, job->row().current_version);  // it has no task yet
    const auto first = co_await client->get_work();
    co_await client->offer(first);
    co_await client->send_chunk(0, kBody);
    co_await client->hear_a<wire::Accepted>();
    client->values.clear();
    const auto second = co_await client->get_work();
    co_await ask_in_vain(*client, first.model.sha256);  // it was its task's once
    co_await ask_in_vain(*client, Sha256{});
    const auto file = co_await client->fetch(second.model);  // the same connection goes on
    EXPECT_EQ(sha256(file), second.model.sha256);
  });
  for (const AuditRow& row : server.daemon.audit()) EXPECT_NE(row.what, "session_refused");
}

TEST_F(Upload, AnAdministratorFetchesAnyVersion) {
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, admin_tls("ann", Role::viewer));
    co_await client->greet();
    const auto version =
        server.daemon.versions->open_version(job->row().current_version).value()->info();
    wire::ModelRef model;
    model.sha256 = version.sha256;
    model.bytes = version.bytes;
    const auto file = co_await client->fetch(model);
    EXPECT_EQ(sha256(file), version.sha256);
    wire::Message unknown(wire::Fetch{Sha256{}, 0});
    co_await client->say(std::move(unknown));
    co_await client->hear_the_end(errc::not_found);
  });
}

}  // namespace
}  // namespace chorus::server::test
