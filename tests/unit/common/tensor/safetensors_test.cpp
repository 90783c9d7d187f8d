#include "common/tensor/safetensors.hpp"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::tensor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::filesystem::path kGolden = CHORUS_GOLDEN_DIR;

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// A header with this JSON, and the length in front of it.
std::vector<std::byte> header_with(std::string_view json) {
  const std::uint64_t length = json.size();
  std::vector<std::byte> bytes(8 + json.size());
  std::memcpy(bytes.data(), &length, 8);
  if (!json.empty()) std::memcpy(bytes.data() + 8, json.data(), json.size());
  return bytes;
}

Failure failure_of(std::string_view json, std::uint64_t data_bytes) {
  const auto header = header_with(json);
  const auto info = parse_header(header, header.size() + data_bytes);
  if (info) return fail(errc::internal, "accepted");
  return info.error();
}

std::string tensor(std::string_view name, std::string_view shape, std::string_view offsets) {
  return '"' + std::string(name) + R"(":{"dtype":"F32","shape":[)" + std::string(shape) +
         R"(],"data_offsets":[)" + std::string(offsets) + "]}";
}

TensorLayout two_tensors() {
  return {{{"dense1.weight", {2, 3}, 0, 6}, {"dense1.bias", {2}, 6, 2}}, 8};
}

TEST(Safetensors, ReadsTheGoldenFile) {
  const auto file = read_safetensors(kGolden / "tiny.safetensors");
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->layout, two_tensors());
  EXPECT_EQ(file->metadata, (Metadata{{"chorus.model", "{}"}, {"note", "Grüße"}}));
  EXPECT_THAT(file->data, ElementsAre(0.5F, -1.0F, 2.0F, 3.25F, -0.125F, 1e-3F, 0.0F, -7.5F));
}

TEST(Safetensors, WritesTheGoldenFileByteForByte) {
  const test::TempFolder folder;
  const float data[] = {0.5F, -1.0F, 2.0F, 3.25F, -0.125F, 1e-3F, 0.0F, -7.5F};
  const auto path = folder.path() / "mine";
  const auto written =
      write_safetensors(path, two_tensors(), data, {{"note", "Grüße"}, {"chorus.model", "{}"}});
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(bytes_of(path), bytes_of(kGolden / "tiny.safetensors"));
}

TEST(Safetensors, ReadsFilesOfOthers) {
  const auto file = read_safetensors(kGolden / "foreign.safetensors");
  ASSERT_TRUE(file) << file.error().to_string();
  const TensorLayout expected{{{"scale", {}, 0, 1}, {"b", {3}, 1, 3}, {"a", {1, 1, 2}, 4, 2}}, 6};
  EXPECT_EQ(file->layout, expected);
  EXPECT_TRUE(file->metadata.empty());
  EXPECT_THAT(file->data, ElementsAre(4.0F, 1.0F, 2.0F, 3.0F, -1.0F, -2.0F));
}

TEST(Safetensors, HeaderEndsAtAMultipleOf64) {
  for (std::size_t length = 0; length < 130; ++length) {
    const auto header = build_header(two_tensors(), {{"k", std::string(length, 'v')}});
    ASSERT_TRUE(header);
    EXPECT_EQ(header->size() % 64, 0U);
    const auto info = parse_header(*header, header->size() + 32);
    ASSERT_TRUE(info) << info.error().to_string();
    EXPECT_EQ(info->data_offset, header->size());
    EXPECT_EQ(info->layout, two_tensors());
    EXPECT_EQ(info->metadata.at("k").size(), length);
  }
}

