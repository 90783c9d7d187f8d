// Conventions of the C interface: statuses, errors, handles, structs that grow.
#include "client/src/c_api.hpp"

#include <array>
#include <cstring>
#include <fstream>
#include <map>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/chorus.h"
#include "client/src/c_api_trainer.hpp"
#include "tests/unit/client/c_api/c_programs.h"

namespace chorus::capi {
namespace {

using ::testing::HasSubstr;

TEST(CApi, CompilesAndWorksAsC) {
  EXPECT_STREQ(c_header_problem(), nullptr);
}

TEST(CApi, VersionIsTheHeaders) {
  EXPECT_EQ(std::string(chorus_version()),
            std::to_string(CHORUS_VERSION_MAJOR) + "." + std::to_string(CHORUS_VERSION_MINOR) +
                "." + std::to_string(CHORUS_VERSION_PATCH));
}

// The header's enumerators against the C++ ones: the same names and numbers, none missing.
TEST(CApi, StatusesAreTheErrorCodes) {
  std::ifstream header(CHORUS_ROOT_DIR "/client/include/chorus/c/base.h");
  const std::regex line(R"(^  CHORUS_([A-Z_]+) = (\d+),)");
  std::map<unsigned, std::string> statuses;
  for (std::string text; std::getline(header, text);) {
    if (std::smatch found; std::regex_search(text, found, line)) {
      std::string name = found[1];
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      statuses.emplace(std::stoul(found[2]), name);
    }
  }
  EXPECT_EQ(statuses.at(0), "ok");
  for (std::uint32_t number = 0; number < 200; ++number) {
    const auto status = static_cast<chorus_status>(number);
    const std::string name = chorus_status_name(status);
    if (const auto found = statuses.find(number); found != statuses.end()) {
      EXPECT_EQ(name, found->second);
    } else {
      EXPECT_EQ(name, "unknown") << number << " is missing in chorus/c/base.h";
    }
    EXPECT_EQ(chorus_may_retry(status), may_retry(static_cast<errc>(number))) << number;
  }
}

TEST(CApi, TheLastErrorIsOfThisThreadAndOfTheLastFailure) {
  EXPECT_EQ(chorus_fail(CHORUS_BUSY, "first"), CHORUS_BUSY);
  EXPECT_STREQ(chorus_last_error(), "first");
  EXPECT_EQ(guarded([]() -> Result<void> { return {}; }), CHORUS_OK);
  EXPECT_STREQ(chorus_last_error(), "first");
  std::thread([] { EXPECT_STREQ(chorus_last_error(), ""); }).join();
  EXPECT_EQ(chorus_fail(CHORUS_BUSY, nullptr), CHORUS_BUSY);
  EXPECT_STREQ(chorus_last_error(), "first");
  EXPECT_EQ(chorus_fail(CHORUS_BUSY, chorus_last_error()), CHORUS_BUSY);
  EXPECT_STREQ(chorus_last_error(), "first");
}

TEST(CApi, LongErrorsAreCutBetweenCharacters) {
  chorus_fail(CHORUS_BUSY, (std::string(1022, 'a') + "é").c_str());  // its first byte would fit
  EXPECT_EQ(std::string(chorus_last_error()), std::string(1022, 'a'));
  chorus_fail(CHORUS_BUSY, (std::string(1021, 'a') + "é").c_str());
  EXPECT_EQ(std::strlen(chorus_last_error()), 1023U);
}

TEST(CApi, NoExceptionComesThrough) {
  EXPECT_EQ(guarded([]() -> Result<void> { throw std::runtime_error("broken"); }), CHORUS_INTERNAL);
  EXPECT_STREQ(chorus_last_error(), "broken");
  EXPECT_EQ(guarded([]() -> Result<void> { throw std::bad_alloc(); }), CHORUS_BUSY);
  EXPECT_STREQ(chorus_last_error(), "no memory");
  EXPECT_EQ(guarded([]() -> Result<void> { throw 7; }), CHORUS_INTERNAL);
  EXPECT_EQ(guarded_or<int>(-1, []() -> Result<int> { throw 7; }), -1);
}

// ---- structs that grow ----

struct Older {
  std::size_t size;
  std::uint64_t a;
};
struct Newer {
  std::size_t size;
  std::uint64_t a;
  std::uint64_t b;
};

TEST(CApi, AnOlderProgramLeavesNewFieldsAtZero) {
  const Older given{sizeof given, 7};
  const auto taken = copied(reinterpret_cast<const Newer*>(&given), "newer", sizeof(Older));
  ASSERT_TRUE(taken) << taken.error().detail;
  EXPECT_EQ(taken->a, 7U);
  EXPECT_EQ(taken->b, 0U);
  EXPECT_EQ(taken->size, sizeof(Newer));

  Older out{sizeof out, 0};
  ASSERT_TRUE(hand_out(Newer{0, 5, 6}, reinterpret_cast<Newer*>(&out), "newer", sizeof(Older)));
  EXPECT_EQ(out.a, 5U);
  EXPECT_EQ(out.size, sizeof(Older));
}

TEST(CApi, ANewerProgramMayNotUseWhatTheLibraryDoesNotKnow) {
  Newer given{sizeof given, 7, 0};
  EXPECT_TRUE(copied(reinterpret_cast<const Older*>(&given), "older"));
  given.b = 1;
  const auto refused = copied(reinterpret_cast<const Older*>(&given), "older");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::unsupported_version);
  EXPECT_THAT(refused.error().detail, HasSubstr("use a newer library, or leave them 0"));

