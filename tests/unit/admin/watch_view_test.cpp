#include "admin/watch_view.hpp"

#include <gtest/gtest.h>

#include "chorus/v1/admin.pb.h"

namespace chorus::admin {
namespace {

v1::JobProgress progress() {
  v1::JobProgress all;
  auto& job = *all.mutable_summary();
  job.set_job("digits");
  job.set_state("running");
  job.set_strategy("fedavg");
  job.set_rounds_done(2);
  job.set_rounds_total(4);
  job.set_parameters(13'706);
  all.set_devices_connected(10);
  for (int i = 1; i <= 2; ++i) {
    auto& round = *all.add_rounds();
    round.set_round(static_cast<std::uint64_t>(i));
    round.set_state("published");
    round.set_accepted(10);
    round.set_goal(10);
    round.set_bytes_up(548'240);
    round.set_bytes_down(559'760);
    round.set_opened_ms(i * 2'000);
    round.set_closed_ms(i * 2'000 + 1'500);
    auto* loss = round.add_metrics();
    loss->set_name("train.loss");
    loss->set_value(1.0);
  }
  auto* accuracy = all.mutable_rounds(0)->add_metrics();
  accuracy->set_name("eval.accuracy");
  accuracy->set_value(0.5);
  auto* loss = all.mutable_rounds(0)->add_metrics();
  loss->set_name("eval.loss");
  loss->set_value(0.75);
  return all;
}

TEST(WatchView, DrawsJobBarAndTable) {
  auto all = progress();
  auto& current = *all.mutable_current();
  current.set_round(3);
  current.set_state("collecting");
  current.set_accepted(4);
  current.set_goal(10);
  current.set_opened_ms(6'000);
  EXPECT_EQ(picture(all, 6'500),
            (std::vector<std::string>{
                "digits · running · fedavg · 13,706 parameters · 10 devices connected",
                "[███████████████░░░░░░░░░░░░░░░]  2 of 4 rounds  about 4.00 s left",
                "round 3: collecting, 4 of 10 updates  0.50 s",
                "",
                "round    loss  accuracy  accepted  rejected  discarded      up    down    time",
                "    1  0.7500    0.5000        10         0          0  548 kB  560 kB  1.50 s",
                "    2  1.0000         –        10         0          0  548 kB  560 kB  1.50 s",
            }));
}

TEST(WatchView, WithoutARoundItSaysWhatTheJobWaitsFor) {
  v1::JobProgress all;
  all.mutable_summary()->set_job("digits");
  all.mutable_summary()->set_state("running");
  all.mutable_summary()->set_status("waiting for devices: 0 of 10 are free");
  const auto lines = picture(all, 0);
  EXPECT_EQ(lines[2], "waiting for devices: 0 of 10 are free");
}

TEST(WatchView, ARoundIsCompleteWhenItsEvaluationIsOver) {
  auto all = progress();
  EXPECT_TRUE(is_complete(all.rounds(1), all));
  all.mutable_current()->set_round(2);
  all.mutable_current()->set_state("evaluating");
  EXPECT_TRUE(is_complete(all.rounds(0), all));
  EXPECT_FALSE(is_complete(all.rounds(1), all));
  all.mutable_summary()->set_state("finished");
  EXPECT_TRUE(is_complete(all.rounds(1), all));
  all.mutable_rounds(1)->set_state("collecting");
  EXPECT_FALSE(is_complete(all.rounds(1), all));
}

TEST(WatchView, OneLinePerRoundForLogs) {
  auto all = progress();
  EXPECT_EQ(
      round_line(all.rounds(0), 4),
      "round 1/4  loss 0.7500  accuracy 0.5000  10 accepted  0 rejected  0 discarded  up 548 kB "
      " down 560 kB  1.50 s");
  all.mutable_rounds(0)->set_state("abandoned");
  all.mutable_rounds(0)->set_why("3 of 5 updates at the deadline\x1b");
  EXPECT_EQ(round_line(all.rounds(0), 4).substr(0, 58),
            "round 1/4  abandoned: 3 of 5 updates at the deadline?  los");
}

TEST(WatchView, TheEndingSaysWhatToDo) {
  auto all = progress();
  EXPECT_FALSE(has_ended(all));
  all.mutable_summary()->set_state("finished");
  EXPECT_TRUE(has_ended(all));
  EXPECT_EQ(ending(all),
            "Job 'digits' is finished after 2 rounds\n"
            "Its model: chorus model export --job digits --output digits.safetensors");
  all.mutable_summary()->set_state("degraded");
  all.mutable_summary()->set_status("disk full");
  EXPECT_TRUE(has_ended(all));
  EXPECT_EQ(ending(all),
            "Job 'digits' is degraded after 2 rounds: disk full\n"
            "When the cause is gone: chorus job resume digits");
  all.mutable_summary()->set_state("paused");
  EXPECT_FALSE(has_ended(all));
}

}  // namespace
}  // namespace chorus::admin
