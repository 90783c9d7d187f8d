#include "chorus/client/npy.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/client/train/examples.hpp"
#include "tests/unit/client/train/gzip.hpp"

namespace chorus::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(CHORUS_GOLDEN_DIR) / "npy" / name;
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// An array file of version 1.0 with this dictionary.
std::string npy(const std::string& header, const std::string& values) {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xFFU);
  bytes += static_cast<char>(header.size() >> 8U);
  return bytes + header + values;
}

std::string dictionary(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
}

class Npy : public testing::Test {
 protected:
  void SetUp() override {
    options_.features = golden("x_f4_v1.npy");
    options_.labels = golden("y_u1.npy");
  }

  // tests/golden/make_npy_golden.py: x[i, j, k]
  static double x(std::size_t i, std::size_t j, std::size_t k) {
    return (100.0 * static_cast<double>(i) + 10.0 * static_cast<double>(j) +
            static_cast<double>(k)) /
               4 -
           20;
  }

  template <class Expected>
  static void same(const Result<KeyedDataset>& data, Expected expected) {
    ASSERT_TRUE(data) << data.error().to_string();
    ASSERT_EQ(data->dataset.size(), 3U);
    EXPECT_THAT(data->dataset.feature_shape(), ElementsAre(2, 4));
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 2; ++j) {
        for (std::size_t k = 0; k < 4; ++k) {
          EXPECT_EQ(data->dataset.example(i).value().features[j * 4 + k], expected(i, j, k))
              << i << j << k;
        }
      }
    }
    EXPECT_THAT(data->dataset.labels().value(), ElementsAre(2, 0, 1));
    EXPECT_EQ(data->dataset.classes(), 3U);
  }

  static void failed(const Result<KeyedDataset>& data, const std::string& why, errc code) {
    ASSERT_FALSE(data) << why;
    EXPECT_EQ(data.error().code, code) << data.error().detail;
    EXPECT_THAT(data.error().detail, HasSubstr(why));
  }

  void features_refused(const std::string& bytes, const std::string& why) {
    options_.features = folder_.path() / "features.npy";
    test::write_plain(options_.features, bytes);
    failed(load_npy(options_), why, errc::malformed_file);
    EXPECT_THAT(load_npy(options_).error().detail, HasSubstr("features.npy"));
  }

  void labels_refused(const std::string& bytes, const std::string& why) {
    options_.labels = folder_.path() / "labels.npy";
    test::write_plain(options_.labels, bytes);
    failed(load_npy(options_), why, errc::malformed_file);
    EXPECT_THAT(load_npy(options_).error().detail, HasSubstr("labels.npy"));
  }

  const test::TempFolder folder_{};
  NpyOptions options_;
};

TEST_F(Npy, ReadsEveryVersionAndOrder) {
  for (const char* name : {"x_f4_v1.npy", "x_f8_fortran_v2.npy", "x_f4_fortran_v3.npy"}) {
    options_.features = golden(name);
    const auto data = load_npy(options_);
    same(data, x);
    EXPECT_TRUE(data->keys.empty());
  }
}

TEST_F(Npy, ReadsEveryWidthOfInteger) {
  for (const char* type : {"u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"}) {
    options_.features = golden(std::string("z_") + type + ".npy");
    options_.labels = golden(std::string("y_") + type + ".npy");
    same(load_npy(options_), [](std::size_t i, std::size_t j, std::size_t k) {
      return static_cast<int>(x(i, j, k) * 0.1 + 3);
    });
  }
}

TEST_F(Npy, ReadsArchivesStoredAndDeflated) {
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    NpyOptions archive;
    archive.archive = golden(name);
    archive.keys = "who";
    const auto data = load_npy(archive);
    same(data, x);
    EXPECT_THAT(test::list_of(data->keys), ElementsAre("7", "7", "300"));
  }
}

TEST_F(Npy, ReadsGzipAndDividesAndReshapes) {
  options_.features = folder_.path() / "x.npy.gz";
  test::write_gzip(options_.features, bytes_of(golden("x_f4_v1.npy")));
  options_.divide_by = 8;
  options_.feature_shape = {1, 2, 2, 2};
  options_.classes = 7;
  const auto data = load_npy(options_);
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.feature_shape(), ElementsAre(1, 2, 2, 2));
  EXPECT_EQ(data->dataset.example(2).value().features[7], static_cast<float>(x(2, 1, 3) / 8));
  EXPECT_EQ(data->dataset.classes(), 7U);
}

TEST_F(Npy, ReadsWhatPython2Wrote) {
  options_.features = folder_.path() / "x.npy";
  test::write_plain(options_.features,
                    npy("{\"shape\":(3L,1L),'fortran_order':False,'descr':'|u1'}", "abc"));
  const auto data = load_npy(options_);
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(98.0F));
}

