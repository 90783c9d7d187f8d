// The part of a session that moves models down and updates up.
#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/net/async.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "server/driver/fail_point.hpp"
#include "server/net/session.hpp"
#include "server/update/update_body.hpp"
#include "server/update/validator.hpp"

namespace chorus::server {

namespace asio = boost::asio;

namespace {

using Buffer = tensor::AlignedBuffer<float>;

constexpr auto kGrantPause = std::chrono::milliseconds(20);

std::size_t chunk_length(std::uint64_t left) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(left, limits::kChunkBytesMax));
}

/// The round ended, and its journal went, while a body was on its way.
bool closed_meanwhile(const Failure& failure) {
  return failure.code == errc::wrong_state;
}

bool servers_fault(errc code) {
  return code == errc::disk_full || code == errc::io_failed || code == errc::corrupt_data ||
         code == errc::internal;
}

Failure round_closed() {
  return fail(errc::task_closed, "the round has closed without this update");
}

/// Checks a body as it arrives: place, digest and, of plain updates, values.
class BodyCheck {
 public:
  BodyCheck(const UploadTarget& target) : target_(target), validator_(target.value_max) {}

  std::uint64_t offset() const noexcept { return offset_; }
  bool complete() const noexcept { return offset_ == target_.meta.bytes; }

  /// @param body  aligned as floats are
  Result<void> take(std::span<const std::byte> body) {
    hasher_.update(body);
    offset_ += body.size();
    if (target_.form->compressed()) return {};
    return validator_.check(
        {reinterpret_cast<const float*>(body.data()), body.size() / sizeof(float)});
  }

  Result<void> place(std::uint64_t at, std::size_t length) const {
    if (at != offset_ || length == 0 || length > target_.meta.bytes - offset_) {
      return fail(errc::unexpected_message,
                  "a chunk of " + std::to_string(length) + " bytes at offset " +
                      std::to_string(at) + " of an update of " +
                      std::to_string(target_.meta.bytes) + " bytes that stands at " +
                      std::to_string(offset_));
    }
    if (!target_.form->compressed() && length % sizeof(float) != 0) {
      return fail(errc::unexpected_message,
                  "a chunk of " + std::to_string(length) +
                      " bytes cuts a float32 in two; lengths are multiples of 4");
    }
    return {};
  }

  Result<void> finish() const {
    const BodyDigest found = hasher_.digest();
    if (found == target_.meta.digest) return {};
    return fail(errc::digest_mismatch,
                "the body's XXH3-128 is " + hex(found) + ", the offer announced " +
                    hex(target_.meta.digest));
  }

 private:
  const UploadTarget& target_;
  BodyHasher hasher_;
  UpdateValidator validator_;
  std::uint64_t offset_ = 0;
};

}  // namespace

// Waits for other transfers to end when the budget is used up, as long as a chunk may take.
Session::Async<MemoryBudget::Grant> Session::memory_for(std::uint64_t bytes) {
  const auto until = SteadyClock::now() + services_.memory_deadline;
  for (;;) {
    CHORUS_CO_OK(still_open());
    if (auto grant = services_.context->memory->take(bytes)) co_return grant;
    if (SteadyClock::now() > until) {
      co_return fail(errc::busy, "the server's memory for transfers is used up; try again later");
    }
    CHORUS_CO_OK(co_await net::sleep_for(kGrantPause));
  }
}

// ---- down ----

Session::Download Session::whole_basis(std::shared_ptr<const BasisOffer> offer) {
  Download download;
  download.bytes = offer->bytes.size();
  download.read = [offer = std::move(offer)](std::uint64_t offset,
                                             std::span<std::byte> into) -> Result<void> {
    std::copy_n(
        offer->bytes.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  };
  return download;
}

// The bodies of the last `count` steps, as one.
Session::Download Session::last_steps(std::shared_ptr<const StepsOffer> offer, std::size_t count) {
  const std::size_t first = offer->bodies.size() - count;
  Download download;
  for (std::size_t i = first; i < offer->bodies.size(); ++i) {
    download.bytes += offer->bodies[i]->bytes();
  }
  download.read = [offer = std::move(offer), first](std::uint64_t offset,
                                                    std::span<std::byte> into) -> Result<void> {
    for (std::size_t i = first; !into.empty(); ++i) {
      const ChangeReader& body = *offer->bodies[i];
      const std::uint64_t here = std::min(offset, body.bytes());
      const std::size_t length =
          static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), body.bytes() - here));
      if (length > 0) CHORUS_OK(body.read(here, into.first(length)));
      into = into.subspan(length);
      offset -= here;
    }
    return {};
  };
  return download;
}

