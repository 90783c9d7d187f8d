#include "admin/message_json.hpp"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "chorus/v1/admin.pb.h"

namespace chorus::admin {
namespace {

TEST(MessageJson, HasEveryFieldInOrder) {
  v1::JobDetail job;
  job.mutable_summary()->set_job("digits");
  job.mutable_summary()->set_parameters(18'446'744'073'709'551'615ULL);
  job.mutable_summary()->set_created_ms(-5);
  auto* metric = job.add_last_metrics();
  metric->set_name("eval.loss");
  metric->set_value(0.25);
  EXPECT_EQ(to_json(job).dump(),
            R"({"summary":{"job":"digits","state":"","strategy":"","rounds_done":0,)"
            R"("rounds_total":0,"version_sha256":"","parameters":18446744073709551615,)"
            R"("status":"","created_ms":-5},"job_toml":"","current":null,)"
            R"("last_metrics":[{"name":"eval.loss","value":0.25}]})");
}

TEST(MessageJson, BytesAreHexadecimalAndEnumsAreNames) {
  v1::Token token;
  token.set_ca_sha256(std::string("\x00\xff", 2));
  EXPECT_EQ(to_json(token)["ca_sha256"], "00ff");
  v1::ControlJob control;
  control.set_verb(v1::ControlJob::VERB_PAUSE);
  EXPECT_EQ(to_json(control)["verb"], "VERB_PAUSE");
}

TEST(MessageJson, RepeatedNumbers) {
  v1::ModelTensor tensor;
  tensor.add_shape(3);
  tensor.add_shape(4);
  EXPECT_EQ(to_json(tensor)["shape"].dump(), "[3,4]");
  EXPECT_EQ(to_json(v1::JobList()).dump(), R"({"jobs":[]})");
}

}  // namespace
}  // namespace chorus::admin
