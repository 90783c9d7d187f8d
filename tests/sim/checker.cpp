#include "tests/sim/checker.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <set>

#include "common/codec/update.hpp"
#include "common/crypto/digest.hpp"
#include "server/strategy/strategy.hpp"
#include "server/update/lane.hpp"
#include "tests/sim/oracle.hpp"

namespace chorus::sim {
namespace {

const JobId kJob{"job"};

[[noreturn]] void violated(std::string what) {
  throw Violation{std::move(what)};
}

void must(bool holds, const std::string& what) {
  if (!holds) violated(what);
}

template <class T>
T must(Result<T> result, std::string_view what) {
  if (!result) violated(fmt::format("{}: {}", what, result.error().to_string()));
  return std::move(*result);
}

std::vector<float> parameters_of(const server::VersionReader& version) {
  std::vector<float> parameters(version.layout().parameters);
  const auto read = version.read_parameters(0, parameters);
  must(read.has_value(), "a version cannot be read: " + (read ? "" : read.error().to_string()));
  return parameters;
}

bool same(const server::RoundRow& a, const server::RoundRow& b) {
  return a.state == b.state && a.cohort == b.cohort && a.base_version == b.base_version &&
         a.version == b.version && a.accepted == b.accepted && a.rejected == b.rejected &&
         a.discarded == b.discarded && a.examples == b.examples && a.closed_at == b.closed_at;
}

bool same(const server::ReceiptRow& a, const server::ReceiptRow& b) {
  return a.client == b.client && a.outcome == b.outcome && a.digest == b.digest &&
         a.examples == b.examples;
}

/// A body in memory.
class Body final : public server::UpdateReader {
 public:
  explicit Body(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint64_t bytes() const override { return bytes_.size(); }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace

// ---- what devices say and hear ----

void Checker::offered(const std::string& device,
                      const wire::Offer& offer,
                      std::span<const std::byte> body) {
  if (offer.task.kind != TaskKind::train) return;
  sent_[{device, offer.task.round.value, hex(offer.digest)}] =
      Sent{{body.begin(), body.end()}, offer.examples.value};
}

void Checker::acknowledged(const std::string& device, const wire::Offer& offer) {
  if (offer.task.kind != TaskKind::train) return;
  acknowledged_.push_back({device, offer.task.round.value, hex(offer.digest)});
}

// ---- what the ledger holds ----

Checker::Closed Checker::read(SimServer& server, RoundId round) {
  Closed closed;
  closed.row = must(server.ledger().round(kJob, round), "a closed round cannot be read");
  closed.receipts = must(server.ledger().receipts(kJob, round), "receipts cannot be read");
  return closed;
}

void Checker::look(SimServer& server) {
  const auto runner = server.board().find(kJob);
  if (!runner) return;
  server::JobRunner& job = **runner;
  if (!begun_) {
    begun_ = true;
    current_ = job.row().initial_version;
  }
  // While it is open: what devices of the next round share is another form's.
  const RoundId open = job.machine().round();
  if (open > job.row().last_round && !forms_.contains(open.value)) {
    if (const auto form = job.codecs().form_of(open)) forms_[open.value] = *form;
  }
  while (closed_.size() < job.row().last_round.value) {
    const RoundId round{closed_.size() + 1};
    Closed closed = read(server, round);
    check_round(server, job, closed);
    closed_.emplace(round.value, std::move(closed));
  }
}

void Checker::check_round(SimServer& server, server::JobRunner& job, const Closed& closed) {
  const server::RoundRow& row = closed.row;
  const auto in_round = [&row](const std::string& what) {
    return fmt::format("round {}: {}", row.round.value, what);
  };
  must(row.base_version == current_, in_round("it does not begin from the version before it"));
  std::set<ClientId> seen;
  std::uint64_t accepted = 0;
  for (const server::ReceiptRow& receipt : closed.receipts) {
    must(seen.insert(receipt.client).second, in_round("two receipts of " + receipt.client.value));
    must(std::binary_search(row.cohort.begin(), row.cohort.end(), receipt.client),
         in_round(receipt.client.value + " has a receipt and was not invited"));
    must(receipt.outcome == "accepted" || !receipt.why.empty(),
         in_round(receipt.client.value + " is " + receipt.outcome + " without a reason"));
    if (receipt.outcome != "accepted") continue;
    ++accepted;
    const auto sent = sent_.find({receipt.client.value, row.round.value, receipt.digest});
    must(sent != sent_.end(),
         in_round(receipt.client.value + " is counted with an update that it never made"));
    must(hex(body_digest(sent->second.body)) == receipt.digest,
         in_round(receipt.client.value + " is counted with a body that is not of its digest"));
    must(sent->second.examples == receipt.examples.value,
         in_round(receipt.client.value + " is counted with other examples than it said"));
  }
  if (row.state == server::RoundState::published) {
    const auto& pace = job.config().round.pace;
    must(accepted == row.accepted, in_round("its receipts are not as many as it counts"));
    must(accepted >= pace.min_reports, in_round("it was published with too few updates"));
    must(accepted <= pace.goal, in_round("it was published with more updates than its goal"));
    must(row.version.has_value(), in_round("it was published without a version"));
    check_sums(server, job, closed);
    current_ = *row.version;
    ++published_;
    updates_ += accepted;
  } else {
    must(row.state == server::RoundState::abandoned && !row.version && accepted == 0,
         in_round("it is neither published nor abandoned, or counts what it does not use"));
    must(!row.why.empty(), in_round("it was abandoned without a reason"));
  }
  check_acknowledged(closed);
}

// An update that a device was told is counted is in this round's version, or its round has none.
void Checker::check_acknowledged(const Closed& closed) const {
  for (const Part& part : acknowledged_) {
    if (part.round != closed.row.round.value) continue;
    const auto receipt =
        std::find_if(closed.receipts.begin(), closed.receipts.end(), [&part](const auto& r) {
          return r.client.value == part.client;
        });
    const auto what =
        fmt::format("round {}: the acknowledged update of {}", part.round, part.client);
    must(receipt != closed.receipts.end(), what + " has no receipt");
    if (closed.row.state != server::RoundState::published) continue;
    must(receipt->outcome == "accepted", what + " is " + receipt->outcome);
    must(receipt->digest == part.digest, what + " is not the one that counts");
  }
}

// The version is what the formulas make of the one before it and the accepted updates: by the
// oracle's integers where they are float32, else by a fresh lane that no fault has touched.
void Checker::check_sums(SimServer& server, server::JobRunner& job, const Closed& closed) {
  const server::JobConfig& config = job.config();
  const auto version =
      must(server.versions().open_version(*closed.row.version), "a version is gone");
  const auto verified = server.versions().verify(*closed.row.version);
  must(verified.has_value(), "a published version is damaged");
  if (config.down || config.strategy != "fedavg") return;
  const auto& compression = config.train.compression;
  if (compression && compression->feedback == Feedback::difference) return;
  const auto base = must(server.versions().open_version(closed.row.base_version), "a base is gone");
  const std::vector<float> before = parameters_of(*base);
  const std::vector<float> after = parameters_of(*version);
  const bool by_examples =
      std::get<std::string>(config.strategy_options.at("weighting")) == "examples";
  const double rate = std::get<double>(config.strategy_options.at("server_learning_rate"));
  const std::uint64_t weight_max = by_examples ? config.limits.examples_max : 1;
  const auto weight_of = [by_examples](const server::ReceiptRow& receipt) {
    return by_examples ? receipt.examples.value : std::uint64_t{1};
  };
  const auto body_of = [&](const server::ReceiptRow& receipt) -> const std::vector<std::byte>& {
    return sent_.at({receipt.client.value, closed.row.round.value, receipt.digest}).body;
  };
  std::vector<float> mean;
  if (!compression) {
    std::vector<WeightedUpdate> updates;
    for (const server::ReceiptRow& receipt : closed.receipts) {
      if (receipt.outcome != "accepted") continue;
      WeightedUpdate update{std::vector<float>(before.size()), weight_of(receipt)};
      must(body_of(receipt).size() == before.size() * sizeof(float),
           "a body of another size counts");
      std::memcpy(update.values.data(), body_of(receipt).data(), body_of(receipt).size());
      updates.push_back(std::move(update));
    }
    mean =
        exact_mean(updates, scale_of(job.machine().invited(), weight_max, config.limits.value_max));
  } else {
    must(forms_.contains(closed.row.round.value), "a round was closed that nobody has seen open");
    const auto& form = forms_.at(closed.row.round.value);
    auto lane = must(
        server::Lane::create(
            form,
            {job.machine().invited(), weight_max, form->lane_value_max(config.limits.value_max)}),
        "a lane");
    for (const server::ReceiptRow& receipt : closed.receipts) {
      if (receipt.outcome != "accepted") continue;
      auto body =
          must(server::UpdateBody::open(std::make_shared<Body>(body_of(receipt)), *form), "a body");
      const std::vector<server::Contribution> one{
          {std::make_shared<const server::UpdateBody>(std::move(body)), weight_of(receipt)}};
      server::LaneRange all{0, lane.sums().size()};
      must(lane.fold(one, all).has_value(), "a body cannot be folded");
      lane.count_weights(one);
    }
    mean.resize(before.size());
    for (std::uint64_t at = 0; at < mean.size();) {
      const std::uint64_t run = lane.run(at);
      lane.mean(at, std::span(mean).subspan(at, run));
      at += run;
    }
  }
  for (std::size_t i = 0; i < after.size(); ++i) {
    const double step = rate * static_cast<double>(mean[i]);
    const auto expected = static_cast<float>(static_cast<double>(before[i]) + step);
    must(expected == after[i],
         fmt::format("round {}: parameter {} is {} in the published version; the accepted updates "
                     "make it {}",
                     closed.row.round.value,
                     i,
                     after[i],
                     expected));
  }
}

void Checker::look_again(SimServer& server) {
  const auto runner = server.board().find(kJob);
  if (!runner) {
    must(!begun_, "the job is gone after a restart");
    return;
  }
  const std::uint64_t last = (*runner)->row().last_round.value;
  must(last >= closed_.size(),
       fmt::format("{} rounds were closed, and {} after a restart", closed_.size(), last));
  for (const auto& [number, closed] : closed_) {
    const Closed now = read(server, RoundId{number});
    must(same(closed.row, now.row), fmt::format("round {} changed after a restart", number));
    const bool receipts = std::equal(closed.receipts.begin(),
                                     closed.receipts.end(),
                                     now.receipts.begin(),
                                     now.receipts.end(),
                                     [](const auto& a, const auto& b) { return same(a, b); });
    must(receipts, fmt::format("the receipts of round {} changed after a restart", number));
    if (closed.row.version) {
      must(server.versions().verify(*closed.row.version).has_value(),
           fmt::format("the version of round {} is damaged or gone after a restart", number));
    }
  }
}

void Checker::finish(SimServer& server) {
  look(server);
  const auto rows = must(server.ledger().versions(kJob), "the versions");
  must(rows.size() == published_ + 1, "there are versions that no round published");
  for (const Part& part : acknowledged_) {
    must(closed_.contains(part.round),
         fmt::format("an update of {} was acknowledged for round {}, which there never was",
                     part.client,
                     part.round));
  }
}

}  // namespace chorus::sim