Session::Async<Session::Download> Session::download_for(const wire::Fetch& fetch) {
  std::shared_ptr<const VersionReader> version;
  const auto basis = assignment_ ? assignment_->basis : nullptr;
  if (basis != nullptr && basis->ref.sha256 == fetch.sha256) co_return whole_basis(basis);
  if (assignment_ && assignment_->model->info().sha256 == fetch.sha256) {
    version = assignment_->model;
  } else if (!peer_.is_admin()) {
    co_return fail(errc::task_closed,
                   "the task that needed this is over; a device may fetch the version and the "
                   "basis of its present task only");
  }
  if (fetch.steps > 0) {
    if (!version || !assignment_->steps || fetch.steps > assignment_->steps->bodies.size()) {
      co_return fail(
          errc::invalid_argument,
          "the last " + std::to_string(fetch.steps) + " steps to this version; the task offers " +
              std::to_string(version && assignment_->steps ? assignment_->steps->bodies.size()
                                                           : 0));
    }
    co_return last_steps(assignment_->steps, fetch.steps);
  }
  if (!version) {
    auto open = [this, &fetch] { return services_.context->versions->open_version(fetch.sha256); };
    CHORUS_CO_TRY(version, co_await net::run_on(services_.context->store, std::move(open)));
  }
  Download download;
  download.bytes = version->info().bytes;
  download.read = [version](std::uint64_t offset, std::span<std::byte> into) {
    return version->read_bytes(offset, into);
  };
  co_return download;
}

Session::Async<void> Session::send_download(wire::Fetch fetch, Download download) {
  const std::uint64_t total = download.bytes;
  if (fetch.offset > total) {
    co_return fail(errc::invalid_argument,
                   "offset " + std::to_string(fetch.offset) + " lies beyond the " +
                       std::to_string(total) + " bytes of what is fetched");
  }
  const auto traffic = assignment_ ? assignment_->traffic : nullptr;
  const std::size_t room = chunk_length(total - fetch.offset);
  CHORUS_CO_TRY(const MemoryBudget::Grant grant, co_await memory_for(room));
  CHORUS_CO_TRY(auto buffer, tensor::AlignedBuffer<std::byte>::create(room));
  std::uint64_t at = fetch.offset;
  do {
    CHORUS_CO_OK(still_open());
    const std::size_t length = chunk_length(total - at);
    const std::span<std::byte> part(buffer.data(), length);
    CHORUS_CO_OK(download.read(at, part));
    wire::Message chunk(wire::Chunk{at});
    CHORUS_CO_OK(co_await frames_.write(std::move(chunk), part));
    at += length;
    if (traffic) traffic->down += length;
  } while (at < total);
  co_return Result<void>();
}

// ---- up ----

// Whoever sends them waits for the answer. A failure ends the conversation: more chunks may be on
// their way.
Session::Async<std::shared_ptr<const InitialParameters>> Session::receive_parameters(
    std::uint64_t bytes) {
  if (bytes > services_.context->memory->budget()) {
    co_return fail(errc::busy,
                   std::to_string(bytes) + " bytes of parameters exceed limits.memory_budget");
  }
  auto received = std::make_shared<InitialParameters>();
  CHORUS_CO_TRY(received->grant, co_await memory_for(bytes));
  CHORUS_CO_TRY(received->values, Buffer::create(bytes / sizeof(float)));
  const std::span<std::byte> all = std::as_writable_bytes(received->values.span());
  for (std::uint64_t done = 0; done < bytes;) {
    CHORUS_CO_OK(still_open());
    const auto room = all.subspan(done, chunk_length(bytes - done));
    CHORUS_CO_TRY(const auto incoming, co_await frames_.read(services_.idle_deadline, room));
    const auto* chunk = std::get_if<wire::Chunk>(&incoming.message);
    if (chunk == nullptr) {
      CHORUS_CO_TRY(const bool answered, co_await answer_common(incoming.message));
      if (answered) continue;
      co_return fail(errc::unexpected_message,
                     "the parameters of a job ended after " + std::to_string(done) + " of " +
                         std::to_string(bytes) + " bytes");
    }
    if (chunk->offset != done || incoming.body.empty()) {
      co_return fail(errc::unexpected_message,
                     "a piece of the parameters begins at " + std::to_string(chunk->offset) +
                         "; expected " + std::to_string(done));
    }
    done += incoming.body.size();
  }
  co_return std::shared_ptr<const InitialParameters>(std::move(received));
}

