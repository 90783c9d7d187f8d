// What each role may do, what the calls answer, and waiting for news of a job.
#include "chorus/v1/admin.pb.h"
#include "common/base/limits.hpp"
#include "common/crypto/digest.hpp"
#include "tests/unit/server/net/net_daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;
using v1::AdminReply;
using v1::AdminRequest;

class Admin : public testing::Test {
 protected:
  Result<AdminReply> call(Role role, const AdminRequest& request) {
    return call_raw(role, request.SerializeAsString());
  }
  Result<AdminReply> call_raw(Role role, const std::string& bytes) {
    Peer peer{"ann", role};
    auto reply = server.daemon.play(server.admin->handle(std::move(peer), bytes));
    if (!reply) return std::move(reply).error();
    AdminReply parsed;
    EXPECT_TRUE(parsed.ParseFromString(*reply));
    return parsed;
  }
  AdminReply must(const AdminRequest& request) {
    auto reply = call(Role::owner, request);
    EXPECT_TRUE(reply) << reply.error().to_string();
    return reply ? *reply : AdminReply{};
  }
  errc code(const AdminRequest& request) {
    const auto reply = call(Role::owner, request);
    EXPECT_FALSE(reply);
    return reply ? errc::internal : reply.error().code;
  }
  std::string submit(const std::string& toml = one_device_job()) {
    AdminRequest request;
    request.mutable_submit_job()->set_job_toml(toml);
    request.mutable_submit_job()->set_file_name("job.toml");
    return must(request).job().summary().job();
  }
  void enroll(const std::string& name) {
    DeviceRow row;
    row.client.value = name;
    row.certificate_sha256 = "certificate of " + name;
    row.enrolled_at = server.daemon.context.now();
    row.certificate_expires_at = row.enrolled_at + 1h;
    TokenRow token;
    token.secret_sha256 = "token of " + name;
    token.expires_at = row.enrolled_at + 1h;
    const auto work = [&]() -> Result<void> {
      if (auto added = server.daemon.ledger->add_token(token); !added) return added;
      return server.daemon.ledger->enroll(token.secret_sha256, "key of " + name, row);
    };
    const auto done = server.daemon.ask(work);
    EXPECT_TRUE(done) << done.error().to_string();
  }
  /// A device does one round of the job.
  void do_round(const std::string& name) {
    server.play([&]() -> Work {
      auto client = co_await Client::device(server, name);
      const auto work = co_await client->get_work();
      co_await client->offer(work);
      co_await client->send_chunk(0, 372);
      co_await client->hear_a<wire::Accepted>();
    });
    const auto job = server.daemon.job();
    EXPECT_TRUE(server.run_until(
        [&] { return job->machine().phase() == RoundPhase::waiting && job->idle(); }));
  }
  NetDaemon server;
};

// ---- roles ----

struct Permission {
  std::string name;
  AdminRequest request;
  Role needed;
};

std::vector<Permission> every_call() {
  std::vector<Permission> all;
  const auto add = [&](const std::string& name, Role needed) -> AdminRequest& {
    all.push_back({name, {}, needed});
    return all.back().request;
  };
  add("submit_job", Role::operator_).mutable_submit_job();
  add("list_jobs", Role::viewer).mutable_list_jobs();
  add("show_job", Role::viewer).mutable_show_job();
  add("show_plan", Role::viewer).mutable_show_plan();
  add("control_job", Role::operator_).mutable_control_job();
  add("list_rounds", Role::viewer).mutable_list_rounds();
  add("show_round", Role::viewer).mutable_show_round();
  add("control_round", Role::operator_).mutable_control_round();
  add("list_devices", Role::viewer).mutable_list_devices();
  add("show_device", Role::viewer).mutable_show_device();
  add("revoke_device", Role::owner).mutable_revoke_device();
  add("create_token", Role::operator_).mutable_create_token();
  add("list_models", Role::viewer).mutable_list_models();
  add("show_model", Role::viewer).mutable_show_model();
  add("watch_job", Role::viewer).mutable_watch_job();
  add("server_status", Role::viewer).mutable_server_status();
  add("list_audit", Role::viewer).mutable_list_audit();
  return all;
}

