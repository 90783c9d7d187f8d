#include "chorus/client/text.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_folder.hpp"
#include "tests/unit/client/train/examples.hpp"
#include "tests/unit/client/train/gzip.hpp"

namespace chorus::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Text : public testing::Test {
 protected:
  Result<KeyedDataset> load(const std::string& text) {
    options_.path = folder_.path() / "play.txt";
    test::write_plain(options_.path, text);
    return load_text(options_);
  }

  void refused(const std::string& text, const std::string& why, errc code = errc::malformed_file) {
    const auto data = load(text);
    ASSERT_FALSE(data) << why;
    EXPECT_EQ(data.error().code, code) << data.error().detail;
    EXPECT_THAT(data.error().detail, HasSubstr(why));
  }

  // Characters of an example, and the one after them.
  std::string shown(const Dataset& data, std::size_t example) const {
    std::string text;
    const Example one = data.example(example).value();
    for (const float id : one.features) {
      text += options_.vocabulary[static_cast<std::size_t>(id)];
    }
    return text + "|" + options_.vocabulary[one.label];
  }

  const test::TempFolder folder_{};
  TextOptions options_;
};

TEST_F(Text, SlidesAWindowOverTheText) {
  options_.window = 3;
  const auto data = load("ab\ncde");
  ASSERT_TRUE(data) << data.error().to_string();
  ASSERT_EQ(data->dataset.size(), 3U);
  EXPECT_EQ(shown(data->dataset, 0), "ab\n|c");
  EXPECT_EQ(shown(data->dataset, 1), "b\nc|d");
  EXPECT_EQ(shown(data->dataset, 2), "\ncd|e");
  EXPECT_THAT(data->dataset.feature_shape(), ElementsAre(3));
  EXPECT_EQ(data->dataset.classes(), 96U);
  EXPECT_THAT(data->dataset.example(0).value().features, ElementsAre(66, 67, 0));
  EXPECT_TRUE(data->keys.empty());
}

TEST_F(Text, ASequenceHasATargetForEveryCharacter) {
  options_.window = 3;
  options_.stride = 2;
  options_.sequence = true;
  const auto data = load("ab\ncde");
  ASSERT_TRUE(data) << data.error().to_string();
  ASSERT_EQ(data->dataset.size(), 2U);
  EXPECT_EQ(data->dataset.target_count(), 3U);
  EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(0, 68, 69));
  EXPECT_THAT(data->dataset.example(1).value().targets, ElementsAre(68, 69, 70));
  EXPECT_EQ(shown(data->dataset, 1), "\ncd|e");
}

TEST_F(Text, StrideSkipsCharacters) {
  options_.window = 2;
  options_.stride = 2;
  for (const auto& [text, windows] :
       std::map<std::string, std::size_t>{{"abc", 1}, {"abcd", 1}, {"abcde", 2}, {"abcdef", 2}}) {
    const auto data = load(text);
    ASSERT_TRUE(data) << data.error().to_string();
    EXPECT_EQ(data->dataset.size(), windows) << text;
  }
  EXPECT_EQ(shown(load("abcde")->dataset, 1), "cd|e");
}

TEST_F(Text, DividesByRole) {
  options_.by_role = true;
  options_.window = 4;
  const auto data =
      load("ANN:\r\nwho\r\nis?\r\n\r\nBOB:\nit: me\n\n\nANN:\nah\n\nSILENT:\n\nSHORT:\nwhat");
  ASSERT_TRUE(data) << data.error().to_string();
  // ANN: "who\nis?\nah" (10), BOB: "it: me" (6), SHORT: "what" is one window with nothing after it.
  EXPECT_THAT(test::list_of(data->keys),
              ElementsAre("ANN", "ANN", "ANN", "ANN", "ANN", "ANN", "BOB", "BOB"));
  EXPECT_EQ(shown(data->dataset, 0), "who\n|i");
  EXPECT_EQ(shown(data->dataset, 5), "s?\na|h");
  EXPECT_EQ(shown(data->dataset, 7), "t: m|e");
}

TEST_F(Text, TakesAVocabularyAndAReplacement) {
  options_.window = 2;
  options_.vocabulary = "ba_";
  const auto data = load("abba");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.example(0).value().features, ElementsAre(1, 0));
  EXPECT_EQ(data->dataset.classes(), 3U);
  refused("ab\nac", "play.txt' line 1, column 1: byte 0x0a is not in the vocabulary");
  options_.vocabulary += "\n";
  refused("ab\nac", "line 2, column 2: byte 0x63");
  options_.replacement = '_';
  EXPECT_EQ(shown(load("ab\xc3\xa4")->dataset, 1), "b_|_");
}

TEST_F(Text, RefusesOptionsThatCannotWork) {
  const auto bad = errc::invalid_argument;
  options_.replacement = '\t';
  refused("abc", "the replacement, byte 0x09, is not in the vocabulary", bad);
  options_.replacement.reset();
  options_.vocabulary = "aba";
  refused("abc", "holds byte 0x61 twice", bad);
  options_.vocabulary = "a";
  refused("aaa", "the vocabulary has 1 characters; expected 2 to 256", bad);
  options_.vocabulary = printable_characters();
  options_.stride = 0;
  refused("abc", "stride 0; expected 1 or more", bad);
  options_.stride = 1;
  options_.window = 0;
  refused("abc", "window is 0", bad);
}

TEST_F(Text, RefusesTextsWithoutExamplesOrRoles) {
  options_.window = 3;
  refused("", "no text has more than 3 characters");
  refused("abc", "no text has more than 3 characters");
  options_.by_role = true;
  refused("A:\nabc\n", "no role has more than 3 characters");
  refused("hello there\n", "line 1: 'hello there' names no role");
  refused("A:\nabcd\n\n\n:\n", "line 5: ':' names no role");
}

TEST_F(Text, KeepsWithinLimits) {
  options_.window = 3;
  options_.bytes_max = 32;
  EXPECT_TRUE(load(std::string(32, 'a')));
  refused(std::string(33, 'a'), "it has more than 32 bytes");
}

TEST_F(Text, ReadsGzipAndNamesWhatIsNotThere) {
  options_.path = folder_.path() / "play.txt.gz";
  EXPECT_EQ(load_text(options_).error().code, errc::not_found);
  options_.window = 2;
  test::write_gzip(options_.path, "abc");
  EXPECT_EQ(load_text(options_)->dataset.size(), 1U);
}

TEST(TinyShakespeare, HasTheRolesThatItsDescriptionCounts) {
  const char* const given = std::getenv("CHORUS_DATA_DIR");
  const std::filesystem::path data =
      given != nullptr && *given != '\0'
          ? std::filesystem::path(given)
          : std::filesystem::path(CHORUS_ROOT_DIR) / ".." / "shared" / "data";
  TextOptions options;
  options.path = data / "tiny-shakespeare" / "input.txt";
  if (!std::filesystem::exists(options.path)) {
    GTEST_SKIP() << "no " << options.path << "; set CHORUS_DATA_DIR";
  }
  options.by_role = true;
  options.window = 1;
  const auto play = load_text(options);
  ASSERT_TRUE(play) << play.error().to_string();
  std::map<std::string, std::size_t> characters;
  for (std::size_t i = 0; i < play->keys.size(); ++i) ++characters[play->keys[i]];
  EXPECT_EQ(characters.size(), 299U);
  EXPECT_EQ(std::count_if(characters.begin(),
                          characters.end(),
                          [](const auto& role) { return role.second >= 999; }),
            141);
}

}  // namespace
}  // namespace chorus::client
