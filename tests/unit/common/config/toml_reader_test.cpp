#include "common/config/toml_reader.hpp"

#include <algorithm>
#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>

namespace chorus::config {
namespace {

using namespace std::chrono_literals;

TomlReader parsed(std::string_view text) {
  auto file = TomlReader::parse(text, "job.toml", "/etc/chorus");
  EXPECT_TRUE(file) << file.error().to_string();
  return std::move(file).value();
}

// What finish() says, "" when all is well.
std::string problems(TomlReader& file) {
  const auto done = file.finish();
  if (done) return "";
  EXPECT_EQ(done.error().code, errc::malformed_file);
  return done.error().detail;
}

TEST(TomlReader, ReadsEveryKindOfValue) {
  auto file = parsed(R"(
yes = true
name = "digits"
rounds = 20
rate = 0.5
one = 1
wait = "90s"
budget = "64MiB"
plain = 4096
key = "pki/ca.key"
absolute = "/srv/ca.pem"
shape = [1, 8, 8]
names = ["a", "b"]
colour = "green"
[pace]
cohort = 10
)");
  const auto root = file.root();
  bool yes = false;
  std::string name;
  std::uint32_t rounds = 0;
  double rate = 0;
  double one = 0;
  Duration wait{};
  std::uint64_t budget = 0;
  std::uint64_t plain = 0;
  std::filesystem::path key;
  std::filesystem::path absolute;
  std::vector<std::uint64_t> shape;
  std::vector<std::string> names;
  enum class Colour { red, green } colour = Colour::red;
  EXPECT_TRUE(root.boolean("yes", yes));
  EXPECT_TRUE(root.text("name", name));
  EXPECT_TRUE(root.whole("rounds", rounds, {1, 100}));
  EXPECT_TRUE(root.number("rate", rate, {.min = 0, .max = 1}));
  EXPECT_TRUE(root.number("one", one));
  EXPECT_TRUE(root.duration("wait", wait));
  EXPECT_TRUE(root.size("budget", budget));
  EXPECT_TRUE(root.size("plain", plain));
  EXPECT_TRUE(root.path("key", key));
  EXPECT_TRUE(root.path("absolute", absolute));
  EXPECT_TRUE(root.wholes("shape", shape));
  EXPECT_TRUE(root.texts("names", names));
  EXPECT_TRUE(root.choice("colour", colour, {{"red", Colour::red}, {"green", Colour::green}}));
  std::uint64_t cohort = 0;
  EXPECT_TRUE(root.table("pace").whole("cohort", cohort));
  EXPECT_EQ(problems(file), "");
  EXPECT_TRUE(yes);
  EXPECT_EQ(name, "digits");
  EXPECT_EQ(rounds, 20U);
  EXPECT_EQ(rate, 0.5);
  EXPECT_EQ(one, 1.0);
  EXPECT_EQ(wait, Duration(90s));
  EXPECT_EQ(budget, 64U << 20U);
  EXPECT_EQ(plain, 4096U);
  EXPECT_EQ(key, "/etc/chorus/pki/ca.key");
  EXPECT_EQ(absolute, "/srv/ca.pem");
  EXPECT_EQ(shape, (std::vector<std::uint64_t>{1, 8, 8}));
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(colour, Colour::green);
  EXPECT_EQ(cohort, 10U);
}

TEST(TomlReader, AbsentKeysKeepTheirDefaults) {
  auto file = parsed("");
  const auto pace = file.root().table("pace");
  std::uint32_t cohort = 7;
  Duration wait(3s);
  EXPECT_FALSE(pace.present());
  EXPECT_FALSE(pace.whole("cohort", cohort));
  EXPECT_FALSE(pace.duration("deadline", wait));
  EXPECT_TRUE(pace.tables("layers").empty());
  EXPECT_FALSE(pace.table("deeper").present());
  EXPECT_EQ(problems(file), "");
  EXPECT_EQ(cohort, 7U);
  EXPECT_EQ(wait, Duration(3s));
}

TEST(TomlReader, SaysWhereTheFileIsNoToml) {
  const auto file = TomlReader::parse("a = 1\nb = \n", "job.toml");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, errc::malformed_file);
  EXPECT_EQ(file.error().detail.rfind("job.toml:2:", 0), 0U) << file.error().detail;
  EXPECT_FALSE(TomlReader::parse("a = 1\na = 2\n", "job.toml"));
  EXPECT_FALSE(TomlReader::parse("a = \"\xff\"\n", "job.toml"));
}

struct WrongValue {
  const char* text;
  void (*read)(const TomlTable&);
  const char* expected;
};

TEST(TomlReader, SaysWhatIsWrongWithAValue) {
  static bool flag = false;
  static std::string text;
  static std::uint32_t whole = 0;
  static double number = 0;
  static Duration wait{};
  static std::uint64_t bytes = 0;
  static std::vector<std::uint64_t> wholes;
  static std::vector<std::string> texts;
  static std::filesystem::path path;
  const WrongValue cases[] = {
      {"k = 1", [](const TomlTable& t) { t.boolean("k", flag); }, "k = 1: expected true or false"},
      {"k = 1", [](const TomlTable& t) { t.text("k", text); }, "k = 1: expected text in quotes"},
      {"k = \"abcd\"",
       [](const TomlTable& t) { t.text("k", text, {.bytes_max = 3}); },
       "k = \"abcd\": expected text in quotes of at most 3 bytes"},
      {"k = \"10\"",
       [](const TomlTable& t) {
         t.whole("k", whole, {1, 9});
       },
       "k = \"10\": expected a whole number from 1 to 9"},
      {"k = 10",
       [](const TomlTable& t) {
         t.whole("k", whole, {1, 9});
       },
       "k = 10: expected a whole number from 1 to 9"},
      {"k = -1",
       [](const TomlTable& t) { t.whole("k", whole); },
       "k = -1: expected a whole number from 0 to 4294967295"},
      {"k = 4294967296",
       [](const TomlTable& t) { t.whole("k", whole); },
       "k = 4294967296: expected a whole number from 0 to 4294967295"},
      {"k = 1.5",
       [](const TomlTable& t) { t.whole("k", whole); },
       "k = 1.5: expected a whole number from 0 to 4294967295"},
      {"k = 0",
       [](const TomlTable& t) { t.number("k", number, {.min = 0, .min_excluded = true}); },
       "k = 0: expected a number above 0"},
      {"k = 1.0",
       [](const TomlTable& t) {
         t.number("k", number, {.min = 0, .max = 1, .max_excluded = true});
       },
       "k = 1.0: expected a number in [0, 1)"},
      {"k = nan", [](const TomlTable& t) { t.number("k", number); }, "k = nan: expected a number"},
      {"k = inf",
       [](const TomlTable& t) { t.number("k", number, {.max = 2}); },
       "k = inf: expected a number of at most 2"},
      {"k = true",
       [](const TomlTable& t) { t.number("k", number); },
       "k = true: expected a number"},
      {"k = 30",
       [](const TomlTable& t) { t.duration("k", wait); },
       "k = 30: expected a duration such as \"30s\", \"5m\" or \"250ms\""},
      {"k = \"2h\"",
       [](const TomlTable& t) { t.duration("k", wait, {.min = 1s, .max = 1h}); },
       "k = \"2h\": expected a duration from 1s to 1h"},
      {"k = \"many\"",
       [](const TomlTable& t) { t.size("k", bytes); },
       "k = \"many\": expected a size such as \"64MiB\" or \"4GiB\""},
      {"k = \"1KiB\"",
       [](const TomlTable& t) { t.size("k", bytes, {.min = 1U << 20U}); },
       "k = \"1KiB\": expected a size from 1MiB to 4194304TiB"},
      {"k = -1",
       [](const TomlTable& t) { t.size("k", bytes); },
       "k = -1: expected a size such as \"64MiB\" or \"4GiB\""},
      {"k = \"\"",
       [](const TomlTable& t) { t.path("k", path); },
       "k = \"\": expected a path in quotes"},
      {"k = 3",
       [](const TomlTable& t) { t.wholes("k", wholes); },
       "k = 3: expected whole numbers in brackets such as [1, 8, 8]"},
      {"k = [1, 0]",
       [](const TomlTable& t) { t.wholes("k", wholes, {.min = 1}); },
       "k[1] = 0: expected a whole number of at least 1"},
      {"k = [\"a\", 2]",
       [](const TomlTable& t) { t.texts("k", texts); },
       "k[1] = 2: expected text in quotes"},
      {"k = 1", [](const TomlTable& t) { t.table("k"); }, "k = 1: expected a table, written [k]"},
      {"k = 1",
       [](const TomlTable& t) { t.tables("k"); },
       "k = 1: expected tables, each written [[k]]"},
      {"[k]",
       [](const TomlTable& t) { t.text("k", text); },
       "k = a table: expected text in quotes"},
  };
  for (const auto& c : cases) {
    auto file = parsed(c.text);
    c.read(file.root());
    EXPECT_FALSE(file.ok()) << c.text;
    const auto said = problems(file);
    EXPECT_EQ(said.substr(said.find(' ') + 1), c.expected) << c.text;
    EXPECT_EQ(said.rfind("job.toml:1:", 0), 0U) << said;
  }
}

TEST(TomlReader, SuggestsTheWordThatWasMeant) {
  auto file = parsed("order = \"shufled\"\nkind = 3\n");
  int order = 0;
  file.root().choice("order", order, {{"natural", 1}, {"shuffled", 2}});
  file.root().choice("kind", order, {{"only", 1}});
  EXPECT_EQ(problems(file),
            "job.toml:1:9: order = \"shufled\": expected one of \"natural\", \"shuffled\"; did you "
            "mean 'shuffled'?\n"
            "job.toml:2:8: kind = 3: expected \"only\"");
}

TEST(TomlReader, UnknownKeysAreErrors) {
  auto file =
      parsed("[job]\nname = \"a\"\ncohort = 1\n[pace]\ncohrt = 3\nfoo = 1\n[pase]\nx = 1\n");
  std::string name;
  std::uint32_t cohort = 0;
  file.root().table("job").text("name", name);
  const auto pace = file.root().table("pace");
  pace.whole("cohort", cohort);
  EXPECT_EQ(problems(file),
            "job.toml:3:1: job.cohort: unknown key here; 'cohort' belongs in [pace]\n"
            "job.toml:5:1: pace.cohrt: unknown key; did you mean 'cohort'?\n"
            "job.toml:6:1: pace.foo: unknown key; known here: cohort\n"
            "job.toml:7:2: pase: unknown key; did you mean 'pace'?");
}

TEST(TomlReader, MissingKeysAreNamed) {
  auto file = parsed("[job]\n");
  EXPECT_FALSE(file.root().table("job").require("name", "a name such as \"digits\""));
  EXPECT_FALSE(file.root().table("model").require("layers", "[[model.layers]]"));
  EXPECT_EQ(problems(file),
            "job.toml:1:1: job.name is missing: expected a name such as \"digits\"\n"
            "job.toml:1:1: model.layers is missing: expected [[model.layers]]");
}

TEST(TomlReader, TablesInAListHaveTheirIndex) {
  auto file = parsed("[[model.layers]]\nunits = 1\n[[model.layers]]\nunits = 0\nunist = 2\n");
  const auto layers = file.root().table("model").tables("layers");
  ASSERT_EQ(layers.size(), 2U);
  std::uint64_t units = 0;
  for (const auto& layer : layers) layer.whole("units", units, {1, 9});
  EXPECT_EQ(problems(file),
            "job.toml:4:9: model.layers[1].units = 0: expected a whole number from 1 to 9\n"
            "job.toml:5:1: model.layers.unist: unknown key; did you mean 'units'?");
}

TEST(TomlReader, HandsTheRestOfATableOver) {
  auto file = parsed("[s]\nname = \"fedavg\"\na = true\nb = 2\nc = 0.5\nd = \"x\"\ne = [1]\n");
  const auto table = file.root().table("s");
  std::string name;
  table.text("name", name);
  const auto rest = table.rest();
  ASSERT_EQ(rest.size(), 4U);
  EXPECT_EQ(std::get<bool>(rest[0].value), true);
  EXPECT_EQ(std::get<std::int64_t>(rest[1].value), 2);
  EXPECT_EQ(std::get<double>(rest[2].value), 0.5);
  EXPECT_EQ(std::get<std::string>(rest[3].value), "x");
  EXPECT_TRUE(table.rest().empty());
  const std::string_view known[] = {"beta"};
  table.unknown("b", known);
  table.problem("c", "expected less");
  table.problem("gone", "expected something");
  EXPECT_EQ(problems(file),
            "job.toml:1:1: s.gone: expected something\n"
            "job.toml:4:1: s.b: unknown key; known here: beta\n"
            "job.toml:5:5: s.c = 0.5: expected less\n"
            "job.toml:7:5: s.e = [ 1 ]: expected a single value");
}

TEST(TomlReader, ReportsAsManyProblemsAsFit) {
  const std::string text = "k0 = 1\nk1 = 1\nk2 = 1\nk3 = 1\nk4 = 1\n";
  const auto said = [&text](std::size_t bytes_max) {
    auto file = parsed(text);
    static_cast<void>(file.root());
    return file.finish(bytes_max).error().detail;
  };
  const std::string all = said(10'000);
  const std::size_t line = all.find('\n');  // all lines are as long
  ASSERT_EQ(all.size(), 5 * line + 4);
  const auto first = [&](std::size_t count) { return all.substr(0, count * (line + 1) - 1); };
  const std::string more = "\n… and 3 more";
  EXPECT_EQ(said(all.size()), all);
  EXPECT_EQ(said(all.size() - 1), first(4) + "\n… and 1 more");
  EXPECT_EQ(said(first(2).size() + more.size()), first(2) + more);
  EXPECT_EQ(said(first(2).size() + more.size() - 1), first(1) + "\n… and 4 more");
  EXPECT_EQ(said(1), first(1) + "\n… and 4 more");  // one at least
}

TEST(TomlReader, ReportsAtMostTwentyProblems) {
  std::string text;
  for (int i = 0; i < 25; ++i) text += "key" + std::to_string(i) + " = 1\n";
  auto file = parsed(text);
  static_cast<void>(file.root());
  const auto said = problems(file);
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 20);
  EXPECT_NE(said.find("… and 5 more"), std::string::npos);
}

TEST(TomlReader, LongValuesAreCut) {
  auto file = parsed("k = \"" + std::string(1000, 'x') + "\"\n");
  bool flag = false;
  file.root().boolean("k", flag);
  EXPECT_LT(problems(file).size(), 150U);
}

TEST(TomlReader, LoadsAFileAndResolvesPathsBesideIt) {
  const auto folder =
      std::filesystem::temp_directory_path() /
      ("chorus_toml_" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
       std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "a.toml") << "p = \"sub/x\"\n";
  auto file = TomlReader::load(folder / "a.toml");
  ASSERT_TRUE(file);
  std::filesystem::path path;
  EXPECT_TRUE(file->root().path("p", path));
  EXPECT_EQ(path, folder / "sub/x");
  EXPECT_EQ(TomlReader::load(folder / "none.toml").error().code, errc::not_found);
  EXPECT_FALSE(TomlReader::load(folder / "a.toml", 3));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace chorus::config