// ---- parameters that come with a job ----

class AdminWithBody : public Admin {
 protected:
  Result<std::uint64_t> follows(Role role, std::uint64_t bytes) {
    AdminRequest request;
    request.mutable_submit_job()->set_initial_bytes(bytes);
    const Peer peer{"ann", role};
    return server.admin->body_bytes(peer, request.SerializeAsString());
  }
  Result<AdminReply> submit_with(const std::vector<float>& values) {
    AdminRequest request;
    request.mutable_submit_job()->set_job_toml(one_device_job());
    request.mutable_submit_job()->set_file_name("job.toml");
    auto body = std::make_shared<InitialParameters>();
    body->values = tensor::AlignedBuffer<float>(values.size());
    std::copy(values.begin(), values.end(), body->values.begin());
    Peer peer{"ann", Role::owner};
    auto reply = server.daemon.play(
        server.admin->handle(std::move(peer), request.SerializeAsString(), std::move(body)));
    if (!reply) return std::move(reply).error();
    AdminReply parsed;
    EXPECT_TRUE(parsed.ParseFromString(*reply));
    return parsed;
  }
};

TEST_F(AdminWithBody, SaysHowMuchFollowsARequest) {
  EXPECT_EQ(follows(Role::operator_, 4000).value(), 4000U);
  EXPECT_EQ(follows(Role::operator_, 0).value(), 0U);
  EXPECT_EQ(follows(Role::viewer, 4000).error().code, errc::permission_denied);
  EXPECT_EQ(follows(Role::owner, 4001).error().code, errc::invalid_argument);
  EXPECT_EQ(follows(Role::owner, limits::kModelBytesMax).value(), limits::kModelBytesMax);
  EXPECT_EQ(follows(Role::owner, limits::kModelBytesMax + 4).error().code, errc::invalid_argument);
  const Peer peer{"ann", Role::owner};
  EXPECT_EQ(server.admin->body_bytes(peer, "no message").error().code, errc::malformed_message);
}

TEST_F(AdminWithBody, AJobBeginsWithTheParametersThatCameWithIt) {
  const auto layout =
      layout_of(
          parse_job(one_device_job(), "j", {all_strategies(), all_selections()}).value().model)
          .value();
  std::vector<float> values(layout.parameters);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.5F;
  const auto reply = submit_with(values);
  ASSERT_TRUE(reply) << reply.error().detail;
  const auto name = parse_sha256(reply->job().summary().version_sha256()).value();
  const auto version = server.daemon.context.versions->open_version(name);
  ASSERT_TRUE(version) << version.error().detail;
  std::vector<float> stored(values.size());
  ASSERT_TRUE((*version)->read_parameters(0, stored));
  EXPECT_EQ(stored, values);
}

// On the wire they follow in chunks, in order, and nothing comes between.
TEST_F(AdminWithBody, ChunksThatDoNotFollowEndTheConversation) {
  AdminRequest request;
  request.mutable_submit_job()->set_job_toml(one_device_job());
  request.mutable_submit_job()->set_initial_bytes(64);
  const std::vector<std::byte> body(64);
  const auto begin = [&](std::unique_ptr<Client>& client) -> boost::asio::awaitable<void> {
    client = co_await Client::connect(server, admin_tls("ann", Role::owner));
    co_await client->greet();
    co_await client->say(admin_request(request.SerializeAsString()));
  };
  server.play([&]() -> Work {
    std::unique_ptr<Client> client;
    co_await begin(client);
    wire::Message late(wire::Chunk{4});
    co_await client->say(std::move(late), std::span(body).first(8));
    const auto error = co_await client->hear_the_end(errc::unexpected_message);
    EXPECT_THAT(error.detail, HasSubstr("begins at 4; expected 0"));
  });
  server.play([&]() -> Work {
    std::unique_ptr<Client> client;
    co_await begin(client);
    wire::Message first(wire::Chunk{0});
    co_await client->say(std::move(first), std::span(body).first(8));
    co_await client->say(goodbye());
    const auto error = co_await client->hear_the_end(errc::unexpected_message);
    EXPECT_THAT(error.detail, HasSubstr("ended after 8 of 64 bytes"));
  });
  EXPECT_TRUE(server.daemon.board->jobs().empty());
}

