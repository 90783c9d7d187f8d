// A ledger in a folder of its own, and rows to put into it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/crypto/digest.hpp"
#include "server/store/ledger.hpp"
#include "server/store/sqlite.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::server {

inline TimePoint at(std::int64_t milliseconds) {
  return TimePoint(Duration(milliseconds));
}

inline DeviceRow device_row(const std::string& name) {
  DeviceRow device;
  device.client.value = name;
  device.certificate_sha256 = "certificate of " + name;
  device.enrolled_at = at(1000);
  device.last_seen_at = at(1000);
  device.certificate_expires_at = at(50'000);
  return device;
}

inline VersionRow version_row(const std::string& job, std::uint64_t round, std::string_view text) {
  VersionRow version;
  version.sha256 = sha256(text);
  version.job.value = job;
  version.round.value = round;
  version.bytes = 4096;
  version.parameters = 1000;
  version.created_at = at(2000 + static_cast<std::int64_t>(round));
  return version;
}

inline JobRow job_row(const std::string& name) {
  JobRow job;
  job.job.value = name;
  job.why = "submitted";
  job.job_toml = "name = '" + name + "'\n";
  job.initial_version = sha256("initial");
  job.current_version = job.initial_version;
  job.created_at = at(2000);
  return job;
}

inline RoundRow round_row(const std::string& job, std::uint64_t number) {
  RoundRow round;
  round.job.value = job;
  round.round.value = number;
  round.cohort = {ClientId{"a"}, ClientId{"b"}, ClientId{"c"}};
  round.base_version = sha256("initial");
  round.goal = 2;
  round.opened_at = at(3000);
  return round;
}

/// The same round with everything that is known at its end.
inline RoundRow closed_row(RoundRow round) {
  round.why = "goal reached";
  round.accepted = 2;
  round.rejected = 1;
  round.discarded = 1;
  round.examples.value = 500;
  round.bytes_up = 8000;
  round.bytes_down = 12'000;
  round.closed_at = at(4000);
  round.metrics = {{"train.loss", 0.5}, {"accuracy", 0.25}};
  return round;
}

inline ReceiptRow receipt_row(const std::string& client, const std::string& outcome) {
  ReceiptRow receipt;
  receipt.client.value = client;
  receipt.outcome = outcome;
  receipt.why = outcome == "accepted" ? "" : "because";
  receipt.examples.value = 100;
  receipt.bytes = 4000;
  receipt.seconds = 1.5;
  receipt.digest = "00ff";
  return receipt;
}

class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest() { reopen(); }

  std::filesystem::path file() const { return temp_.path() / "ledger.db"; }

  void reopen() {
    ledger_.reset();
    auto opened = open_sqlite_ledger(file());
    EXPECT_TRUE(opened) << opened.error().to_string();
    if (opened) ledger_ = std::move(opened).value();
  }

  /// Changes the file behind the ledger's back, as a bad disk or a careless person does.
  void tamper(const std::string& sql) {
    auto database = Database::open(file());
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->execute("PRAGMA ignore_check_constraints = ON"));
    const auto done = database->execute(sql);
    ASSERT_TRUE(done) << done.error().to_string();
  }

  void add_job(const std::string& name) {
    const auto done = ledger_->add_job(job_row(name), version_row(name, 0, "initial"));
    ASSERT_TRUE(done) << done.error().to_string();
  }

  void publish(const std::string& job, std::uint64_t number, std::string_view text) {
    ASSERT_TRUE(ledger_->open_round(round_row(job, number)));
    const auto done = ledger_->publish_round(
        closed_row(round_row(job, number)), version_row(job, number, text), {});
    ASSERT_TRUE(done) << done.error().to_string();
  }

  test::TempFolder temp_;
  std::unique_ptr<Ledger> ledger_;
};

}  // namespace chorus::server