TEST_F(Npy, RefusesOtherTypes) {
  options_.features = golden("x_big_endian.npy");
  failed(load_npy(options_), "big-endian '>f4'", errc::malformed_file);
  failed(load_npy(options_), "array.astype('<f4')", errc::malformed_file);
  options_.features = golden("x_bool.npy");
  failed(load_npy(options_), "its type is '|b1'", errc::malformed_file);
  options_.features = golden("x_structured.npy");
  failed(load_npy(options_), "structured array", errc::malformed_file);
  for (const char* type :
       {"", "f4", "<f2", "<f16", "<c8", "|f4", "|i2", "<i3", "=f4", "|O", "<U3"}) {
    features_refused(npy(dictionary(type, "(3, 1)"), "abc"), "its type is");
  }
}

TEST_F(Npy, RefusesOtherFormats) {
  features_refused("", "no array file of NumPy");
  features_refused("1,2,3\n4,5,6\n", "no array file of NumPy");
  features_refused(bytes_of(golden("stored.npz")), "looks like an .npz");
  std::string other = bytes_of(golden("x_f4_v1.npy"));
  for (const char version : {'\x00', '\x04', '\x7f'}) {
    other[6] = version;
    features_refused(other, "format version is");
  }
  other[6] = 1;
  other[7] = 1;
  features_refused(other, "format version is 1.1; expected 1.0, 2.0 or 3.0");
}

TEST_F(Npy, RefusesEveryTruncation) {
  for (const char* name : {"x_f4_v1.npy", "x_f8_fortran_v2.npy"}) {
    const std::string whole = bytes_of(golden(name));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      features_refused(whole.substr(0, size), ": it ");
    }
    features_refused(whole.substr(0, whole.size() - 1), "it ends after 23 of the 24 values");
    features_refused(whole + "x", "it holds more than the 24 values that its shape (3, 2, 4)");
  }
}

TEST_F(Npy, RefusesHeadersThatAreNotNumPys) {
  const auto refused = [this](const std::string& header, const std::string& why) {
    features_refused(npy(header, "abc"), why);
  };
  refused("", "does not begin with '{'");
  refused("[]", "does not begin with '{'");
  refused("{}", "no key 'descr'");
  refused("{'descr': '|u1', 'shape': (3, 1)}", "no key 'fortran_order'");
  refused("{'descr': '|u1', 'fortran_order': False}", "no key 'shape'");
  refused("{'descr': '|u1', 'descr': '|u1'}", "a key 'descr' too much");
  refused("{'descr': '|u1', 'order': 1}", "a key 'order' too much");
  refused("{'descr' '|u1'}", "no dictionary");
  refused("{descr: '|u1'}", "no dictionary");
  refused("{'descr", "no dictionary");
  refused("{'descr': '|u1' 'shape': (3, 1)}", "does not end with '}'");
  refused("{'descr': '|u1', 'fortran_order': 1}", "neither True nor False");
  for (const char* shape : {"3",
                            "(3, -1)",
                            "(3, 1",
                            "(3 1)",
                            "(,)",
                            "(3, 1.5)",
                            "(3, None)",
                            "(99999999999999999999,)",
                            "(1,1,1,1,1,1,1,1,1)"}) {
    refused(dictionary("|u1", shape), "the shape in its header is no tuple");
  }
  refused(dictionary("|u1", "(3, 1)") + "x", "text behind its header");
}

TEST_F(Npy, RefusesImpossibleShapesBeforeTakingMemory) {
  const auto refused = [this](const std::string& shape, const std::string& why) {
    features_refused(npy(dictionary("|u1", shape), "abc"), why);
  };
  refused("()", "its shape is (); features need 2 to 8 dimensions");
  refused("(3,)", "its shape is (3,); features need 2 to 8 dimensions");
  refused("(0, 3)", "the shape (0, 3) is empty");
  refused("(3, 0)", "is empty");
  refused("(4294967296, 4294967296)", "is impossible");
  refused("(3, 1152921504606846976)", "is impossible");
  refused("(3, 1099511627776)", "bytes of memory");
  options_.bytes_max = 11;
  refused("(3, 1)", "its 3 values need more than 11 bytes");
  options_.bytes_max = 12;
  test::write_plain(options_.features, npy(dictionary("|u1", "(3, 1)"), "abc"));
  EXPECT_TRUE(load_npy(options_));
}

