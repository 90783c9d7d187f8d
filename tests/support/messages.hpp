// One valid example of every message of chorus/1, for tests and for the seeds of fuzz targets.
#pragma once

#include <cstddef>
#include <vector>

#include "common/wire/messages.hpp"

namespace chorus::test {

inline Sha256 sha256_of_byte(unsigned char fill) {
  Sha256 digest;
  digest.bytes.fill(std::byte{fill});
  return digest;
}

inline TaskRef some_task(TaskKind kind = TaskKind::train) {
  return {JobId{"digits"}, RoundId{7}, kind};
}

inline wire::Work some_work() {
  wire::Work work;
  work.task = some_task();
  work.model = {sha256_of_byte(3), 4096};
  work.spec.input_shape = {1, 8, 8};
  work.spec.layers = {
      Conv2d{"conv1", 8, 3, 1, 1}, Relu{}, MaxPool2d{2, 2}, Flatten{}, Dense{"out", 10}};
  TrainPlan plan;
  plan.budget = {Budget::Unit::epochs, 2.0};
  plan.batch_size = 16;
  plan.optimiser = {0.1, 0.9, 1e-4};
  plan.order = Order::shuffled;
  plan.seed = 0xFEDCBA9876543210ULL;
  work.plan = plan;
  work.deadline = Duration(30'000);
  return work;
}

/// To some_work()'s model.
inline codec::VersionSteps two_steps() {
  codec::VersionSteps steps;
  steps.compression.codec = {.kind = CodecKind::rotated, .bits = 4, .bucket = 1024};
  steps.compression.tensors = {{"out.bias", {.kind = CodecKind::bf16}}};
  steps.trainable.only = {"out.*"};
  steps.trainable.frozen = {"conv1.*"};
  steps.local = {"out.bias"};
  const auto before = sha256_of_byte(2);
  steps.steps = {{sha256_of_byte(1), before, 100, 7}, {before, sha256_of_byte(3), 90, 8}};
  return steps;
}

inline wire::Offer some_offer() {
  wire::Offer offer;
  offer.task = some_task();
  offer.bytes = 400;
  offer.digest.bytes.fill(std::byte{9});
  offer.base = sha256_of_byte(3);
  offer.examples = Examples{120};
  offer.steps = 16;
  offer.seconds = 1.25;
  offer.metrics = {{"loss", 0.5}, {"accuracy", 0.75}};
  return offer;
}

/// One message of every kind, in the order of FrameKind.
inline std::vector<wire::Message> every_message() {
  using namespace wire;  // NOLINT(google-build-using-namespace): a list of its types
  const std::vector<std::byte> blob(64, std::byte{0x30});
  std::vector<Message> all;
  all.emplace_back(Hello{1, 1, "chorus-agent 0.1.0", {"momentum-2"}, {JobId{"digits"}}});
  all.emplace_back(Welcome{1, "chorusd 0.1.0", "device-1", Duration(15'000)});
  all.emplace_back(Ready{});
  all.emplace_back(some_work());
  all.emplace_back(ComeBack{Duration(60'000), "the round is full"});
  all.emplace_back(Fetch{sha256_of_byte(3), 1024});
  all.emplace_back(Chunk{2048});
  all.emplace_back(some_offer());
  all.emplace_back(Take{some_task(), 128});
  all.emplace_back(Refuse{some_task(), errc::task_closed, "round 7 is closed", Duration(500)});
  all.emplace_back(Accepted{some_task(), Durability::full});
  all.emplace_back(Decline{some_task(), errc::unsupported_feature, "no convolution here"});
  all.emplace_back(Cancel{some_task(), "the round was aborted"});
  all.emplace_back(Ping{41});
  all.emplace_back(Pong{41});
  all.emplace_back(Error{errc::busy, "no memory grant is free", Duration(2'000), false});
  all.emplace_back(Goodbye{"shutting down", Duration(10'000)});
  all.emplace_back(Enroll{"secret", blob, "device-1"});
  all.emplace_back(Enrolled{blob, blob, "device-1"});
  all.emplace_back(Renew{blob});
  all.emplace_back(AdminRequest{"\x0a\x01x"});
  all.emplace_back(AdminReply{"\x0a\x01y"});
  return all;
}

}  // namespace chorus::test
