// A daemon for tests of commands: answers what it was told to, and remembers what it was asked.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "admin/admin_link.hpp"
#include "chorus/v1/admin.pb.h"

namespace chorus::admin {

class FakeLink final : public AdminLink {
 public:
  std::deque<Result<v1::AdminReply>> answers;
  std::vector<v1::AdminRequest> asked;
  std::vector<std::byte> model;

  v1::AdminReply& add_answer() {
    answers.emplace_back(v1::AdminReply());
    return *answers.back();
  }
  void add_failure(errc code, const std::string& detail) {
    answers.emplace_back(fail(code, detail));
  }

  Result<v1::AdminReply> call(const v1::AdminRequest& request, Duration) override {
    asked.push_back(request);
    if (answers.empty()) return fail(errc::connection_failed, "no more answers");
    auto answer = std::move(answers.front());
    answers.pop_front();
    return answer;
  }

  std::vector<float> sent;  ///< with the last call

  Result<v1::AdminReply> call_with(const v1::AdminRequest& request,
                                   std::span<const float> parameters) override {
    sent.assign(parameters.begin(), parameters.end());
    return call(request, {});
  }

  Result<void> fetch(const Sha256&, std::uint64_t bytes, const Sink& sink) override {
    EXPECT_EQ(bytes, model.size());
    const std::span<const std::byte> all(model);
    for (std::size_t at = 0; at < all.size(); at += 1000) {
      auto taken = sink(all.subspan(at, std::min<std::size_t>(1000, all.size() - at)));
      if (!taken) return taken;
    }
    return {};
  }
};

}  // namespace chorus::admin