// 64 bytes are no model's: the answer is an error like any other, and the conversation goes on.
TEST_F(AdminWithBody, WhatDoesNotFitIsAnswered) {
  AdminRequest request;
  request.mutable_submit_job()->set_job_toml(one_device_job());
  request.mutable_submit_job()->set_initial_bytes(64);
  const std::vector<std::byte> body(64);
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, admin_tls("ann", Role::owner));
    co_await client->greet();
    for (int i = 0; i < 2; ++i) {
      co_await client->say(admin_request(request.SerializeAsString()));
      wire::Message chunk(wire::Chunk{0});
      co_await client->say(std::move(chunk), body);
      const auto error = co_await client->hear_a<wire::Error>();
      EXPECT_EQ(error.code, errc::shape_mismatch);
      EXPECT_FALSE(error.fatal);
    }
  });
  EXPECT_EQ(server.daemon.memory.granted(), 0U);
}

TEST_F(AdminWithBody, ParametersThatAreNotTheModelsAreRefused) {
  const auto layout =
      layout_of(
          parse_job(one_device_job(), "j", {all_strategies(), all_selections()}).value().model)
          .value();
  std::vector<float> values(layout.parameters + 1);
  const auto longer = submit_with(values);
  EXPECT_EQ(longer.error().code, errc::shape_mismatch);
  EXPECT_THAT(longer.error().detail, HasSubstr("came with the job"));
  values.pop_back();
  values.back() = std::numeric_limits<float>::infinity();
  const auto infinite = submit_with(values);
  EXPECT_EQ(infinite.error().code, errc::invalid_argument);
  EXPECT_THAT(infinite.error().detail, HasSubstr(layout.tensors.back().name));
  EXPECT_TRUE(server.daemon.board->jobs().empty());
}

TEST_F(Admin, EachRoleMayDoWhatItShouldAndNoMore) {
  const auto calls = every_call();
  // A new call must be added above with the role it needs.
  EXPECT_EQ(calls.size(),
            static_cast<std::size_t>(AdminRequest::descriptor()->oneof_decl(0)->field_count()));
  for (const Permission& permission : calls) {
    for (const Role role : {Role::viewer, Role::operator_, Role::owner}) {
      const auto reply = call(role, permission.request);
      const bool denied = !reply && reply.error().code == errc::permission_denied;
      EXPECT_EQ(denied, role < permission.needed) << permission.name << " as " << to_string(role);
      if (denied) {
        EXPECT_THAT(reply.error().detail, HasSubstr(std::string(to_string(permission.needed))));
      }
    }
  }
}

TEST_F(Admin, WhatDoesNotParseIsMalformed) {
  for (const std::string& bytes :
       {std::string(), std::string("\xff\xff\xff"), std::string("\x12")}) {
    const auto reply = call_raw(Role::owner, bytes);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, errc::malformed_message);
  }
}

TEST_F(Admin, OverTheNetworkAnErrorLeavesTheConnectionOpen) {
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, admin_tls("vic", Role::viewer));
    co_await client->greet();
    AdminRequest revoke;
    revoke.mutable_revoke_device()->set_device("gate-1");
    co_await client->say(admin_request(revoke.SerializeAsString()));
    const auto error = co_await client->hear_a<wire::Error>();
    EXPECT_EQ(error.code, errc::permission_denied);
    EXPECT_FALSE(error.fatal);
    AdminRequest status;
    status.mutable_server_status();
    co_await client->say(admin_request(status.SerializeAsString()));
    const auto reply = co_await client->hear_a<wire::AdminReply>();
    AdminReply parsed;
    EXPECT_TRUE(parsed.ParseFromString(reply.bytes));
    EXPECT_EQ(parsed.status().sessions(), 1U);
    EXPECT_EQ(parsed.status().memory_budget_bytes(), 64U << 20U);
    EXPECT_THAT(parsed.status().software(), HasSubstr("chorusd"));
  });
}

