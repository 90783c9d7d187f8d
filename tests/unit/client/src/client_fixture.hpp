// A whole Client against a scripted server over TLS: what its tests share.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <future>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/client.hpp"
#include "common/base/files.hpp"
#include "common/crypto/digest.hpp"
#include "common/tensor/safetensors.hpp"
#include "tests/support/fake_server.hpp"
#include "tests/support/messages.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::client {

using boost::asio::awaitable;
using test::Peer;
using Script = test::FakeServer::Script;

inline const TaskRef kTask{JobId{"digits"}, RoundId{1}, TaskKind::train};

/// A model as the server has it.
struct Version {
  explicit Version(std::uint64_t inputs, std::uint64_t units) {
    spec.input_shape = {inputs};
    spec.layers = {Dense{"out", units}};
    layout = layout_of(spec).value();
    parameters.resize(layout.parameters);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      parameters[i] = static_cast<float>(i % 1000) / 1000.0F;
    }
    file = tensor::build_header(layout, {{"chorus.job", "digits"}}).value();
    const auto data = std::as_bytes(std::span(parameters));
    file.insert(file.end(), data.begin(), data.end());
    digest = sha256(std::span<const std::byte>(file));
  }

  wire::Work work(TaskKind kind = TaskKind::train) const {
    wire::Work work;
    work.task = kTask;
    work.task.kind = kind;
    work.model = {digest, file.size()};
    work.spec = spec;
    if (kind == TaskKind::evaluate) work.plan = EvaluatePlan{64};
    return work;
  }
  std::size_t update_bytes() const { return parameters.size() * sizeof(float); }

  ModelSpec spec;
  TensorLayout layout;
  std::vector<float> parameters;
  std::vector<std::byte> file;
  Sha256 digest;
};

/// Adds a constant to every parameter.
class AddConstant : public Trainer {
 public:
  explicit AddConstant(float value = 0.5F) : value_(value) {}

  Result<TaskReport> train(const TrainTask& task, std::span<float> parameters) override {
    ++trained;
    EXPECT_EQ(task.layout->parameters, parameters.size());
    for (float& p : parameters) p += value_;
    return TaskReport{12, 3, {{"loss", 0.25}}};
  }
  Result<TaskReport> evaluate(const EvaluateTask&, std::span<const float> parameters) override {
    ++evaluated;
    return TaskReport{5, 0, {{"first", static_cast<double>(parameters[1])}}};
  }

  std::atomic<int> trained{0};
  std::atomic<int> evaluated{0};

 private:
  float value_;
};

class ClientTest : public ::testing::Test {
 protected:
  void serve(std::vector<Script> scripts) {
    server_ = std::make_unique<test::FakeServer>(federation_, std::move(scripts));
    if (!std::filesystem::exists(state_)) {
      federation_.give_identity(state_, server_->address(), valid_for(std::chrono::hours(12)));
    }
  }
  std::unique_ptr<Client> make_client(std::uint64_t tasks_max = 1) {
    ClientOptions options;
    options.server = server_->address();
    options.state = state_;
    options.tasks_max = tasks_max;
    options.durable_upload = durable_;
    options.cache_versions = cached_;
    auto client = Client::create(std::move(options));
    if (!client) throw std::runtime_error(client.error().to_string());
    return std::move(*client);
  }
  void TearDown() override {
    if (server_ != nullptr) {
      EXPECT_EQ(server_->complaints(), "");
    }
  }
  void expect_update(const std::vector<std::byte>& body, float value) const {
    std::vector<float> update(version_.parameters.size());
    ASSERT_EQ(body.size(), version_.update_bytes());
    std::copy(body.begin(), body.end(), std::as_writable_bytes(std::span(update)).begin());
    for (std::size_t i = 0; i < update.size(); ++i) {
      const float x = version_.parameters[i];
      ASSERT_EQ(update[i], (x + value) - x) << i;
    }
  }

  test::TempFolder folder_;
  std::filesystem::path state_ = folder_.path() / "device";
  test::FakeFederation federation_;
  Version version_{1000, 700};  // 2.8 MB: three chunks of an upload
  std::unique_ptr<test::FakeServer> server_;
  bool durable_ = true;
  bool cached_ = true;
};

// ---- building blocks of scripts (functions, because their parameters outlive each step) ----

inline awaitable<void> give_work(Peer& peer, const Version& version) {
  wire::Message work(version.work());
  co_await peer.send(std::move(work));
}

inline awaitable<wire::Offer> take_offer(Peer& peer, std::uint64_t offset) {
  auto offer = co_await peer.expect<wire::Offer>();
  wire::Message take(wire::Take{offer.task, offset});
  co_await peer.send(std::move(take));
  co_return offer;
}

inline awaitable<void> accept(Peer& peer, const TaskRef& task) {
  wire::Message accepted(wire::Accepted{task, wire::Durability::full});
  co_await peer.send(std::move(accepted));
}

// The device says goodbye, or is gone already.
inline awaitable<void> until_gone(Peer& peer) {
  try {
    for (;;) co_await peer.receive();
  } catch (const std::exception&) {
  }
}

}  // namespace chorus::client
