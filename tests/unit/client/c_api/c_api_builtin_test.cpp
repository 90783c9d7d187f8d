// The built-in trainer and models of files, in C; data come through a program's own source.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/chorus.h"
#include "chorus/client/trainer.hpp"
#include "client/src/c_api_trainer.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_file.hpp"
#include "common/tensor/version_metadata.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::capi {
namespace {

using ::testing::HasSubstr;

ModelSpec line() {
  ModelSpec model;
  model.input_shape = {2};
  model.layers = {Dense{"out", 2}};
  return model;
}

// A point of the circle; its label says on which side of a line it lies.
chorus_status circle(const std::uint32_t* examples,
                     std::uint64_t count,
                     float* features,
                     std::uint32_t* labels,
                     float*,
                     void* context) {
  ++*static_cast<int*>(context);
  for (std::uint64_t i = 0; i < count; ++i) {
    const double angle = 0.1 * examples[i];
    if (features != nullptr) features[2 * i] = static_cast<float>(std::cos(angle));
    if (features != nullptr) features[2 * i + 1] = static_cast<float>(std::sin(angle));
    if (labels != nullptr) labels[i] = std::cos(angle) > 0.0 ? 1 : 0;
  }
  return CHORUS_OK;
}

class CBuiltin : public ::testing::Test {
 protected:
  CBuiltin() {
    static const std::uint64_t kShape[] = {2};
    chorus_source_options source{};
    source.size = sizeof source;
    source.examples = 500;
    source.feature_shape = kShape;
    source.feature_rank = 1;
    source.classes = 2;
    source.read = circle;
    source.context = &reads_;
    EXPECT_EQ(chorus_dataset_from_source(&source, &data_), CHORUS_OK) << chorus_last_error();
    options_.size = sizeof options_;
    options_.train = data_;
    options_.holdout = data_;
  }
  ~CBuiltin() override {
    chorus_trainer_destroy(&trainer_);
    chorus_model_destroy(&model_);
    chorus_dataset_destroy(&data_);
  }

  std::vector<float> trained() {
    const ModelSpec spec = line();
    const TensorLayout layout = layout_of(spec).value();
    const client::CancelToken never{};
    std::vector<float> parameters = initial_parameters(spec, 1).value();
    TrainPlan plan;
    plan.budget = {Budget::Unit::epochs, 5};
    plan.optimiser.learning_rate = 0.5;
    const auto report =
        trainer_->trainer->train({"job", 1, plan, &spec, &layout, &never, {}}, parameters);
    EXPECT_TRUE(report) << report.error().to_string();
    return parameters;
  }