// ---- jobs ----

TEST_F(Admin, JobsAreSubmittedListedShownAndControlled) {
  EXPECT_EQ(submit(), "job");
  AdminRequest list;
  list.mutable_list_jobs();
  const auto jobs = must(list).jobs();
  ASSERT_EQ(jobs.jobs_size(), 1);
  EXPECT_EQ(jobs.jobs(0).state(), "running");
  EXPECT_EQ(jobs.jobs(0).rounds_total(), 5U);
  EXPECT_EQ(jobs.jobs(0).parameters(), 93U);
  EXPECT_EQ(jobs.jobs(0).status(), "waiting for devices: 0 of 1 are free");
  AdminRequest show;
  show.mutable_show_job()->set_job("job");
  EXPECT_EQ(must(show).job().job_toml(), one_device_job());

  AdminRequest control;
  control.mutable_control_job()->set_job("job");
  control.mutable_control_job()->set_verb(v1::ControlJob::VERB_PAUSE);
  EXPECT_EQ(must(control).job().summary().state(), "paused");
  EXPECT_EQ(code(control), errc::wrong_state);
  control.mutable_control_job()->set_verb(v1::ControlJob::VERB_RESUME);
  EXPECT_EQ(must(control).job().summary().state(), "running");
  control.mutable_control_job()->set_verb(v1::ControlJob::VERB_STOP);
  EXPECT_EQ(must(control).job().summary().state(), "stopped");
  control.mutable_control_job()->set_verb(v1::ControlJob::VERB_UNSPECIFIED);
  EXPECT_EQ(code(control), errc::malformed_message);
  EXPECT_TRUE(server.audited("job_submitted", "ann", "job"));
  EXPECT_TRUE(server.audited("job_controlled", "ann", "VERB_STOP job"));
}

/// What `chorus job show` gets to see of the job.
v1::JobSummary summary_of(Daemon& daemon) {
  Access access("clinic", {});
  Enrollment enrollment(daemon.context, nullptr, EnrollmentConfig{});
  AdminHandler admin(daemon.context, *daemon.board, access, enrollment, DaemonFacts{});
  AdminRequest request;
  request.mutable_show_job()->set_job("job");
  Peer peer{"ann", Role::viewer};
  const auto bytes = daemon.play(admin.handle(std::move(peer), request.SerializeAsString()));
  AdminReply reply;
  EXPECT_TRUE(bytes && reply.ParseFromString(*bytes));
  return reply.job().summary();
}

TEST(JobSummary, NamesTheParametersInEveryState) {
  Folder folder;
  const auto shows = [](Daemon& daemon, const std::string& state) {
    const auto summary = summary_of(daemon);
    EXPECT_EQ(summary.state(), state);
    EXPECT_EQ(summary.parameters(), 93U) << state;
  };
  const auto join = [](Daemon& daemon, bool automatic) {
    std::vector<std::shared_ptr<FakeDevice>> devices;
    for (const char* name : {"a", "b", "c"}) {
      devices.push_back(FakeDevice::join(daemon, name));
      devices.back()->automatic = automatic;
    }
    return devices;
  };
  {
    Daemon daemon(folder.path());
    const auto job = daemon.submit(job_toml("", "job", 1));
    shows(daemon, "running");
    ASSERT_TRUE(job->control(JobVerb::pause));
    shows(daemon, "paused");
    ASSERT_TRUE(job->control(JobVerb::resume));
    const auto devices = join(daemon, false);
    ASSERT_TRUE(daemon.run_until([&] { return !devices[0]->assigned.empty() && job->idle(); }));
    shows(daemon, "running");  // a round is open
  }
  {
    Daemon daemon(folder.path());
    ASSERT_TRUE(daemon.recover());
    shows(daemon, "running");  // the same one
    daemon.ledger->failing = {"publish_round"};
    const auto job = daemon.job();
    const auto devices = join(daemon, true);
    ASSERT_TRUE(daemon.run_until(
        [&] { return job->machine().job_phase() == JobPhase::degraded && job->idle(); }));
    shows(daemon, "degraded");
    ASSERT_TRUE(job->control(JobVerb::resume));
    ASSERT_TRUE(daemon.run_until([&] { return daemon.over(); }));
    shows(daemon, "finished");
  }
  Daemon daemon(folder.path());
  ASSERT_TRUE(daemon.recover());
  shows(daemon, "finished");
}

