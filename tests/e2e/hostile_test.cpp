// Peers that misbehave are told so, recorded, and harm nobody else.
#include "tests/e2e/digits.hpp"

namespace chorus::test {
namespace {

bool audit_has(Federation& federation, const std::string& what, const std::string& part) {
  const auto audit = federation.admin({"audit", "--last", "200"});
  for (const auto& entry : audit.at("entries")) {
    const std::string detail = entry.at("detail");
    if (entry.at("what") == what && detail.find(part) != std::string::npos) return true;
  }
  return false;
}

TEST(Hostile, TlsTwelveIsRefusedByName) {
  Digits digits(DigitsOptions{});
  const Finished client = run({"openssl",
                               "s_client",
                               "-connect",
                               digits.federation().address(),
                               "-alpn",
                               "chorus/1",
                               "-tls1_2"});
  EXPECT_NE(client.code, 0);
  EXPECT_TRUE(eventually([&] {
    return audit_has(digits.federation(), "handshake_refused", "TLS 1.2");
  })) << digits.federation().log();
}

TEST(Hostile, StrangersDoNotDisturbARunningJob) {
  DigitsOptions options;
  options.rounds = 6;
  Digits digits(options);
  digits.submit();
  digits.start_agents();
  for (int i = 0; i < 5; ++i) {
    // Plain HTTP at the TLS port, and a TLS client without the protocol's name.
    run({"bash",
         "-c",
         "printf 'GET / HTTP/1.0\\r\\n\\r\\n' > /dev/tcp/127.0.0.1/" +
             std::to_string(digits.federation().port())});
    run({"openssl", "s_client", "-connect", digits.federation().address(), "-tls1_3"});
  }
  digits.finish();
  digits.expect_complete();
  EXPECT_TRUE(audit_has(digits.federation(), "handshake_refused", ""));
}

TEST(Hostile, ARevokedDeviceIsOutAtOnceAndForGood) {
  DigitsOptions options;
  options.rounds = 1'000'000;  // the test ends it
  options.pace = "min_reports = 2\ndeadline = \"2s\"\nselection_deadline = \"1s\"";
  options.evaluation = "fraction = 0.0";
  Digits digits(options);
  digits.submit();
  digits.start_agents();
  ASSERT_TRUE(eventually([&] { return !digits.rounds().empty(); }));
  digits.federation().admin({"device", "revoke", Digits::name(1), "--why", "test"});
  const auto code = digits.agent(1).wait(std::chrono::seconds(30));
  ASSERT_TRUE(code.has_value()) << "the revoked agent goes on";
  EXPECT_NE(*code, 0);
  EXPECT_EQ(
      digits.federation().admin({"device", "show", Digits::name(1)}).at("summary").at("state"),
      "revoked");
  digits.start_agent(1);
  EXPECT_TRUE(digits.agent(1).wait(std::chrono::seconds(30)).has_value());
  EXPECT_TRUE(audit_has(digits.federation(), "session_refused", "revoked"));
  const auto newest = [&] { return digits.rounds().back().at("round").get<unsigned>(); };
  const unsigned before = newest();
  EXPECT_TRUE(eventually([&] { return newest() > before + 1; })) << "the others do not go on\n"
                                                                 << digits.federation().log();
}

TEST(Hostile, AUsedUpTokenAdmitsNobodyElse) {
  Digits digits(DigitsOptions{});
  const std::string token = digits.federation().admin({"enroll", "--name", "late"}).at("token");
  const TempFolder first;
  const TempFolder second;
  const auto enroll = [&](const TempFolder& folder) {
    return run(
        {AGENT_BINARY, "enroll", "--token", token, "--state", (folder.path() / "state").string()});
  };
  EXPECT_EQ(enroll(first).code, 0);
  const Finished again = enroll(second);
  EXPECT_NE(again.code, 0);
  EXPECT_NE(again.err.find("token"), std::string::npos) << again.err;
}

}  // namespace
}  // namespace chorus::test
