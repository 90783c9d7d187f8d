// The real ledger, with methods that fail when a test says so.
#pragma once

#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "server/store/ledger.hpp"

namespace chorus::server::test {

class FlakyLedger final : public Ledger {
 public:
  explicit FlakyLedger(std::unique_ptr<Ledger> inner) : inner_(std::move(inner)) {}

  /// Names of methods whose next call fails. Set before the store thread can call them.
  std::multiset<std::string> failing;
  /// Likewise, of methods whose next call throws.
  std::multiset<std::string> throwing;

  Result<void> enroll(const std::string& token,
                      const std::string& key,
                      const DeviceRow& device) override {
    return inner_->enroll(token, key, device);
  }
  Result<void> renew(const ClientId& client, const std::string& sha, TimePoint until) override {
    return inner_->renew(client, sha, until);
  }
  Result<void> add_token(const TokenRow& token) override { return inner_->add_token(token); }
  Result<TokenRow> token(const std::string& sha) const override { return inner_->token(sha); }
  Result<DeviceRow> device(const ClientId& client) const override { return inner_->device(client); }
  Result<std::vector<DeviceRow>> devices(const std::string& after,
                                         std::size_t limit) const override {
    return inner_->devices(after, limit);
  }
  Result<std::vector<ClientId>> revoked() const override { return inner_->revoked(); }
  Result<void> revoke(const ClientId& client) override { return inner_->revoke(client); }
  Result<void> touch(const ClientId& client, TimePoint at) override {
    return inner_->touch(client, at);
  }
  Result<void> add_job(const JobRow& job, const VersionRow& initial) override {
    if (fails("add_job")) return failure();
    return inner_->add_job(job, initial);
  }
  Result<JobRow> job(const JobId& job) const override { return inner_->job(job); }
  Result<std::vector<JobRow>> jobs() const override { return inner_->jobs(); }
  Result<void> set_job_state(const JobId& job, JobState state, const std::string& why) override {
    return inner_->set_job_state(job, state, why);
  }
  Result<void> open_round(const RoundRow& round) override {
    if (fails("open_round")) return failure();
    return inner_->open_round(round);
  }
  Result<void> publish_round(const RoundRow& round,
                             const VersionRow& version,
                             const std::vector<ReceiptRow>& receipts) override {
    if (fails("publish_round")) return failure();
    auto done = inner_->publish_round(round, version, receipts);
    if (fails("after publish_round")) return failure();
    return done;
  }
  Result<void> abandon_round(const RoundRow& round,
                             const std::vector<ReceiptRow>& receipts) override {
    if (fails("abandon_round")) return failure();
    return inner_->abandon_round(round, receipts);
  }
  Result<void> add_round_metrics(const JobId& job,
                                 RoundId round,
                                 std::uint64_t evaluated,
                                 const std::vector<Metric>& metrics) override {
    return inner_->add_round_metrics(job, round, evaluated, metrics);
  }
  Result<std::optional<RoundRow>> open_round_of(const JobId& job) const override {
    return inner_->open_round_of(job);
  }
  Result<RoundRow> round(const JobId& job, RoundId round) const override {
    return inner_->round(job, round);
  }
  Result<std::vector<RoundRow>> rounds(const JobId& job, std::size_t last) const override {
    return inner_->rounds(job, last);
  }
  Result<std::vector<ReceiptRow>> receipts(const JobId& job, RoundId round) const override {
    return inner_->receipts(job, round);
  }
  Result<std::vector<VersionRow>> versions(const JobId& job) const override {
    return inner_->versions(job);
  }
  Result<VersionRow> find_version(const JobId& job, const std::string& prefix) const override {
    return inner_->find_version(job, prefix);
  }
  Result<std::vector<VersionRow>> newest_versions(const JobId& job,
                                                  std::size_t last) const override {
    return inner_->newest_versions(job, last);
  }
  Result<std::vector<VersionRow>> surplus_versions(const JobId& job,
                                                   std::uint64_t keep) const override {
    return inner_->surplus_versions(job, keep);
  }
  Result<bool> shares_file(const VersionRow& version) const override {
    return inner_->shares_file(version);
  }
  Result<void> set_version_removed(const JobId& job, RoundId round) override {
    if (fails("set_version_removed")) return failure();
    return inner_->set_version_removed(job, round);
  }
  Result<std::optional<ReceiptRow>> receipt(const JobId& job,
                                            RoundId round,
                                            const ClientId& client) const override {
    return inner_->receipt(job, round, client);
  }
  Result<void> add_codec_plan(const CodecPlanRow& plan) override {
    if (fails("add_codec_plan")) return failure();
    return inner_->add_codec_plan(plan);
  }
  Result<std::optional<CodecPlanRow>> codec_plan(const JobId& job, RoundId round) const override {
    return inner_->codec_plan(job, round);
  }
  Result<std::vector<std::byte>> round_basis(const JobId& job) const override {
    return inner_->round_basis(job);
  }
  Result<void> remove_round_basis(const JobId& job) override {
    return inner_->remove_round_basis(job);
  }
  Result<void> begin_differences(const JobId& job, RoundId first) override {
    if (fails("begin_differences")) return failure();
    return inner_->begin_differences(job, first);
  }
  Result<RoundId> differences_since(const JobId& job, RoundId round) const override {
    return inner_->differences_since(job, round);
  }
  Result<std::map<ClientId, AcceptedUpdates>> accepted_since(const JobId& job,
                                                             RoundId first) const override {
    return inner_->accepted_since(job, first);
  }
  Result<void> add_audit(const std::vector<AuditRow>& rows) override {
    return inner_->add_audit(rows);
  }
  Result<std::vector<AuditRow>> audit(std::size_t last) const override {
    return inner_->audit(last);
  }
  Result<std::vector<AuditRow>> audit_of(const std::string& who, std::size_t last) const override {
    return inner_->audit_of(who, last);
  }

 private:
  bool fails(const std::string& method) {
    if (const auto found = throwing.find(method); found != throwing.end()) {
      throwing.erase(found);
      throw std::runtime_error("the ledger threw");
    }
    const auto found = failing.find(method);
    if (found == failing.end()) return false;
    failing.erase(found);
    return true;
  }
  static Failure failure() { return fail(errc::database_failed, "the ledger's disk is gone"); }

  std::unique_ptr<Ledger> inner_;
};

}  // namespace chorus::server::test
