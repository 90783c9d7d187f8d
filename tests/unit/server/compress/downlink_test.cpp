// Versions that travel compressed: what is written is what a device makes of the step, and the rest
// is what is missing.
#include "server/compress/downlink.hpp"

#include <algorithm>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/rng.hpp"
#include "common/codec/update.hpp"

namespace chorus::server {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kPiece = codec::UpdateForm::kPieceElements;

class FakeReader final : public VersionReader {
 public:
  explicit FakeReader(std::vector<float> values) : values_(std::move(values)) {}
  const VersionInfo& info() const override { return info_; }
  const TensorLayout& layout() const override { return layout_; }
  const ModelSpec& model() const override { return model_; }
  Result<void> read_bytes(std::uint64_t /*offset*/, std::span<std::byte> /*into*/) const override {
    return fail(errc::internal, "nobody asks for it");
  }
  Result<void> read_parameters(std::uint64_t first, std::span<float> into) const override {
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first), into.size(), into.begin());
    return {};
  }
  void forget(std::uint64_t /*end*/) const override {}

 private:
  std::vector<float> values_;
  VersionInfo info_;
  TensorLayout layout_;
  ModelSpec model_;
};

/// What was written, for a look at it.
struct Written {
  std::vector<float> version;
  std::vector<std::byte> payloads;
  std::vector<float> rest;
  std::vector<std::byte> table;

  std::vector<std::byte> body() const {
    std::vector<std::byte> all = table;
    all.insert(all.end(), payloads.begin(), payloads.end());
    return all;
  }
};

class FakeVersionWriter final : public VersionWriter {
 public:
  explicit FakeVersionWriter(Written& into) : into_(into) {}
  Result<void> append(std::span<const float> parameters) override {
    into_.version.insert(into_.version.end(), parameters.begin(), parameters.end());
    return {};
  }
  Result<VersionInfo> commit() override { return VersionInfo{}; }

 private:
  Written& into_;
};

class FakeChangeWriter final : public ChangeWriter {
 public:
  explicit FakeChangeWriter(Written& into) : into_(into) {}
  Result<void> append_payload(std::span<const std::byte> payload) override {
    into_.payloads.insert(into_.payloads.end(), payload.begin(), payload.end());
    return {};
  }
  Result<void> append_rest(std::span<const float> rest) override {
    into_.rest.insert(into_.rest.end(), rest.begin(), rest.end());
    return {};
  }
  Result<ChangeInfo> commit(std::span<const std::byte> table) override {
    into_.table.assign(table.begin(), table.end());
    return ChangeInfo{into_.body().size(), {}};
  }

 private:
  Written& into_;
};

class FakeRest final : public RestReader {
 public:
  explicit FakeRest(std::vector<float> values) : values_(std::move(values)) {}
  Result<void> read(std::uint64_t first, std::span<float> into) const override {
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first), into.size(), into.begin());
    return {};
  }
  Result<void> verify(const BodyDigest& /*expected*/) const override { return {}; }

 private:
  std::vector<float> values_;
};

std::vector<float> some_values(std::uint64_t seed, std::size_t count, double scale = 1.0) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(scale * rng.normal());
  return values;
}

TensorLayout layout_of_counts(const std::vector<std::pair<std::string, std::uint64_t>>& tensors) {
  TensorLayout layout;
  for (const auto& [name, count] : tensors) {
    layout.tensors.push_back({name, {count}, layout.parameters, count, name == "norm.mean"});
    layout.parameters += count;
  }
  return layout;
}

/// frozen, several pieces of one codec, a buffer, a tail.
TensorLayout some_layout() {
  return layout_of_counts(
      {{"frozen", 300}, {"body", kPiece + 1000}, {"norm.mean", 40}, {"head", 77}});
}

Downlink downlink_of(const Codec& codec, Downlink::Sends sends = Downlink::Sends::change) {
  Downlink downlink;
  downlink.sends = sends;
  downlink.compression.codec = codec;
  return downlink;
}

TrainPlan with_frozen() {
  TrainPlan plan;
  plan.trainable.frozen = {"frozen"};
  return plan;
}

Written write(const codec::UpdateForm& form,
              std::shared_ptr<const VersionReader> base,
              std::span<const float> x,
              std::size_t step) {
  Written written;
  DownlinkWriter writer(std::make_shared<const codec::UpdateForm>(form),
                        std::move(base),
                        std::make_unique<FakeVersionWriter>(written),
                        std::make_unique<FakeChangeWriter>(written));
  for (std::size_t at = 0; at < x.size(); at += step) {
    EXPECT_TRUE(writer.append(x.subspan(at, std::min(step, x.size() - at))));
  }
  EXPECT_TRUE(writer.commit());
  const ChangeInfo change = writer.commit_change().value();
  EXPECT_EQ(change.bytes, written.body().size());
  return written;
}