TEST_F(Npy, KeepsHeadersWithinTheLimit) {
  const auto version2 = [](std::size_t length) {
    std::string bytes("\x93NUMPY\x02\x00", 8);
    for (unsigned shift = 0; shift < 32; shift += 8) {
      bytes += static_cast<char>(length >> shift & 0xFFU);
    }
    std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 1), }";
    header.resize(length, ' ');
    return bytes + header + "abc";
  };
  options_.features = folder_.path() / "x.npy";
  test::write_plain(options_.features, version2(limits::kNpyHeaderBytesMax));
  EXPECT_TRUE(load_npy(options_));
  features_refused(version2(limits::kNpyHeaderBytesMax + 1), "its header has 65537 bytes");
}

TEST_F(Npy, RefusesLabelsThatAreNotClasses) {
  labels_refused(bytes_of(golden("x_f4_v1.npy")), "labels have type float32; expected integers");
  labels_refused(npy(dictionary("|u1", "(3, 1)"), "abc"), "its shape is (3, 1); expected (3,)");
  labels_refused(npy(dictionary("|u1", "(4,)"), "abcd"), "its shape is (4,); expected (3,)");
  labels_refused(npy(dictionary("|u1", "(3,)"), "ab"), "ends after 2 of the 3");
  labels_refused(npy(dictionary("|i1", "(3,)"), "\x01\xff\x01"), "label 1 is -1");
  const std::string most(4, '\xff');
  labels_refused(npy(dictionary("<u4", "(3,)"), most + most + most), "label 0 is 4294967295");
  labels_refused(npy(dictionary("<u8", "(3,)"), std::string(24, '\xff')),
                 "value 0 is 18446744073709551615; expected less than 2^63");
  options_.classes = 2;
  options_.labels = golden("y_i4.npy");
  failed(load_npy(options_),
         "label 0 is 2; expected a class, a whole number from 0 to 1",
         errc::malformed_file);
}

TEST_F(Npy, RefusesOptionsThatContradictTheFile) {
  options_.feature_shape = {1, 3, 3};
  failed(load_npy(options_),
         "has 8 features per example (2x4); the feature shape 1x3x3 needs 9",
         errc::invalid_argument);
  options_.feature_shape = {};
  options_.divide_by = 0;
  failed(load_npy(options_), "divide_by is 0", errc::invalid_argument);
  options_.divide_by = 1;
  options_.keys = golden("z_u1.npy");
  failed(load_npy(options_), "expected (3,), one key per example", errc::malformed_file);
}

TEST_F(Npy, RefusesValuesThatAreNotFinite) {
  for (const std::string& value : {std::string("\x00\x00\xc0\x7f", 4),     // NaN
                                   std::string("\x00\x00\x80\x7f", 4)}) {  // infinity
    options_.features = folder_.path() / "x.npy";
    test::write_plain(options_.features,
                      npy(dictionary("<f4", "(3, 1)"), std::string(8, '\0') + value));
    failed(load_npy(options_), "feature 0 of example 2 is not finite", errc::not_finite);
  }
  // A float64 that no float32 holds.
  const std::string large("\x00\x00\x00\x00\x00\x00\xf0\x7e", 8);
  test::write_plain(options_.features,
                    npy(dictionary("<f8", "(3, 1)"), large + std::string(16, '\0')));
  failed(load_npy(options_), "x.npy': feature 0 of example 0 is not finite", errc::not_finite);
}

TEST_F(Npy, RefusesDamagedArchives) {
  NpyOptions archive;
  archive.archive = folder_.path() / "all.npz";
  const auto refused = [&](const std::string& bytes, const std::string& why) {
    test::write_plain(archive.archive, bytes);
    failed(load_npy(archive), why, errc::malformed_file);
    EXPECT_THAT(load_npy(archive).error().detail, HasSubstr("all.npz"));
  };
  refused("", "no zip archive");
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    const std::string whole = bytes_of(golden(name));
    for (std::size_t size = 0; size < whole.size(); size += 7) {
      refused(whole.substr(0, size), "cut short");
    }
    std::string damaged = whole;
    const auto at = whole.find("NUMPY") == std::string::npos ? 120 : whole.find("NUMPY") + 130;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    refused(damaged, "member 'x.npy': ");
    std::string coded = whole;  // in both headers of each member: flags, then the method
    for (auto entry = coded.find("PK\x01\x02"); entry != std::string::npos;
         entry = coded.find("PK\x01\x02", entry + 4)) {
      coded[entry + 8] = static_cast<char>(coded[entry + 8] | 1);
    }
    refused(coded, "it is encrypted");
    coded = whole;
    coded[coded.find("PK\x01\x02") + 10] = 12;
    refused(coded, "its compression has number 12");
  }
  archive.features = "X";
  test::write_plain(archive.archive, bytes_of(golden("stored.npz")));
  failed(load_npy(archive),
         "there is no 'X.npy' in it; it holds x.npy, y.npy, who.npy",
         errc::malformed_file);
}