Session::Async<Session::Next> Session::handle_offer(wire::Offer offer) {
  OfferDecision decision;
  auto ask = [this, &offer, &decision] { decision = services_.board->offer(key_, offer); };
  CHORUS_CO_OK(co_await net::run_on(services_.context->control, std::move(ask)));
  if (decision.kind == OfferDecision::Kind::refuse) {
    CHORUS_CO_TRY(const bool counted, co_await counted_before(offer, decision.refuse.code));
    if (counted) co_return Next{};
    wire::Message refuse(std::move(decision.refuse));
    CHORUS_CO_OK(co_await frames_.write(std::move(refuse)));
    co_return Next{};
  }
  if (decision.kind != OfferDecision::Kind::take) co_return Next{};  // answered by send()
  co_return co_await receive_upload(std::move(decision.target));
}

// An update may have been counted and its round closed before the device heard of it. It is told
// now: else it would take its update for lost, and what it keeps for the next one would be wrong.
Session::Async<bool> Session::counted_before(const wire::Offer& offer, errc refused_with) {
  if (refused_with != errc::task_closed || offer.task.kind != TaskKind::train) co_return false;
  auto look = [this, &offer] {
    return services_.context->ledger->receipt(
        offer.task.job, offer.task.round, ClientId{peer_.name});
  };
  CHORUS_CO_TRY(const auto receipt,
                co_await net::run_on(services_.context->store, std::move(look)));
  if (!receipt || receipt->outcome != "accepted" || receipt->digest != hex(offer.digest)) {
    co_return false;
  }
  const auto durability =
      services_.context->durable ? wire::Durability::full : wire::Durability::process;
  wire::Message accepted(wire::Accepted{offer.task, durability});
  CHORUS_CO_OK(co_await frames_.write(std::move(accepted)));
  co_return true;
}

Session::Async<Session::Next> Session::receive_upload(std::shared_ptr<const UploadTarget> target) {
  Context& context = *services_.context;
  const UpdateMeta& meta = target->meta;
  RoundJournal& journal = *target->journal;
  const std::size_t room = chunk_length(meta.bytes);
  CHORUS_CO_TRY(const MemoryBudget::Grant grant, co_await memory_for(room));
  CHORUS_CO_TRY(auto buffer, tensor::AlignedBuffer<std::byte>::create(room));
  const std::span<std::byte> bytes = buffer.span();
  BodyCheck check(*target);
  std::optional<Failure> rejected;

  // An interrupted upload goes on where it stopped; what is stored is read once more, because the
  // digest covers the whole body.
  std::uint64_t stored = 0;
  auto begin = [&journal, &meta, &stored]() -> Result<void> {
    CHORUS_TRY(stored, journal.begin(meta));
    return {};
  };
  if (auto begun = co_await net::run_on(context.store, std::move(begin)); !begun) {
    co_return co_await store_failed(std::move(target), std::move(begun).error());
  }
  while (check.offset() < stored) {
    const std::size_t length = chunk_length(stored - check.offset());
    auto read = [&journal, &meta, &check, part = bytes.first(length)]() -> Result<void> {
      CHORUS_TRY(const auto reader, journal.reader(meta.client));
      return reader->read(check.offset(), part);
    };
    CHORUS_CO_OK(co_await net::run_on(context.store, std::move(read)));
    if (auto good = check.take(bytes.first(length)); !good && !rejected) {
      rejected = std::move(good).error();
    }
  }
  wire::Message take(wire::Take{target->task, stored});
  CHORUS_CO_OK(co_await frames_.write(std::move(take)));

  while (!check.complete() && !rejected) {
    CHORUS_CO_OK(still_open());
    CHORUS_CO_TRY(auto incoming, co_await frames_.read(services_.idle_deadline, bytes));
    const auto* chunk = std::get_if<wire::Chunk>(&incoming.message);
    if (chunk == nullptr) {
      CHORUS_CO_TRY(const bool answered, co_await answer_common(incoming.message));
      if (answered) continue;
      // The device has given the task up, e.g. after Cancel.
      auto give_up = [this, &target] {
        services_.board->upload_failed(
            key_, target->task, false, fail(errc::cancelled, "the device gave the upload up"));
      };
      CHORUS_CO_OK(co_await net::run_on(context.control, std::move(give_up)));
      co_return Next{std::move(incoming.message)};
    }
    CHORUS_CO_OK(check.place(chunk->offset, incoming.body.size()));
    const std::uint64_t at = check.offset();
    if (auto good = check.take(incoming.body); !good) rejected = std::move(good).error();
    target->traffic->up += incoming.body.size();
    auto append = [&journal, &meta, at, body = incoming.body] {
      CHORUS_FAIL_POINT("upload.before_append");
      return journal.append(meta.client, at, body);
    };
    if (auto stored_now = co_await net::run_on(context.store, std::move(append)); !stored_now) {
      co_return co_await store_failed(std::move(target), std::move(stored_now).error());
    }
  }
  if (!rejected) {
    if (auto good = check.finish(); !good) rejected = std::move(good).error();
  }
  if (!rejected && target->form->compressed()) {
    auto good = co_await check_compressed(*target);
    if (!good && (closed_meanwhile(good.error()) || servers_fault(good.error().code))) {
      co_return co_await store_failed(std::move(target), std::move(good).error());
    }
    if (!good) rejected = std::move(good).error();
  }
  if (!rejected) {
    CHORUS_FAIL_POINT("upload.complete");
    auto complete = [this, &target] { services_.board->upload_complete(key_, target->task); };
    CHORUS_CO_OK(co_await net::run_on(context.control, std::move(complete)));
    co_return Next{};
  }
  co_return co_await reject_upload(std::move(target), std::move(*rejected));
}