TEST(DownlinkWriter, WritesWhatADeviceMakesOfTheStep) {
  const auto layout = some_layout();
  const auto steps = steps_of(downlink_of({.kind = CodecKind::rotated, .bits = 4}), with_frozen());
  const auto form = codec::form_of(steps, 9, layout).value();
  const auto w = some_values(1, layout.parameters);
  auto x = some_values(2, layout.parameters, 0.01);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = i < 300 ? w[i] : x[i] + w[i];

  const Written written = write(form, std::make_shared<FakeReader>(w), x, 5000);
  ASSERT_EQ(written.version.size(), x.size());
  std::vector<float> device = w;
  ASSERT_TRUE(codec::add_update(form, written.body(), device));
  EXPECT_EQ(device, written.version);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(written.rest[i], x[i] - written.version[i]) << i;
  }
  EXPECT_TRUE(std::equal(w.begin(), w.begin() + 300, written.version.begin()));
  EXPECT_LT(written.payloads.size(), layout.parameters * 5 / 8);
  // However it is cut.
  EXPECT_EQ(write(form, std::make_shared<FakeReader>(w), x, x.size()).body(), written.body());
  EXPECT_EQ(write(form, std::make_shared<FakeReader>(w), x, kPiece).version, written.version);
}

TEST(DownlinkWriter, AStepThatSaysAllNeedsNoVersionBefore) {
  const auto layout = some_layout();
  const auto downlink =
      downlink_of({.kind = CodecKind::uniform, .bits = 8}, Downlink::Sends::model);
  const auto form = codec::form_of(steps_of(downlink, with_frozen()), 9, layout).value();
  EXPECT_EQ(form.lane_elements(), layout.parameters);  // what is frozen is sent, too
  const auto x = some_values(2, layout.parameters);
  const Written written = write(form, nullptr, x, 4096);
  std::vector<float> device(x.size());
  ASSERT_TRUE(codec::add_update(form, written.body(), device));
  EXPECT_EQ(device, written.version);
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(device[i], x[i], 0.05F) << i;
}

// Server-side error feedback: over rounds the devices' version follows the model, and nothing is
// lost on the way.
TEST(DownlinkWriter, WhatIsLeftOutComesLater) {
  const auto layout = layout_of_counts({{"body", 5000}});
  for (const Codec& codec : {Codec{.kind = CodecKind::top_k, .density = 0.05},
                             Codec{.kind = CodecKind::sign},
                             Codec{.kind = CodecKind::rotated, .bits = 2}}) {
    const auto steps = steps_of(downlink_of(codec), {});
    std::vector<float> w(5000);
    std::vector<float> rest(5000);
    std::vector<float> x(5000);  // as it would be without compression
    double norm = 0.0;
    for (std::uint64_t round = 1; round <= 80; ++round) {
      const auto base =
          with_rest(std::make_shared<FakeReader>(w), std::make_shared<FakeRest>(rest));
      std::vector<float> next(5000);
      ASSERT_TRUE(base->read_parameters(0, next));
      if (round <= 20) {
        const auto update = some_values(round, 5000, 0.1);
        for (std::size_t i = 0; i < x.size(); ++i) {
          x[i] += update[i];
          next[i] += update[i];
        }
        norm = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
      }
      const auto form = codec::form_of(steps, round, layout).value();
      const Written written = write(form, std::make_shared<FakeReader>(w), next, 5000);
      w = written.version;
      rest = written.rest;
    }
    double off = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      off += static_cast<double>(x[i] - w[i]) * static_cast<double>(x[i] - w[i]);
    }
    EXPECT_LT(off, 0.01 * norm) << static_cast<int>(codec.kind);
  }
}

TEST(DownlinkWriter, WhatCannotBeEncodedIsAnError) {
  const auto layout = layout_of_counts({{"body", 10}});
  const auto form =
      codec::form_of(steps_of(downlink_of({.kind = CodecKind::f16}), {}), 1, layout).value();
  Written written;
  DownlinkWriter writer(std::make_shared<const codec::UpdateForm>(form),
                        nullptr,
                        std::make_unique<FakeVersionWriter>(written),
                        std::make_unique<FakeChangeWriter>(written));
  const auto appended = writer.append(std::vector<float>(10, 1e6F));
  EXPECT_EQ(appended.error().code, errc::value_out_of_range);
  EXPECT_THAT(appended.error().detail, HasSubstr("elements 0 to 9"));
}

TEST(CheckDownlink, RefusesCodecsWhoseErrorGrows) {
  const auto check = [](const Codec& codec) {
    return check_downlink(codec, Downlink::Sends::change);
  };
  EXPECT_THAT(check({.kind = CodecKind::random_k, .density = 0.1}).error().detail,
              HasSubstr("would grow"));
  EXPECT_FALSE(check({.kind = CodecKind::uniform, .bits = 4}));
  EXPECT_THAT(check({.kind = CodecKind::f16}).error().detail, HasSubstr("65504"));
  EXPECT_TRUE(check({.kind = CodecKind::uniform, .bits = 8}));
}

TEST(CheckDownlink, AModelIsNotSentInParts) {
  const Codec top_k{.kind = CodecKind::top_k};
  EXPECT_TRUE(check_downlink(top_k, Downlink::Sends::change));
  const auto refused = check_downlink(top_k, Downlink::Sends::model);
  EXPECT_EQ(refused.error().code, errc::invalid_argument);
  EXPECT_THAT(refused.error().detail, HasSubstr("sends = \"change\""));
}

}  // namespace
}  // namespace chorus::server