TEST_F(Npy, NamesTheFileThatIsNotThere) {
  options_.labels = folder_.path() / "none.npy";
  failed(load_npy(options_), "none.npy", errc::not_found);
  options_.archive = folder_.path() / "none.npz";
  failed(load_npy(options_), "none.npz", errc::not_found);
  options_.archive = folder_.path();
  failed(load_npy(options_), "no zip archive", errc::malformed_file);
}

TEST_F(Npy, StreamsTheSameExamples) {
  for (const char* name : {"x_f4_v1.npy", "x_f8_v1.npy", "x_i2.npy"}) {
    if (!std::filesystem::exists(golden(name))) continue;
    options_.features = golden(name);
    options_.divide_by = 8;
    options_.stream = false;
    const auto held = load_npy(options_);
    options_.stream = true;
    const auto streamed = load_npy(options_);
    ASSERT_TRUE(held && streamed) << name;
    EXPECT_FALSE(streamed->dataset.in_memory());
    EXPECT_EQ(streamed->dataset.classes(), held->dataset.classes());
    for (const std::size_t i : {2U, 0U, 1U}) {
      EXPECT_EQ(streamed->dataset.example(i)->features, held->dataset.example(i)->features);
      EXPECT_EQ(streamed->dataset.example(i)->label, held->dataset.example(i)->label);
    }
  }
}

TEST_F(Npy, StreamsFromAnArchiveThatIsNotCompressed) {
  const test::TempFolder folder;
  options_ = {};
  options_.archive = folder.path() / "all.npz";
  options_.keys = "who";
  // Whatever stands before the archive, its members are where they are.
  for (const std::string before : {"", "#!/bin/sh\n"}) {
    test::write_plain(options_.archive, before + bytes_of(golden("stored.npz")));
    options_.stream = false;
    const auto held = load_npy(options_);
    options_.stream = true;
    const auto streamed = load_npy(options_);
    ASSERT_TRUE(held && streamed) << streamed.error().detail;
    EXPECT_FALSE(streamed->dataset.in_memory());
    ASSERT_EQ(streamed->dataset.size(), held->dataset.size());
    for (std::size_t i = held->dataset.size(); i-- > 0;) {
      EXPECT_EQ(streamed->dataset.example(i)->features, held->dataset.example(i)->features);
      EXPECT_EQ(streamed->dataset.example(i)->label, held->dataset.example(i)->label);
      EXPECT_EQ(streamed->keys[i], held->keys[i]);
    }
  }
}

TEST_F(Npy, ANumberThatIsNotFiniteIsMetWhereItIsStreamed) {
  const test::TempFolder folder;
  options_.stream = true;
  options_.features = folder.path() / "x.npy";
  std::string values(3 * 4, '\0');
  values.replace(8, 4, std::string("\x00\x00\xc0\x7f", 4));
  test::write_plain(options_.features, npy(dictionary("<f4", "(3, 1)"), values));
  const auto data = load_npy(options_);
  ASSERT_TRUE(data) << data.error().detail;
  EXPECT_TRUE(data->dataset.example(1));
  const auto met = data->dataset.example(2);
  ASSERT_FALSE(met);
  EXPECT_EQ(met.error().code, errc::not_finite);
  EXPECT_THAT(met.error().detail, HasSubstr("x.npy': feature 0 of example 2 is nan"));
}

TEST_F(Npy, RefusesToStreamWhatHasNoPlaces) {
  const test::TempFolder folder;
  options_.stream = true;
  options_.features = golden("x_f4_fortran_v3.npy");
  EXPECT_THAT(load_npy(options_).error().detail, HasSubstr("it is in Fortran order"));
  options_.features = folder.path() / "x.npy";
  test::write_plain(options_.features, npy(dictionary("<f4", "(3, 1)"), std::string(11, '\0')));
  EXPECT_THAT(load_npy(options_).error().detail,
              HasSubstr("it holds 11 bytes of values; its shape (3, 1) announces 12"));
  test::write_gzip(options_.features, npy(dictionary("<f4", "(3, 1)"), std::string(12, '\0')));
  EXPECT_THAT(load_npy(options_).error().detail, HasSubstr("is compressed (gzip)"));
  options_ = {};
  options_.stream = true;
  options_.archive = golden("deflated.npz");
  EXPECT_THAT(
      load_npy(options_).error().detail,
      HasSubstr("deflated.npz' member 'x.npy': it is compressed, which cannot be streamed"));
}

}  // namespace
}  // namespace chorus::client