TEST_F(Admin, UnknownNamesAreNotFound) {
  submit();
  for (const Permission& permission : every_call()) {
    if (permission.request.has_submit_job() || permission.request.has_create_token()) continue;
    const auto reply = call(Role::owner, permission.request);
    if (reply) continue;  // lists that need no name
    EXPECT_TRUE(reply.error().code == errc::not_found ||
                reply.error().code == errc::malformed_message)
        << permission.name << ": " << reply.error().to_string();
  }
  AdminRequest round;
  round.mutable_show_round()->set_job("job");
  round.mutable_show_round()->set_round(9);
  EXPECT_EQ(code(round), errc::not_found);
}

TEST_F(Admin, ABadJobIsExplained) {
  AdminRequest request;
  request.mutable_submit_job()->set_job_toml("[job]\nname = 5\n");
  request.mutable_submit_job()->set_file_name("mine.toml");
  const auto reply = call(Role::operator_, request);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, errc::malformed_file);
  EXPECT_THAT(reply.error().detail, HasSubstr("mine.toml"));
}

// ---- rounds ----

TEST_F(Admin, RoundsAreShownWhileOpenAndAfterwards) {
  submit();
  do_round("gate-1");
  AdminRequest show;
  show.mutable_show_round()->set_job("job");
  show.mutable_show_round()->set_round(1);
  const auto closed = must(show).round();
  EXPECT_EQ(closed.summary().state(), "published");
  EXPECT_EQ(closed.summary().accepted(), 1U);
  ASSERT_EQ(closed.devices_size(), 1);
  EXPECT_EQ(closed.devices(0).device(), "gate-1");
  EXPECT_EQ(closed.devices(0).state(), "accepted");
  EXPECT_EQ(closed.devices(0).bytes(), 372U);

  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    co_await client->get_work();
    AdminRequest open;
    open.mutable_show_round()->set_job("job");  // 0: the one in progress
    Peer peer;
    peer.name = "ann";
    peer.role = Role::viewer;
    const auto bytes = co_await server.admin->handle(std::move(peer), open.SerializeAsString());
    AdminReply reply;
    EXPECT_TRUE(reply.ParseFromString(*bytes));
    EXPECT_EQ(reply.round().summary().round(), 2U);
    EXPECT_EQ(reply.round().summary().state(), "collecting");
    EXPECT_EQ(reply.round().devices(0).state(), "invited");
  });
  AdminRequest list;
  list.mutable_list_rounds()->set_job("job");
  const auto rounds = must(list).rounds();
  ASSERT_EQ(rounds.rounds_size(), 2);
  EXPECT_EQ(rounds.rounds(0).round(), 1U);
  EXPECT_EQ(rounds.rounds(1).round(), 2U);

  AdminRequest control;
  control.mutable_control_round()->set_job("job");
  control.mutable_control_round()->set_round(1);
  control.mutable_control_round()->set_verb(v1::ControlRound::VERB_ABORT);
  EXPECT_EQ(code(control), errc::wrong_state);  // it is closed
  control.mutable_control_round()->set_round(2);
  must(control);
  const auto job = server.daemon.job();
  EXPECT_TRUE(server.run_until([&] { return job->machine().rounds_done() == 2; }));
  EXPECT_TRUE(server.audited("round_controlled", "ann", "VERB_ABORT job"));
  control.mutable_control_round()->set_verb(v1::ControlRound::VERB_FINISH);
  EXPECT_EQ(code(control), errc::wrong_state);  // none collects
}

// ---- models ----

