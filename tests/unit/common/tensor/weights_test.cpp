#include "common/tensor/weights.hpp"

#include <cstring>
#include <fstream>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/tensor/floats.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::tensor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string file_of(std::string header, const std::string& data) {
  std::string file(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + data;
}

template <class T>
std::string bytes_of(std::initializer_list<T> values) {
  std::string bytes;
  for (const T value : values) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return bytes;
}

Result<Weights> read(const std::string& file) {
  const test::TempFolder folder;
  const auto path = folder.path() / "w.safetensors";
  std::ofstream(path, std::ios::binary) << file;
  return read_weights(path);
}

Weights tensors(std::initializer_list<Weight> all) {
  return {all, {}};
}

TEST(Weights, OtherFormatsBecomeFloat32) {
  const auto weights = read(
      file_of(R"({"a":{"dtype":"F64","shape":[2],"data_offsets":[0,16]},)"
              R"("b":{"dtype":"F16","shape":[1,2],"data_offsets":[16,20]},)"
              R"("c":{"dtype":"BF16","shape":[],"data_offsets":[20,22]},)"
              R"("d":{"dtype":"F32","shape":[1],"data_offsets":[22,26]},)"
              R"("bn.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[26,34]},)"
              R"("__metadata__":{"format":"pt"}})",
              bytes_of<double>({0.5, -3.0}) + bytes_of<std::uint16_t>({0x3C00, 0xC000, 0x3FC0}) +
                  bytes_of<float>({7.0F}) + bytes_of<std::int64_t>({9})));
  ASSERT_TRUE(weights) << weights.error().detail;
  ASSERT_EQ(weights->tensors.size(), 4U);
  EXPECT_THAT(weights->tensors[0].values, ElementsAre(0.5F, -3.0F));
  EXPECT_THAT(weights->tensors[1].values, ElementsAre(1.0F, -2.0F));
  EXPECT_THAT(weights->tensors[1].shape, ElementsAre(1U, 2U));
  EXPECT_THAT(weights->tensors[2].values, ElementsAre(1.5F));
  EXPECT_THAT(weights->tensors[3].values, ElementsAre(7.0F));
  EXPECT_EQ(weights->metadata.at("format"), "pt");
}

// Every half is exactly one float.
TEST(Floats, HalvesAreExact) {
  EXPECT_EQ(float_of_half(0x0000), 0.0F);
  EXPECT_TRUE(std::signbit(float_of_half(0x8000)));
  EXPECT_EQ(float_of_half(0x0001), 0x1.0p-24F);
  EXPECT_EQ(float_of_half(0x03FF), 0x1.ff8p-15F);
  EXPECT_EQ(float_of_half(0x0400), 0x1.0p-14F);
  EXPECT_EQ(float_of_half(0x3555), 0x1.554p-2F);
  EXPECT_EQ(float_of_half(0x7BFF), 65504.0F);
  EXPECT_EQ(float_of_half(0xFC00), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(float_of_half(0x7E00)));
  EXPECT_EQ(float_of_bfloat(0xC040), -3.0F);
}

TEST(Weights, BrokenFilesAreRefused) {
  const auto one = [](const std::string& entry) {
    return file_of("{\"t\":" + entry + "}", std::string(8, '\0'));
  };
  const std::pair<std::string, const char*> cases[] = {
      {"abc", "a safetensors file has at least 8 bytes"},
      {std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8) + "{}", "the header claims"},
      {file_of("{", ""), "the header"},
      {file_of("[]", ""), "must be a JSON object"},
      {file_of("{\"t\": 1", ""), "not valid JSON"},
      {one("3"), "tensor 't' must have dtype, shape and data_offsets"},
      {one(R"({"dtype":"F32","shape":[2]})"), "must have dtype"},
      {one(R"({"dtype":1,"shape":[2],"data_offsets":[0,8]})"), "must have dtype"},
      {one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), "must have dtype"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})"), "must have dtype"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,9]})"), "must have dtype"},
      {one(R"({"dtype":"I64","shape":[1],"data_offsets":[0,8]})"), "dtype I64; expected F32"},
      {one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"), "does not fit its place"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})"), "does not fit its place"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), "does not fit its place"},
      {one(R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})"), "does not fit its place"},
      {one(R"({"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,8]})"),
       "does not fit its place"},
      {file_of(R"({"t":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", "1234"),
       "must have dtype"},
  };
  for (const auto& [file, says] : cases) {
    const auto weights = read(file);
    ASSERT_FALSE(weights) << says;
    EXPECT_THAT(weights.error().detail, HasSubstr(says));
  }
  EXPECT_EQ(read_weights("/nowhere/w.safetensors").error().code, errc::not_found);
}

TEST(Weights, GoToTheirPlaces) {
  const TensorLayout layout = *layout_of({{2}, {Dense{"fc", 3}}});
  const auto parameters = parameters_from(
      layout, tensors({{"fc.bias", {3}, {7, 8, 9}}, {"fc.weight", {3, 2}, {1, 2, 3, 4, 5, 6}}}));
  ASSERT_TRUE(parameters) << parameters.error().detail;
  EXPECT_THAT(*parameters, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
}

TEST(Weights, AdaptersMayBeginAnew) {
  const TensorLayout layout = *layout_of({{2}, {Dense{"fc", 2, false, 1}}});
  const Weights base = tensors({{"fc.weight", {2, 2}, {1, 2, 3, 4}}});
  const std::vector<float> start = {9, 9, 9, 9, 5, 6, 7, 8};
  EXPECT_THAT(parameters_from(layout, base, start).value(), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(parameters_from(layout, base).error().detail,
              HasSubstr("missing: fc.lora_A, fc.lora_B"));
  const auto nothing = parameters_from(layout, tensors({}), start);
  EXPECT_THAT(nothing.error().detail, HasSubstr("missing: fc.weight"));
}

TEST(Weights, WhatDoesNotFitIsListed) {
  const TensorLayout layout = *layout_of({{2}, {Dense{"fc", 3}, Dense{"head", 2}}});
  const auto parameters = parameters_from(layout,
                                          tensors({{"fc.weight", {2, 3}, {1, 2, 3, 4, 5, 6}},
                                                   {"fc.bias", {3}, {7, 8, 9}},
                                                   {"old.bias", {1}, {1}},
                                                   {"head.bias", {2}, {1, 1}}}));
  ASSERT_FALSE(parameters);
  EXPECT_EQ(parameters.error().code, errc::shape_mismatch);
  EXPECT_EQ(parameters.error().detail,
            "the weights are not this model's; missing: head.weight; not in the model: old.bias; "
            "of another shape: fc.weight is 2x3, expected 3x2");
}

TEST(Weights, LongListsAreCut) {
  std::vector<Layer> layers;
  for (int i = 0; i < 6; ++i) layers.emplace_back(Dense{"", 2});
  const auto parameters = parameters_from(*layout_of({{2}, layers}), {});
  EXPECT_THAT(parameters.error().detail, HasSubstr("dense4.bias and 4 more"));
}

}  // namespace
}  // namespace chorus::tensor