  Newer out{sizeof out, 1, 2};
  ASSERT_TRUE(hand_out(Older{0, 5}, reinterpret_cast<Older*>(&out), "older"));
  EXPECT_EQ(out.a, 5U);
  EXPECT_EQ(out.b, 0U);
  EXPECT_EQ(out.size, sizeof(Newer));
}

TEST(CApi, WrongSizesAreRefused) {
  for (const std::size_t size : {std::size_t{0},
                                 sizeof(void*),
                                 sizeof(Older) - 1,
                                 std::size_t{4097},
                                 static_cast<std::size_t>(-1)}) {
    Older given{size, 0};
    const auto taken = copied(&given, "older");
    ASSERT_FALSE(taken) << size;
    EXPECT_EQ(taken.error().code, errc::invalid_argument);
    EXPECT_THAT(taken.error().detail,
                HasSubstr("older.size is " + std::to_string(size) +
                          "; expected sizeof(older), which is 16 here"));
    EXPECT_FALSE(hand_out(Older{}, &given, "older"));
  }
}

// ---- handles ----

#define EXPECT_REFUSED(call, text)          \
  EXPECT_EQ(call, CHORUS_INVALID_ARGUMENT); \
  EXPECT_THAT(chorus_last_error(), HasSubstr(text));

TEST(CApi, NullIsRefusedEverywhere) {
  chorus_client* client = nullptr;
  chorus_trainer* trainer = nullptr;
  EXPECT_REFUSED(chorus_enroll(nullptr, nullptr, 0), "'chorus_enroll_options' is null");
  EXPECT_REFUSED(chorus_client_create(nullptr, &client), "'chorus_client_options' is null");
  EXPECT_REFUSED(chorus_client_create(nullptr, nullptr), "'client' is null");
  EXPECT_REFUSED(chorus_client_run(nullptr, nullptr, nullptr), "the chorus_client is null");
  EXPECT_REFUSED(chorus_client_stop(nullptr), "the chorus_client is null");
  EXPECT_REFUSED(chorus_trainer_create(nullptr, &trainer), "'chorus_trainer_callbacks' is null");
  EXPECT_REFUSED(chorus_trainer_create(nullptr, nullptr), "'trainer' is null");
  EXPECT_REFUSED(chorus_task_check_plan(nullptr, nullptr, 0), "the chorus_task is null");
  EXPECT_REFUSED(chorus_task_state_epoch(nullptr, nullptr), "the chorus_task is null");
  EXPECT_REFUSED(chorus_task_state_load(nullptr, "x", nullptr, 0, nullptr), "chorus_task is null");
  EXPECT_REFUSED(chorus_task_state_store(nullptr, "x", nullptr, 0), "the chorus_task is null");
  EXPECT_REFUSED(chorus_report_examples(nullptr, 1), "the chorus_report is null");
  EXPECT_REFUSED(chorus_report_steps(nullptr, 1), "the chorus_report is null");
  EXPECT_REFUSED(chorus_report_epochs(nullptr, 1), "the chorus_report is null");
  EXPECT_REFUSED(chorus_report_ending(nullptr, CHORUS_ENDING_DEVICE), "the chorus_report is null");
  EXPECT_REFUSED(chorus_report_metric(nullptr, "loss", 1), "the chorus_report is null");
  EXPECT_REFUSED(chorus_report_part(nullptr, CHORUS_PART_LOSSES, nullptr, 0), "report is null");
  EXPECT_REFUSED(chorus_report_no_delta(nullptr), "the chorus_report is null");
  EXPECT_REFUSED(chorus_report_state_epoch(nullptr, 1), "the chorus_report is null");
}

TEST(CApi, GettersOfNullGiveNothingAndSayWhy) {
  const auto said = [] {
    const std::string text = chorus_last_error();
    chorus_fail(CHORUS_OK, "");
    return text;
  };
  EXPECT_EQ(chorus_task_job(nullptr), nullptr);
  EXPECT_THAT(said(), HasSubstr("the chorus_task is null"));
  EXPECT_EQ(chorus_task_round(nullptr), 0U);
  EXPECT_FALSE(chorus_task_cancelled(nullptr));
  EXPECT_EQ(chorus_task_plan(nullptr), nullptr);
  EXPECT_EQ(chorus_task_batch_size(nullptr), 0U);
  EXPECT_EQ(chorus_task_normalise(nullptr, nullptr), nullptr);
  EXPECT_EQ(chorus_task_learning_rate(nullptr, 0), 0.0);
  EXPECT_EQ(chorus_task_tensor_count(nullptr), 0U);
  EXPECT_EQ(chorus_task_tensor(nullptr, 0), nullptr);
  EXPECT_EQ(chorus_task_find_tensor(nullptr, "x"), nullptr);
  EXPECT_EQ(chorus_task_model(nullptr), nullptr);
  EXPECT_EQ(chorus_task_vector(nullptr, "x"), nullptr);
  EXPECT_THAT(said(), HasSubstr("the chorus_task is null"));
  EXPECT_STREQ(chorus_state_name(static_cast<chorus_state>(99)), "unknown");
  EXPECT_STREQ(chorus_state_name(CHORUS_UPLOADING), "uploading");
}

TEST(CApi, AnotherHandleAndAClosedOneAreRefused) {
  chorus_report report;
  EXPECT_REFUSED(chorus_client_stop(reinterpret_cast<chorus_client*>(&report)),
                 "this is no open chorus_client: it was closed, or is a handle of another kind");
  auto* wrong = reinterpret_cast<chorus_trainer*>(&report);
  chorus_trainer_destroy(&wrong);  // not a trainer: left alone
  EXPECT_NE(wrong, nullptr);
  report.kind = Handle::closed;
  EXPECT_REFUSED(chorus_report_examples(&report, 1), "this is no open chorus_report");
  chorus_trainer_destroy(nullptr);
  chorus_client_destroy(nullptr);
}

}  // namespace
}  // namespace chorus::capi