TEST_F(Admin, ModelsAreListedAndShownByPrefix) {
  submit();
  do_round("gate-1");
  AdminRequest list;
  list.mutable_list_models()->set_job("job");
  const auto models = must(list).models();
  ASSERT_EQ(models.models_size(), 2);
  EXPECT_EQ(models.models(0).round(), 0U);
  EXPECT_FALSE(models.models(0).current());
  EXPECT_EQ(models.models(1).round(), 1U);
  EXPECT_TRUE(models.models(1).current());
  AdminRequest show;
  show.mutable_show_model()->set_job("job");
  EXPECT_EQ(must(show).model().summary().sha256(), models.models(1).sha256());
  show.mutable_show_model()->set_version(models.models(0).sha256().substr(0, 12));
  const auto first = must(show).model();
  EXPECT_EQ(first.summary().sha256(), models.models(0).sha256());
  ASSERT_EQ(first.tensors_size(), 2);
  EXPECT_EQ(first.tensors(0).shape_size(), 2);
  show.mutable_show_model()->set_version("0000");
  EXPECT_EQ(code(show), errc::invalid_argument);
  show.mutable_show_model()->set_version("00000000");
  EXPECT_EQ(code(show), errc::not_found);
}

TEST_F(Admin, VersionsThatWereRemovedAreNamedAsSuch) {
  std::string toml = one_device_job();
  toml.insert(toml.find("[job]\n") + 6, "keep_versions = 1\n");
  submit(toml);
  do_round("gate-1");
  AdminRequest list;
  list.mutable_list_models()->set_job("job");
  ASSERT_TRUE(server.run_until([&] { return must(list).models().models(0).removed(); }));
  const auto models = must(list).models();
  ASSERT_EQ(models.models_size(), 2);
  EXPECT_FALSE(models.models(1).removed());
  AdminRequest show;
  show.mutable_show_model()->set_job("job");
  EXPECT_EQ(must(show).model().summary().round(), 1U);
  show.mutable_show_model()->set_version(models.models(0).sha256());
  const auto reply = call(Role::owner, show);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, errc::not_found);
  EXPECT_NE(reply.error().detail.find("keeps the newest 1"), std::string::npos);
}

// ---- devices ----

TEST_F(Admin, DevicesAreListedShownAndRevoked) {
  for (const char* name : {"gate-1", "gate-2", "gate-3"}) enroll(name);
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-2");
    while (server.daemon.board->devices_connected() == 0) (void)co_await net::sleep_for(1ms);
    AdminRequest list;
    list.mutable_list_devices();
    Peer viewer;
    viewer.name = "vic";
    viewer.role = Role::viewer;
    const auto bytes = co_await server.admin->handle(viewer, list.SerializeAsString());
    AdminReply reply;
    EXPECT_TRUE(reply.ParseFromString(*bytes));
    EXPECT_EQ(reply.devices().devices_size(), 3);
    EXPECT_FALSE(reply.devices().devices(0).connected());
    EXPECT_TRUE(reply.devices().devices(1).connected());
    EXPECT_EQ(reply.devices().next(), "");

    AdminRequest revoke;
    revoke.mutable_revoke_device()->set_device("gate-2");
    revoke.mutable_revoke_device()->set_why("stolen");
    Peer owner;
    owner.name = "olga";
    owner.role = Role::owner;
    const auto done = co_await server.admin->handle(owner, revoke.SerializeAsString());
    EXPECT_TRUE(reply.ParseFromString(*done));
    EXPECT_EQ(reply.device().summary().state(), "revoked");
    EXPECT_FALSE(reply.device().summary().connected());
    co_await client->hear_the_end(errc::revoked);
    auto again = co_await Client::connect(server, device_tls("gate-2"));
    co_await again->say(hello());
    co_await again->hear_the_end(errc::revoked);
  });
  EXPECT_TRUE(server.audited("device_revoked", "olga", "gate-2: stolen"));
  const auto revoked = server.daemon.ask([&] { return server.daemon.ledger->revoked(); }).value();
  EXPECT_EQ(revoked, (std::vector<ClientId>{{"gate-2"}}));
}