  int reads_ = 0;
  chorus_dataset* data_ = nullptr;
  chorus_builtin_options options_{};
  chorus_trainer* trainer_ = nullptr;
  chorus_model* model_ = nullptr;
};

TEST_F(CBuiltin, AModelThatSaysHowFeaturesAreNormalisedIsMeasuredSo) {
  // Class 1 is right of 0, which features as they are show, and features less 2 do not.
  const std::vector<float> parameters{-1.0F, 0.0F, 1.0F, 0.0F, 0.0F, 0.0F};
  const std::vector<FeatureScale> scales{{2.0, 1.0}};
  const test::TempFolder folder;
  const std::string path = (folder.path() / "line.safetensors").string();
  ASSERT_TRUE(tensor::write_safetensors(
      path, layout_of(line()).value(), parameters, tensor::metadata_of(line(), scales).value()));
  ASSERT_EQ(chorus_model_load(path.c_str(), &model_), CHORUS_OK) << chorus_last_error();
  ASSERT_EQ(chorus_model_evaluate(model_, data_, 0), CHORUS_OK) << chorus_last_error();
  double accuracy = 0.0;
  ASSERT_EQ(chorus_model_metric(model_, "accuracy", &accuracy), CHORUS_OK);
  EXPECT_NEAR(accuracy, 0.5, 0.05) << "cos − 2 is never above 0";
  ASSERT_EQ(chorus_model_save(model_, path.c_str()), CHORUS_OK) << chorus_last_error();
  EXPECT_EQ(tensor::read_version(path)->normalise, scales);
}

TEST_F(CBuiltin, TrainsOnAProgramsOwnExamplesAndTheModelIsMeasured) {
  ASSERT_EQ(chorus_builtin_trainer_create(&options_, &trainer_), CHORUS_OK) << chorus_last_error();

  chorus_dataset_destroy(&data_);  // the trainer shares it
  const std::vector<float> parameters = trained();
  EXPECT_GT(reads_, 0);

  const std::string json = tensor::model_to_json(line()).value();
  ASSERT_EQ(chorus_model_create(json.c_str(), parameters.data(), parameters.size(), &model_),
            CHORUS_OK)
      << chorus_last_error();
  const test::TempFolder folder;
  const std::string path = (folder.path() / "line.safetensors").string();
  ASSERT_EQ(chorus_model_save(model_, path.c_str()), CHORUS_OK) << chorus_last_error();
  chorus_model_destroy(&model_);
  ASSERT_EQ(chorus_model_load(path.c_str(), &model_), CHORUS_OK) << chorus_last_error();
  std::uint64_t count = 0;
  const float* held = chorus_model_parameters(model_, &count);
  EXPECT_EQ(std::vector(held, held + count), parameters);
  EXPECT_EQ(chorus_model_architecture(model_), json);
  ASSERT_EQ(chorus_model_tensor_count(model_), 2U);
  EXPECT_STREQ(chorus_model_tensor(model_, 1)->name, "out.bias");

  double accuracy = 0.0;
  EXPECT_EQ(chorus_model_metric(model_, "accuracy", &accuracy), CHORUS_WRONG_STATE);
  chorus_source_options source{};
  source.size = sizeof source;
  const std::uint64_t shape[] = {2};
  source.examples = 300;
  source.feature_shape = shape;
  source.feature_rank = 1;
  source.classes = 2;
  source.read = circle;
  source.context = &reads_;
  ASSERT_EQ(chorus_dataset_from_source(&source, &data_), CHORUS_OK);
  ASSERT_EQ(chorus_model_evaluate(model_, data_, 0), CHORUS_OK) << chorus_last_error();
  ASSERT_EQ(chorus_model_metric(model_, "accuracy", &accuracy), CHORUS_OK);
  EXPECT_GT(accuracy, 0.95);
  EXPECT_EQ(chorus_model_metric(model_, "auk", &accuracy), CHORUS_NOT_FOUND);
  EXPECT_THAT(chorus_last_error(),
              HasSubstr("there is no metric 'auk'; there are: loss, accuracy"));
}

TEST_F(CBuiltin, EnoughEndsTraining) {
  int asked = 0;
  options_.enough = [](void* context) { return ++*static_cast<int*>(context) > 3; };
  options_.context = &asked;
  ASSERT_EQ(chorus_builtin_trainer_create(&options_, &trainer_), CHORUS_OK) << chorus_last_error();
  trained();
  EXPECT_EQ(asked, 4);
}

TEST_F(CBuiltin, OptionsAreChecked) {
  const auto refused = [&](chorus_status status, const std::string& text) {
    EXPECT_EQ(chorus_builtin_trainer_create(&options_, &trainer_), status);
    EXPECT_THAT(chorus_last_error(), HasSubstr(text));
    EXPECT_EQ(trainer_, nullptr);
  };
  options_.train = nullptr;
  refused(CHORUS_INVALID_ARGUMENT, "the chorus_dataset is null");
  options_.train = data_;
  const float scores[] = {1, 2};
  options_.scores = scores;
  options_.score_count = 2;
  refused(CHORUS_SHAPE_MISMATCH, "score_count is 2; there are 500 examples");
  options_.scores = nullptr;
  refused(CHORUS_INVALID_ARGUMENT, "'chorus_builtin_options.scores' is null");
  options_.size = 1;
  refused(CHORUS_INVALID_ARGUMENT, "chorus_builtin_options.size is 1");
}

TEST_F(CBuiltin, ModelsAreChecked) {
  const auto refused = [&](chorus_status got, chorus_status status, const std::string& text) {
    EXPECT_EQ(got, status);
    EXPECT_THAT(chorus_last_error(), HasSubstr(text));
    EXPECT_EQ(model_, nullptr);
  };
  const std::string json = tensor::model_to_json(line()).value();
  const float numbers[6] = {};
  refused(chorus_model_create(json.c_str(), numbers, 5, &model_),
          CHORUS_SHAPE_MISMATCH,
          "count is 5; the architecture has 6 parameters");
  refused(chorus_model_create("{", numbers, 6, &model_), CHORUS_MALFORMED_FILE, "");
  refused(chorus_model_create(nullptr, numbers, 6, &model_),
          CHORUS_INVALID_ARGUMENT,
          "'architecture' is null");
  refused(chorus_model_create(json.c_str(), nullptr, 6, &model_),
          CHORUS_INVALID_ARGUMENT,
          "'parameters' is null");
  refused(chorus_model_load("/nowhere/at/all.safetensors", &model_),
          CHORUS_NOT_FOUND,
          "/nowhere/at/all.safetensors");
  refused(chorus_model_load(nullptr, &model_), CHORUS_INVALID_ARGUMENT, "'path' is null");
  refused(chorus_model_load(CHORUS_GOLDEN_DIR "/foreign.safetensors", &model_),
          CHORUS_MALFORMED_FILE,
          "foreign.safetensors");
  refused(chorus_model_load("x", nullptr), CHORUS_INVALID_ARGUMENT, "'model' is null");
  EXPECT_EQ(chorus_model_parameters(nullptr, nullptr), nullptr);
  EXPECT_EQ(chorus_model_tensor(nullptr, 0), nullptr);
  EXPECT_EQ(chorus_model_tensor_count(nullptr), 0U);
  EXPECT_EQ(chorus_model_architecture(nullptr), nullptr);
  EXPECT_EQ(chorus_model_save(nullptr, "x"), CHORUS_INVALID_ARGUMENT);
  EXPECT_EQ(chorus_model_evaluate(nullptr, data_, 1), CHORUS_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace chorus::capi