TEST(Safetensors, DoesNotBuildHeadersForBadLayouts) {
  const auto code = [](const TensorLayout& layout) {
    const auto header = build_header(layout, {});
    return header ? errc::internal : header.error().code;
  };
  EXPECT_EQ(code({}), errc::invalid_argument);
  EXPECT_EQ(code({{{"a", {2}, 0, 2}}, 3}), errc::invalid_argument);
  EXPECT_EQ(code({{{"a", {2}, 1, 2}}, 3}), errc::invalid_argument);
  EXPECT_EQ(code({{{"a", {2}, 0, 3}}, 3}), errc::invalid_argument);
  EXPECT_EQ(code({{{"a", {0}, 0, 0}}, 0}), errc::invalid_argument);
  EXPECT_EQ(code({{{"a", {2}, 0, 2}, {"a", {2}, 2, 2}}, 4}), errc::invalid_argument);
  EXPECT_EQ(code({{{"", {2}, 0, 2}}, 2}), errc::invalid_argument);
  EXPECT_EQ(code({{{"__metadata__", {2}, 0, 2}}, 2}), errc::invalid_argument);
  EXPECT_EQ(code({{{"\xff", {2}, 0, 2}}, 2}), errc::invalid_argument);
  EXPECT_EQ(code({{{"a", {1ULL << 63U, 2}, 0, 0}}, 0}), errc::invalid_argument);
  EXPECT_EQ(code({{{"a", std::vector<std::uint64_t>(9, 1), 0, 1}}, 1}), errc::invalid_argument);
  EXPECT_EQ(build_header(two_tensors(), {{"k", "\xff"}}).error().code, errc::invalid_argument);
}

TEST(Safetensors, KeepsWithinTheHeaderLimit) {
  const std::size_t most = limits::kSafetensorsHeaderBytesMax;
  const auto header = build_header(two_tensors(), {{"k", std::string(most - 4096, 'v')}});
  ASSERT_TRUE(header);
  EXPECT_TRUE(parse_header(*header, header->size() + 32));
  EXPECT_EQ(build_header(two_tensors(), {{"k", std::string(most, 'v')}}).error().code,
            errc::invalid_argument);
}

TEST(Safetensors, RefusesImpossibleLengths) {
  const std::string json = "{" + tensor("a", "1", "0,4") + "}";
  const auto header = header_with(json);
  ASSERT_TRUE(parse_header(header, header.size() + 4));
  for (std::size_t bytes = 0; bytes < header.size(); ++bytes) {
    EXPECT_FALSE(parse_header(std::span(header).first(bytes), header.size() + 4)) << bytes;
    EXPECT_FALSE(parse_header(header, bytes)) << bytes;
  }
  for (const std::uint64_t length : {std::uint64_t{0},
                                     std::uint64_t{1},
                                     std::uint64_t{limits::kSafetensorsHeaderBytesMax} + 1,
                                     ~std::uint64_t{0},
                                     ~std::uint64_t{0} - 7}) {
    std::vector<std::byte> bad = header;
    std::memcpy(bad.data(), &length, 8);
    EXPECT_EQ(data_offset_of(bad, ~std::uint64_t{0}).error().code, errc::malformed_file) << length;
  }
}

TEST(Safetensors, RefusesHeadersThatAreNotTensors) {
  for (const char* json : {"{}",
                           "[]",
                           "12",
                           "{\"a\":1}",
                           "{\"a\":[]}",
                           "{\"a\":{}}",
                           "{\"a\"",
                           R"({"a":{"dtype":"F32","shape":[1]}})",
                           R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})",
                           R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})",
                           R"({"__metadata__":{"a":"b"}})",
                           R"({"":{}})"}) {
    EXPECT_EQ(failure_of(json, 4).code, errc::malformed_file) << json;
  }
}

TEST(Safetensors, RefusesBadShapesAndOffsets) {
  for (const auto& [shape, offsets] :
       std::vector<std::pair<const char*, const char*>>{{"1.5", "0,4"},
                                                        {"-1", "0,4"},
                                                        {"\"1\"", "0,4"},
                                                        {"0", "0,0"},
                                                        {"2", "0,4"},
                                                        {"1", "4,0"},
                                                        {"1", "0"},
                                                        {"1", "0,4,8"},
                                                        {"1", "-4,0"},
                                                        {"1", "4,8"},
                                                        {"1", "0,3"},
                                                        {"1,1,1,1,1,1,1,1,1", "0,4"},
                                                        {"18446744073709551615", "0,4"},
                                                        {"18446744073709551616", "0,4"},
                                                        {"4294967296,4294967297", "0,4"},
                                                        {"9223372036854775808,2", "0,0"}}) {
    EXPECT_EQ(failure_of("{" + tensor("a", shape, offsets) + "}", 4).code, errc::malformed_file)
        << shape << " " << offsets;
  }
}

