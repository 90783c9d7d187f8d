#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <thread>

#include "admin/commands.hpp"
#include "admin/message_json.hpp"
#include "admin/replies.hpp"
#include "admin/watch_view.hpp"
#include "chorus/v1/admin.pb.h"
#include "common/base/try.hpp"

namespace chorus::admin {
namespace {

using namespace std::chrono_literals;
using Connect = std::function<Result<std::unique_ptr<AdminLink>>()>;

constexpr std::uint32_t kRoundsMax = 50;  // what surely fits one reply
constexpr Duration kClockTick = 1s;       // the picture's clock moves even if nothing happens
constexpr unsigned kFrameRows = 6;        // of the picture around its rounds
constexpr Duration kQuietWait = 20s;
constexpr std::chrono::milliseconds kRetryPause = 500ms;

Result<std::string> only_job(AdminLink& link) {
  v1::AdminRequest request;
  request.mutable_list_jobs();
  CHORUS_TRY(const auto reply, link.call(request));
  if (!reply.has_jobs()) return wrong_reply("the list of jobs");
  std::string all;
  std::string open;
  int open_count = 0;
  for (const auto& job : reply.jobs().jobs()) {
    all += (all.empty() ? "" : ", ") + job.job();
    if (job.state() == "finished" || job.state() == "stopped") continue;
    open = job.job();
    ++open_count;
  }
  if (open_count == 1) return open;
  if (reply.jobs().jobs_size() == 1) return reply.jobs().jobs(0).job();
  if (all.empty())
    return fail(errc::not_found, "no jobs yet; 'chorus job submit job.toml' starts one");
  return fail(errc::invalid_argument, "which job? There are: " + all);
}

/// What was shown already, and how.
class Viewer {
 public:
  Viewer(Console& console, std::uint32_t last) : console_(console), last_(last) {}

  v1::AdminRequest request(const std::string& job) const {
    v1::AdminRequest request;
    auto& watch = *request.mutable_watch_job();
    watch.set_job(job);
    watch.set_revision(revision_);
    watch.set_wait_ms(first_ ? 0U : static_cast<std::uint32_t>(wait().count()));
    watch.set_last(rounds_wanted());
    return request;
  }
  Duration wait() const { return draws() ? kClockTick : kQuietWait; }

  void show(const v1::JobProgress& progress) {
    const bool changed = first_ || progress.revision() != revision_;
    if (console_.json()) {
      if (changed) console_.value(to_json(progress));
    } else if (draws()) {
      console_.redraw(picture(progress, now_ms()));
    } else {
      print_new_rounds(progress);
    }
    revision_ = progress.revision();
    first_ = false;
  }

 private:
  bool draws() const { return console_.terminal() && !console_.json(); }

  // A picture taller than the terminal could not be drawn over again.
  std::uint32_t rounds_wanted() const {
    if (console_.json()) return last_;
    if (!draws()) return kRoundsMax;
    const auto room = console_.height() > kFrameRows ? console_.height() - kFrameRows : 1U;
    return std::min<std::uint32_t>(last_, room);
  }

  void print_new_rounds(const v1::JobProgress& progress) {
    const auto total = progress.summary().rounds_total();
    if (first_) {
      console_.line(fmt::format("job {}: {}, {} of {} rounds",
                                printable(progress.summary().job()),
                                printable(progress.summary().state()),
                                progress.summary().rounds_done(),
                                total));
      // Older ones than asked for count as shown.
      const int skip = progress.rounds_size() - static_cast<int>(std::min(last_, kRoundsMax));
      if (skip > 0) printed_ = progress.rounds(skip - 1).round();
    }
    for (const auto& round : progress.rounds()) {
      if (round.round() <= printed_ || !is_complete(round, progress)) continue;
      console_.line(round_line(round, total));
      printed_ = round.round();
    }
  }

  Console& console_;
  std::uint32_t last_;
  bool first_ = true;
  std::uint64_t revision_ = 0;
  std::uint64_t printed_ = 0;
};

bool worth_retrying(errc code) {
  return code == errc::connection_failed || code == errc::timed_out ||
         code == errc::shutting_down || code == errc::busy;
}

Result<v1::JobProgress> ask(AdminLink& link, const Viewer& viewer, const std::string& job) {
  CHORUS_TRY(auto reply, link.call(viewer.request(job), viewer.wait()));
  if (!reply.has_progress()) return wrong_reply("the job's progress");
  return std::move(*reply.mutable_progress());
}

}  // namespace

Result<ExitCode> watch(Console& console, const Connect& connect, const WatchOptions& options) {
  CHORUS_TRY(auto link, connect());
  auto job = options.job;
  if (job.empty()) {
    CHORUS_TRY(job, only_job(*link));
  }
  Viewer viewer(console, std::max<std::uint32_t>(options.last, 1));
  auto away_since = std::chrono::steady_clock::now();
  bool away = false;
  while (true) {
    if (link == nullptr) {
      // A daemon that restarts comes back with everything it had: wait for it.
      std::this_thread::sleep_for(kRetryPause);
      if (auto again = connect()) link = std::move(again).value();
    }
    auto progress =
        link == nullptr
            ? Result<v1::JobProgress>(fail(errc::connection_failed, "the server is away"))
            : ask(*link, viewer, job);
    if (progress) {
      if (away) console.note("the server is back");
      away = false;
      viewer.show(*progress);
      if (!has_ended(*progress)) continue;
      console.settle();
      console.line(ending(*progress));
      return progress->summary().state() == "finished" ? ExitCode::ok : ExitCode::job_ended;
    }
    if (!worth_retrying(progress.error().code)) return std::move(progress).error();
    link.reset();
    const auto now = std::chrono::steady_clock::now();
    if (!away) {
      console.settle();
      console.note(fmt::format("the server is away ({}); waiting for it", progress.error().detail));
      away = true;
      away_since = now;
    } else if (now - away_since > options.patience) {
      return std::move(progress).error();
    }
  }
}

}  // namespace chorus::admin