// Payloads are checked when all of them are there: some codecs cannot be read in parts.
Session::Async<void> Session::check_compressed(const UploadTarget& target) {
  Context& context = *services_.context;
  auto open = [&target] { return target.journal->reader(target.meta.client); };
  CHORUS_CO_TRY(auto reader, co_await net::run_on(context.store, std::move(open)));
  auto check = [&target, &reader]() -> Result<void> {
    CHORUS_TRY(const UpdateBody body, UpdateBody::open(std::move(reader), *target.form));
    return check_payloads(body, *target.form, target.value_max);
  };
  auto good = co_await net::run_on(context.compute, std::move(check));
  co_return good;
}

// The body was at fault: nothing of it is kept, the device is told and is out of this round.
Session::Async<Session::Next> Session::reject_upload(std::shared_ptr<const UploadTarget> target,
                                                     Failure why) {
  Context& context = *services_.context;
  auto abandon = [&target] { target->journal->abandon(target->meta.client); };
  CHORUS_CO_OK(co_await net::run_on(context.store, std::move(abandon)));
  auto tell = [this, &target, &why] {
    services_.board->upload_failed(key_, target->task, true, why);
  };
  CHORUS_CO_OK(co_await net::run_on(context.control, std::move(tell)));
  co_return co_await refuse_upload(std::move(target), std::move(why));
}

// The journal is gone with its round; or it cannot be written, which is not the device's fault: it
// keeps its update and tries again. What else the journal says no to, is the device's fault.
Session::Async<Session::Next> Session::store_failed(std::shared_ptr<const UploadTarget> target,
                                                    Failure why) {
  if (closed_meanwhile(why)) co_return co_await refuse_upload(std::move(target), round_closed());
  if (!servers_fault(why.code)) co_return why;
  auto tell = [this, &target, &why] {
    services_.board->upload_not_stored(key_, target->task, why);
  };
  CHORUS_CO_OK(co_await net::run_on(services_.context->control, std::move(tell)));
  Failure refusal = fail(may_retry(why.code) ? why.code : errc::busy,
                         "the server could not store the update: " + why.to_string());
  co_return co_await refuse_upload(std::move(target), std::move(refusal));
}

Session::Async<Session::Next> Session::refuse_upload(std::shared_ptr<const UploadTarget> target,
                                                     Failure why) {
  wire::Message refuse(wire::Refuse{target->task, why.code, why.detail, Duration{}});
  CHORUS_CO_OK(co_await frames_.write(std::move(refuse)));
  // Chunks that were on their way are read and forgotten.
  const std::size_t room = chunk_length(target->meta.bytes);
  CHORUS_CO_TRY(auto buffer, tensor::AlignedBuffer<std::byte>::create(room));
  for (;;) {
    CHORUS_CO_OK(still_open());
    CHORUS_CO_TRY(auto incoming, co_await frames_.read(services_.idle_deadline, buffer.span()));
    if (!std::holds_alternative<wire::Chunk>(incoming.message)) {
      co_return Next{std::move(incoming.message)};
    }
  }
}

}  // namespace chorus::server