TEST(Safetensors, RefusesGapsOverlapsAndBytesLeftOver) {
  const auto pair = [](const char* first, const char* second) {
    return "{" + tensor("a", "1", first) + "," + tensor("b", "1", second) + "}";
  };
  EXPECT_EQ(failure_of(pair("0,4", "4,8"), 8).detail, "accepted");
  EXPECT_EQ(failure_of(pair("4,8", "0,4"), 8).detail, "accepted");
  EXPECT_THAT(failure_of(pair("0,4", "8,12"), 12).detail, HasSubstr("no gap, no overlap"));
  EXPECT_THAT(failure_of(pair("0,4", "0,4"), 8).detail, HasSubstr("no gap, no overlap"));
  EXPECT_THAT(failure_of(pair("0,4", "2,6"), 8).detail, HasSubstr("no gap, no overlap"));
  EXPECT_THAT(failure_of(pair("0,4", "4,8"), 7).detail, HasSubstr("the file has 7 bytes"));
  EXPECT_THAT(failure_of(pair("0,4", "4,8"), 9).detail, HasSubstr("the file has 9 bytes"));
}

TEST(Safetensors, NamesTheTensorOfAnotherType) {
  const auto failure = failure_of(R"({"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})", 4);
  EXPECT_EQ(failure.code, errc::unsupported_feature);
  EXPECT_THAT(failure.detail, HasSubstr("tensor 'w' has dtype BF16"));
}

TEST(Safetensors, RefusesDuplicateNamesAndBadMetadata) {
  EXPECT_THAT(
      failure_of("{" + tensor("a", "1", "0,4") + "," + tensor("a", "1", "4,8") + "}", 8).detail,
      HasSubstr("occurs twice"));
  const std::string rest = "," + tensor("a", "1", "0,4") + "}";
  EXPECT_EQ(failure_of(R"({"__metadata__":[])" + rest, 4).code, errc::malformed_file);
  EXPECT_EQ(failure_of(R"({"__metadata__":{"k":1})" + rest, 4).code, errc::malformed_file);
  EXPECT_EQ(failure_of(R"({"__metadata__":{"k":{"deep":{}}})" + rest, 4).code,
            errc::malformed_file);
}

TEST(Safetensors, RefusesTooManyTensorsAndLongNames) {
  std::string json = "{";
  for (std::size_t i = 0; i <= limits::kTensorsMax; ++i) {
    json += (i == 0 ? "" : ",") + tensor("t" + std::to_string(i),
                                         "1",
                                         std::to_string(4 * i) + "," + std::to_string(4 * i + 4));
    if (i + 1 == limits::kTensorsMax) {
      EXPECT_EQ(failure_of(json + "}", 4 * limits::kTensorsMax).detail, "accepted");
    }
  }
  EXPECT_THAT(failure_of(json + "}", 4 * limits::kTensorsMax + 4).detail, HasSubstr("4096"));
  const auto named = [](std::size_t length) {
    return failure_of("{" + tensor(std::string(length, 'n'), "1", "0,4") + "}", 4).detail;
  };
  EXPECT_EQ(named(limits::kTensorNameBytesMax), "accepted");
  EXPECT_THAT(named(limits::kTensorNameBytesMax + 1), HasSubstr("tensor name"));
}

TEST(Safetensors, NamesTheFileThatCannotBeRead) {
  const test::TempFolder folder;
  EXPECT_EQ(read_safetensors(folder.path() / "none").error().code, errc::not_found);
  EXPECT_EQ(read_safetensors(folder.path()).error().code, errc::io_failed);
  const auto path = folder.path() / "short";
  std::ofstream(path) << "abc";
  EXPECT_EQ(read_safetensors(path).error().code, errc::malformed_file);
  EXPECT_THAT(read_safetensors(path).error().detail, HasSubstr(path.string()));
}

TEST(Safetensors, RefusesDataOfAnotherSize) {
  const test::TempFolder folder;
  const std::vector<float> data(7);
  EXPECT_EQ(write_safetensors(folder.path() / "x", two_tensors(), data, {}).error().code,
            errc::shape_mismatch);
}

}  // namespace
}  // namespace chorus::tensor