TEST_F(Admin, DevicesComeInPages) {
  for (std::size_t i = 0; i < limits::kPageRowsMax + 1; ++i) {
    std::string number = std::to_string(i);
    number.insert(0, 4 - number.size(), '0');
    enroll("gate-" + number);
  }
  AdminRequest list;
  list.mutable_list_devices();
  const auto first = must(list).devices();
  EXPECT_EQ(first.devices_size(), static_cast<int>(limits::kPageRowsMax));
  EXPECT_EQ(first.next(), "gate-0199");
  list.mutable_list_devices()->set_after(first.next());
  const auto rest = must(list).devices();
  ASSERT_EQ(rest.devices_size(), 1);
  EXPECT_EQ(rest.devices(0).device(), "gate-0200");
  EXPECT_EQ(rest.next(), "");
}

TEST_F(Admin, AnswersThatDoNotFitAMessageSaySo) {
  for (std::size_t i = 0; i < 200; ++i) {
    server.daemon.audit_log->add("gate-1", "update_rejected", std::string(500, 'x'));
  }
  AdminRequest list;
  list.mutable_list_audit();
  EXPECT_EQ(code(list), errc::frame_too_large);
  list.mutable_list_audit()->set_last(20);
  const auto entries = must(list).audit();
  EXPECT_EQ(entries.entries_size(), 20);
  EXPECT_EQ(entries.entries(0).what(), "update_rejected");
}

// ---- watching ----

class Watching : public Admin {
 protected:
  struct Watch {
    std::optional<v1::JobProgress> answer;
  };
  /// A long poll for news after `revision`.
  std::shared_ptr<Watch> watch(std::uint64_t revision, std::uint32_t wait_ms) {
    auto result = std::make_shared<Watch>();
    AdminRequest request;
    request.mutable_watch_job()->set_job("job");
    request.mutable_watch_job()->set_revision(revision);
    request.mutable_watch_job()->set_wait_ms(wait_ms);
    auto body = [](NetDaemon& daemon, std::string bytes, std::shared_ptr<Watch> into) -> Work {
      Peer peer;
      peer.name = "vic";
      peer.role = Role::viewer;
      const auto reply = co_await daemon.admin->handle(std::move(peer), std::move(bytes));
      EXPECT_TRUE(reply);
      AdminReply parsed;
      EXPECT_TRUE(parsed.ParseFromString(*reply));
      into->answer = parsed.progress();
    };
    net::spawn(server.daemon.context.control,
               body(server, request.SerializeAsString(), result),
               "a watcher");
    return result;
  }
  v1::JobProgress now() {
    const auto asked = watch(0, 0);
    EXPECT_TRUE(server.run_until([&] { return asked->answer.has_value(); }));
    return *asked->answer;
  }
};

TEST_F(Watching, AChangeWakesEveryWatcher) {
  submit();
  const std::uint64_t revision = now().revision();
  std::vector<std::shared_ptr<Watch>> watchers;
  for (int i = 0; i < 3; ++i) watchers.push_back(watch(revision, 25'000));
  now();  // lets them begin; nothing has changed
  for (const auto& watcher : watchers) EXPECT_FALSE(watcher->answer);
  const auto began = std::chrono::steady_clock::now();
  do_round("gate-1");
  for (const auto& watcher : watchers) {
    EXPECT_TRUE(server.run_until([&] { return watcher->answer.has_value(); }));
    EXPECT_NE(watcher->answer->revision(), revision);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
  const auto progress = now();
  EXPECT_EQ(progress.summary().rounds_done(), 1U);
  ASSERT_EQ(progress.rounds_size(), 1);
  EXPECT_EQ(progress.rounds(0).state(), "published");
}

TEST_F(Watching, AnOldRevisionIsAnsweredAtOnce) {
  submit();
  const auto answer = watch(now().revision() + 100, 25'000);
  EXPECT_TRUE(server.run_until([&] { return answer->answer.has_value(); }));
}

TEST_F(Watching, WithoutNewsTheTimeEndsIt) {
  submit();
  const std::uint64_t revision = now().revision();
  const auto answer = watch(revision, 30);
  EXPECT_TRUE(server.run_until([&] { return answer->answer.has_value(); }));
  EXPECT_EQ(answer->answer->revision(), revision);
}

}  // namespace
}  // namespace chorus::server::test
