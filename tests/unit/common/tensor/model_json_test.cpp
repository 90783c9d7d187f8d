#include "common/tensor/model_json.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"

namespace chorus::tensor {
namespace {

using testing::HasSubstr;

const ModelSpec& every_layer() {
  static const ModelSpec model{{1, 8, 8},
                               {Conv2d{"stem", 8, 3, 1, 1},
                                Relu{},
                                MaxPool2d{2, 2},
                                Conv2d{"", 4, 2, 2, 0},
                                Flatten{},
                                Dense{"", 10}}};
  return model;
}

std::string text_with(const std::string& layers) {
  return R"({"input_shape":[1,8,8],"layers":[)" + layers +
         R"(,{"kind":"flatten"},{"kind":"dense","units":2}],"loss":"softmax_cross_entropy"})";
}

Failure failure_of(const std::string& text) {
  const auto model = model_from_json(text);
  if (model) return fail(errc::internal, "accepted");
  return model.error();
}

TEST(ModelJson, WritesCompactTextInFixedOrder) {
  const auto text = model_to_json(every_layer());
  ASSERT_TRUE(text);
  EXPECT_EQ(*text,
            R"({"input_shape":[1,8,8],"layers":[)"
            R"({"kind":"conv2d","name":"stem","channels":8,"kernel":3,"stride":1,"padding":1},)"
            R"({"kind":"relu"},{"kind":"max_pool2d","kernel":2,"stride":2},)"
            R"({"kind":"conv2d","channels":4,"kernel":2,"stride":2,"padding":0},)"
            R"({"kind":"flatten"},{"kind":"dense","units":10}],"loss":"softmax_cross_entropy"})");
}

TEST(ModelJson, ReadsBackWhatItWrote) {
  const auto text = model_to_json(every_layer());
  ASSERT_TRUE(text);
  const auto model = model_from_json(*text);
  ASSERT_TRUE(model) << model.error().to_string();
  EXPECT_EQ(*model, every_layer());
}

TEST(ModelJson, KeepsEveryOptionOfEveryKind) {
  ModelSpec model{{3, 8, 8},
                  {Conv2d{"c", 4, 3, 1, 2, 2, 1, false},
                   BatchNorm{"b", 1e-3, 0.25},
                   LeakyRelu{0.125},
                   Mark{"m"},
                   MaxPool2d{3, 1, 1},
                   Add{"m"},
                   Dropout{0.25},
                   Reshape{{8, 4, 8}},
                   GlobalAvgPool{},
                   Dense{"d", 5, false}}};
  model.loss_options = {0.25, {1.0F, 0.5F, 1.0F, 1.0F, 2.0F}, 1.0};
  const auto text = model_to_json(model);
  ASSERT_TRUE(text) << text.error().detail;
  EXPECT_THAT(*text, HasSubstr(R"("padding":2,"dilation":2,"bias":false})"));
  EXPECT_THAT(*text, HasSubstr(R"("loss":{"kind":"softmax_cross_entropy","label_smoothing":0.25)"));
  const auto read = model_from_json(*text);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, model);
  model = {{9},
           {Embedding{"e", 20, 4},
            Lstm{"l", 3, 2, true, true},
            SelfAttention{"a", 2, true},
            Gru{"g", 3},
            Dense{"d", 1}},
           Loss::huber,
           {0.0, {}, 2.5}};
  const auto second = model_to_json(model);
  ASSERT_TRUE(second) << second.error().detail;
  const auto back = model_from_json(*second);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, model);
}

TEST(ModelJson, TakesTheLargestModel) {
  ModelSpec model{{2}, {}};
  for (std::size_t i = 0; i < limits::kLayersMax; ++i) {
    std::string name = std::to_string(i);
    name.resize(limits::kNameBytesMax, 'x');
    model.layers.emplace_back(Dense{name, 2});
  }
  const auto text = model_to_json(model);
  ASSERT_TRUE(text);
  const auto read = model_from_json(*text);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, model);
}

TEST(ModelJson, DoesNotWriteWhatDoesNotFitTogether) {
  EXPECT_EQ(model_to_json(ModelSpec{{1, 8, 8}, {Dense{"", 2}}}).error().code,
            errc::invalid_argument);
}

TEST(ModelJson, RefusesWhatIsNotAModel) {
  for (const char* text :
       {"",
        "{}",
        "[]",
        "null",
        "3",
        R"({"input_shape":[4],"layers":[]})",
        R"({"input_shape":[4],"layers":{},"loss":"softmax_cross_entropy"})",
        R"({"input_shape":4,"layers":[],"loss":"softmax_cross_entropy"})",
        R"({"input_shape":[4],"layers":[{"kind":"dense","units":2}],"loss":"mse"})",
        R"({"input_shape":[4],"layers":[{"kind":"dense","units":2}],"loss":{"kind":"mse"}})",
        R"({"input_shape":[4],"layers":[{"kind":"dense","units":2}],"loss":{}})",
        R"({"input_shape":[4],"layers":[{"kind":"dense","units":2}],"loss":1})",
        R"({"input_shape":[4.5],"layers":[],"loss":"softmax_cross_entropy"})",
        R"({"input_shape":[-4],"layers":[],"loss":"softmax_cross_entropy"})",
        R"({"input_shape":[4],"layers":[3],"loss":"softmax_cross_entropy"})",
        R"({"input_shape":[4],"layers":[],"loss":"softmax_cross_entropy","x":1})"}) {
    EXPECT_EQ(failure_of(text).code, errc::malformed_file) << text;
  }
}

TEST(ModelJson, RefusesBadLayers) {
  EXPECT_EQ(failure_of(text_with(R"({"kind":"relu"})")).detail, "accepted");
  EXPECT_THAT(failure_of(text_with(R"({"kind":"gelo"})")).detail, HasSubstr("layer 1 has kind"));
  EXPECT_THAT(failure_of(text_with(R"({"kind":"relu","slope":1})")).detail, HasSubstr("2 keys"));
  EXPECT_THAT(failure_of(text_with(R"({"name":"x"})")).detail, HasSubstr("'kind'"));
  EXPECT_THAT(failure_of(text_with(R"({"kind":"max_pool2d","kernel":2})")).detail,
              HasSubstr("'stride'"));
  EXPECT_THAT(failure_of(text_with(R"({"kind":"max_pool2d","kernel":"2","stride":2})")).detail,
              HasSubstr("'kernel', a whole number"));
  EXPECT_THAT(failure_of(text_with(R"({"kind":"dense","units":2,"name":7})")).detail,
              HasSubstr("'name', a text"));
  EXPECT_THAT(failure_of(text_with(R"({"kind":"relu","kind":"relu"})")).detail,
              HasSubstr("occurs twice"));
  EXPECT_EQ(failure_of(text_with(R"({"kind":"max_pool2d","kernel":9,"stride":1})")).code,
            errc::invalid_argument);
}

TEST(ModelJson, RefusesTextBeyondTheLimit) {
  EXPECT_THAT(failure_of(std::string(limits::kModelJsonBytesMax + 1, ' ')).detail,
              HasSubstr("at most"));
  EXPECT_THAT(failure_of(std::string(limits::kModelJsonBytesMax, ' ')).detail,
              HasSubstr("not valid JSON"));
}

}  // namespace
}  // namespace chorus::tensor
