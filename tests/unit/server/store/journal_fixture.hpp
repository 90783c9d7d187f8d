// Updates, bodies and folders for the journal's tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/rng.hpp"
#include "common/crypto/digest.hpp"
#include "server/store/journal.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::server {

using Body = std::vector<std::byte>;

inline Body body_of(std::uint64_t bytes, std::uint64_t seed) {
  Rng rng(seed);
  Body body(bytes);
  for (std::byte& byte : body) byte = static_cast<std::byte>(rng.next_u32());
  return body;
}

inline UpdateMeta meta_of(const std::string& client, const Body& body) {
  UpdateMeta meta;
  meta.client.value = client;
  meta.bytes = body.size();
  meta.digest = body_digest(body);
  meta.base = sha256("base");
  meta.examples.value = 10 + client.size();
  meta.steps = 3;
  meta.seconds = 0.25;
  meta.metrics = {{"loss", 0.5}};
  return meta;
}

class JournalTest : public ::testing::Test {
 protected:
  std::filesystem::path folder() const { return temp_.path() / "round-1"; }

  /// Opens as a fresh process does; a failure stops the test.
  void open() {
    journal_.reset();
    auto opened = RoundJournal::open(folder(), options_, recovered_);
    ASSERT_TRUE(opened) << opened.error().to_string();
    journal_ = std::move(opened).value();
  }

  Result<void> try_open(const std::filesystem::path& where) {
    RoundJournal::Recovered recovered;
    auto opened = RoundJournal::open(where, options_, recovered);
    if (!opened) return std::move(opened).error();
    return {};
  }

  void begin(const std::string& client, const Body& body, std::uint64_t expected = 0) {
    const auto offset = journal_->begin(meta_of(client, body));
    ASSERT_TRUE(offset) << offset.error().to_string();
    EXPECT_EQ(*offset, expected);
  }

  void append(const std::string& client, const Body& body, std::uint64_t from, std::uint64_t to) {
    const auto piece = std::span(body).subspan(from, to - from);
    const auto done = journal_->append(ClientId{client}, from, piece);
    ASSERT_TRUE(done) << done.error().to_string();
  }

  void commit(const std::vector<ClientId>& clients) {
    const auto done = journal_->commit(clients);
    ASSERT_TRUE(done) << done.error().to_string();
  }

  void store(const std::string& client, const Body& body) {
    begin(client, body);
    append(client, body, 0, body.size());
    commit({ClientId{client}});
  }

  Body read(const std::string& client) const {
    const auto reader = journal_->reader(ClientId{client});
    EXPECT_TRUE(reader) << client;
    if (!reader) return {};
    Body body((*reader)->bytes());
    const auto done = (*reader)->read(0, body);
    EXPECT_TRUE(done) << done.error().to_string();
    return body;
  }

  std::vector<std::string> committed() const {
    std::vector<std::string> names;
    for (const UpdateMeta& meta : recovered_.committed) names.push_back(meta.client.value);
    return names;
  }

  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder())) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  test::TempFolder temp_;
  JournalOptions options_;
  RoundJournal::Recovered recovered_;
  std::unique_ptr<RoundJournal> journal_;
};

}  // namespace chorus::server
