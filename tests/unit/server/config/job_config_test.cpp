#include "server/config/job_config.hpp"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "server/config/templates.hpp"

namespace chorus::server {
namespace {

using namespace std::chrono_literals;

JobVocabulary vocabulary() {
  return {all_strategies(), all_selections()};
}

constexpr const char* kModel = R"([model]
input_shape = [4]
[[model.layers]]
type = "dense"
units = 2
)";

std::string with_model(const std::string& rest) {
  return std::string(kModel) + "[job]\nname = \"j\"\n" + rest;
}

JobConfig parsed(const std::string& text) {
  auto job = parse_job(text, "job.toml", vocabulary());
  EXPECT_TRUE(job) << job.error().detail;
  return std::move(job).value();
}

std::string problems(const std::string& text) {
  const auto job = parse_job(text, "job.toml", vocabulary());
  if (job) return "";
  EXPECT_EQ(job.error().code, errc::malformed_file);
  return job.error().detail;
}

TEST(JobConfig, TheShortestFileGivesTheDefaults) {
  const auto job = parsed(with_model(""));
  EXPECT_EQ(job.round.job.value, "j");
  EXPECT_EQ(job.round.seed, 1U);
  EXPECT_EQ(job.round.rounds, 100U);
  EXPECT_EQ(job.round.pace.cohort, 10U);
  EXPECT_EQ(job.round.pace.goal, 10U);
  EXPECT_EQ(job.round.pace.min_reports, 5U);
  EXPECT_EQ(job.round.pace.deadline, Duration(10min));
  EXPECT_EQ(job.round.pace.grace, Duration(30s));
  EXPECT_EQ(job.round.pace.selection_deadline, Duration(1min));
  EXPECT_EQ(job.train,
            (TrainPlan{{Budget::Unit::epochs, 1.0}, 32, {0.01, 0, 0}, Order::shuffled, 0}));
  EXPECT_EQ(job.evaluate.batch_size, 256U);
  EXPECT_EQ(job.round.evaluation.fraction, 1.0);
  EXPECT_EQ(job.round.evaluation.every, 1U);
  EXPECT_EQ(job.round.evaluation.deadline, Duration(60s));
  EXPECT_FALSE(job.round.target);
  EXPECT_EQ(job.limits, UpdateLimits{});
  EXPECT_EQ(job.strategy, "fedavg");
  EXPECT_EQ(job.selection, "uniform");
  EXPECT_EQ(std::get<double>(job.strategy_options.at("server_learning_rate")), 1.0);
  EXPECT_EQ(std::get<std::string>(job.strategy_options.at("weighting")), "examples");
}

// They reach whoever submits the job in one Error.
TEST(JobConfig, ItsProblemsFitIntoAnAnswerAsWholeLines) {
  std::string keys;
  for (int i = 0; i < 30; ++i) keys += "key" + std::to_string(i) + " = 1\n";
  const std::string said = problems(with_model(keys));
  EXPECT_LE(said.size(), limits::kDetailBytesMax);
  const auto lines = std::count(said.begin(), said.end(), '\n');
  ASSERT_GT(lines, 2);
  const std::string ending = "\n… and " + std::to_string(30 - lines) + " more";
  ASSERT_GT(said.size(), ending.size());
  EXPECT_EQ(said.substr(said.size() - ending.size()), ending);
}

TEST(JobConfig, TheDigitsJobIsReadyToSubmit) {
  const auto job = parsed(digits_job_toml());
  EXPECT_EQ(job.round.job.value, "digits");
  EXPECT_EQ(job.round.rounds, 20U);
  EXPECT_EQ(job.round.pace.goal, job.round.pace.cohort);
  EXPECT_EQ(job.round.pace.over_select, 1.0);
  EXPECT_EQ(job.model.layers.size(), 10U);
  EXPECT_EQ(layout_of(job.model)->parameters, 160U + 4640U + 8256U + 650U);
  EXPECT_EQ(job.train.budget, (Budget{Budget::Unit::epochs, 3.0}));
}

TEST(JobConfig, ReadsEveryKey) {
  const auto job = parsed(R"(
[job]
name = "two-layer"
description = "words"
seed = 9
rounds = 7
[model]
input_shape = [3, 8, 8]
loss = "softmax_cross_entropy"
[[model.layers]]
type = "conv2d"
name = "first"
channels = 4
kernel = 5
stride = 2
padding = 2
[[model.layers]]
type = "relu"
[[model.layers]]
type = "max_pool2d"
kernel = 2
stride = 1
[[model.layers]]
type = "flatten"
[[model.layers]]
type = "dense"
name = "last"
units = 10
[strategy]
name = "fedavg"
server_learning_rate = 2
weighting = "uniform"
[train]
steps = 50
batch_size = 8
learning_rate = 0.1
momentum = 0.5
weight_decay = 0.001
order = "natural"
[pace]
cohort = 100
over_select = 1.3
goal = 110
min_reports = 60
deadline = "1h"
grace = "0s"
selection_deadline = "30s"
[limits]
examples_max = 500
value_max = 2.5
[evaluation]
fraction = 0.25
every = 5
deadline = "20s"
batch_size = 64
[selection]
name = "uniform"
[stop]
metric = "accuracy"
at_least = 0.98
)");
  const std::vector<Layer> layers{
      Conv2d{"first", 4, 5, 2, 2}, Relu{}, MaxPool2d{2, 1}, Flatten{}, Dense{"last", 10}};
  EXPECT_EQ(job.model.layers, layers);
  EXPECT_EQ(job.description, "words");
  EXPECT_EQ(job.round.seed, 9U);
  EXPECT_EQ(job.train,
            (TrainPlan{{Budget::Unit::steps, 50.0}, 8, {0.1, 0.5, 0.001}, Order::natural, 0}));
  EXPECT_EQ(job.round.pace.goal, 110U);
  EXPECT_EQ(job.round.pace.min_reports, 60U);
  EXPECT_EQ(job.round.pace.deadline, Duration(1h));
  EXPECT_EQ(job.limits, (UpdateLimits{500, 2.5}));
  EXPECT_EQ(job.round.evaluation.every, 5U);
  EXPECT_EQ(job.evaluate.batch_size, 64U);
  ASSERT_TRUE(job.round.target);
  EXPECT_EQ(job.round.target->metric, "accuracy");
  EXPECT_EQ(job.round.target->at_least, 0.98);
  EXPECT_EQ(std::get<double>(job.strategy_options.at("server_learning_rate")), 2.0);
  EXPECT_EQ(std::get<std::string>(job.strategy_options.at("weighting")), "uniform");
}

TEST(JobConfig, EveryBudgetHasItsKey) {
  EXPECT_EQ(parsed(with_model("[train]\nexamples = 3")).train.budget,
            (Budget{Budget::Unit::examples, 3.0}));
  EXPECT_EQ(parsed(with_model("[train]\nseconds = 0.5")).train.budget,
            (Budget{Budget::Unit::seconds, 0.5}));
}

TEST(JobConfig, ReadsEveryOptionOfAPlan) {
  const TrainPlan plan = parsed(with_model(R"([train]
order = "curriculum"
curriculum_pace = "root"
curriculum_start = 0.5
curriculum_full = 0.75
curriculum_hardest_first = true
curriculum_given_scores = true
early_stop_loss = 0.25
early_stop_patience = 3
early_stop_improvement = 0.01
early_stop_gradient_norm = 0.5
meta = "reptile"
meta_rate = 0.5
meta_inner_steps = 9
precision = "bf16"
distil = "received"
distil_weight = 0.25
distil_temperature = 3.0
distil_not_true = true
trainable = ["*.weight", "*.bias"]
frozen = ["*.bias"]
local = ["*"]
normalise_mean = [8]
normalise_deviation = [0.5]
)"))
                             .train;
  EXPECT_EQ(plan.order, Order::curriculum);
  EXPECT_EQ(plan.curriculum, (Curriculum{Curriculum::Pace::root, 0.5, 0.75, true, true}));
  EXPECT_EQ(plan.early_stop, (EarlyStop{0.25, 3, 0.01, 0.5}));
  EXPECT_EQ(plan.meta, (Meta{Meta::Kind::reptile, 0.5, 9}));
  EXPECT_EQ(plan.precision, Precision::bf16);
  EXPECT_EQ(plan.distil, (Distillation{Distillation::Teacher::received, 0.25, 3.0, true}));
  EXPECT_EQ(plan.trainable, (Trainable{{"*.weight", "*.bias"}, {"*.bias"}, false}));
  EXPECT_EQ(plan.local, std::vector<std::string>{"*"});
  EXPECT_EQ(plan.normalise, (std::vector<FeatureScale>{{8, 0.5}}));
}

TEST(JobConfig, WhatIsMeasuredIsNormalisedAsWhatIsLearnedFrom) {
  const JobConfig job = parsed(with_model(R"([evaluation]
batch_size = 64
[train]
normalise_mean = [8, 0, 1, 2.5]
normalise_deviation = [0.5, 2, 1, 1]
)"));
  EXPECT_EQ(job.evaluate, (EvaluatePlan{64, {{8, 0.5}, {0, 2}, {1, 1}, {2.5, 1}}}));
}

TEST(JobConfig, RulesOverAllUpdatesNeedNoSumsButUpdatesToChooseFrom) {
  const std::string median = "[strategy]\nname = \"median\"\n";
  const auto at_the_limit = parsed(with_model(median + "[pace]\ncohort = 5000\ngoal = 4096\n"));
  EXPECT_EQ(at_the_limit.strategy, "median");
  EXPECT_EQ(at_the_limit.round.pace.goal, 4096U);
  // Too much for exact sums, which there are none of.
  EXPECT_EQ(
      problems(with_model(median + "[pace]\ncohort = 4096\n[limits]\nexamples_max = 4294967296"
                                   "\nvalue_max = 1e9\n")),
      "");
  EXPECT_EQ(problems(with_model(median + "[pace]\ncohort = 3\nmin_reports = 3\n")), "");
  EXPECT_NE(problems(with_model(median + "[pace]\ncohort = 4\n")), "");  // min_reports is 2 then
  EXPECT_NE(problems(with_model(median + "[pace]\ncohort = 4097\n")), "");

  const auto trimmed = parsed(with_model("[strategy]\nname = \"trimmed_mean\"\n"));
  EXPECT_EQ(std::get<double>(trimmed.strategy_options.at("trim")), 0.1);
  const std::string nothing = "[strategy]\nname = \"trimmed_mean\"\ntrim = 0\n";
  EXPECT_EQ(problems(with_model(nothing + "[pace]\ncohort = 1\n")), "") << "the plain mean";
  for (const char* codec : {"random_k", "sign", "rotated", "qsgd"}) {
    EXPECT_EQ(problems(with_model(median + "[compress]\ncodec = \"" + codec + "\"\n")), "")
        << codec;
  }
  EXPECT_NE(problems(with_model(median + "[compress]\ncodec = \"uniform\"\n[[compress.tensors]]\n"
                                         "tensors = \"*.bias\"\ncodec = \"ternary\"\n")),
            "");
}

TEST(JobConfig, SaysWhatIsWrong) {
  // After the model and [job] the rest begins in line 8.
  const std::pair<const char*, const char*> cases[] = {
      {"seed = -1", "job.toml:8:8: job.seed = -1: expected a whole number of at least 0"},
      {"rounds = 0", "job.toml:8:10: job.rounds = 0: expected a whole number from 1 to 10000000"},
      {"[train]\nepochs = 0",
       "job.toml:9:10: train.epochs = 0: expected a whole number from 1 to 1000000000"},
      {"[train]\nepochs = 1\nsteps = 5",
       "job.toml:10:9: train.steps = 5: 'epochs' is given already; expected one of epochs, steps, "
       "examples or seconds"},
      {"[train]\nlearning_rate = 0.0",
       "job.toml:9:17: train.learning_rate = 0.0: expected a number in (0, 1000]"},
      {"[train]\nmomentum = 1.0",
       "job.toml:9:12: train.momentum = 1.0: expected a number in [0, 1)"},
      {"[train]\norder = \"random\"",
       "job.toml:9:9: train.order = \"random\": expected one of \"natural\", "
       "\"shuffled\", \"curriculum\""},
      {"[train]\norder = \"curriculum\"\nseconds = 5",
       "job.toml:10:11: train.seconds = 5: curriculum does not go with seconds: its pace needs the "
       "number of steps"},
      {"[train]\ncurriculum_start = 0.5",
       "job.toml:9:20: train.curriculum_start = 0.5: expected the order curriculum"},
      {"[train]\ndistil_weight = 2.0",
       "job.toml:9:17: train.distil_weight = 2.0: expected a teacher"},
      {"[train]\nmeta = \"reptile\"\nmeta_rate = 2.0",
       "job.toml:10:13: train.meta_rate = 2.0: expected at most 1 for reptile"},
      {"[train]\nearly_stop_improvement = 0.1",
       "job.toml:9:26: train.early_stop_improvement = 0.10000000000000001: expected 0 without "
       "patience"},
      {"[train]\nfrozen = [\"none.*\"]",
       "job.toml:9:10: train.frozen = [ 'none.*' ]: patterns: 'none.*' names no tensor of the "
       "model; the first of its 2 is 'dense1.weight'"},
      {"[train]\ntrainable = [\"a b\"]",
       "job.toml:9:14: train.trainable[0] = \"a b\": expected names of tensors, with * and ?"},
      {"[train]\nlocal = [\"head\"]",
       "job.toml:9:9: train.local = [ 'head' ]: patterns: 'head' names no tensor of the model; the "
       "first of its 2 is 'dense1.weight'"},
      {"[train]\nnormalise_mean = [1, 2, 3]\nnormalise_deviation = [1, 1, 1]",
       "job.toml:9:18: train.normalise_mean = [ 1, 2, 3 ]: normalise: there are 3 means and "
       "deviations for features of [4]; expected 1, 4 (one per channel) or 4 (one per feature)"},
      {"[train]\nnormalise_mean = [1, 2]\nnormalise_deviation = [1]",
       "job.toml:9:18: train.normalise_mean = [ 1, 2 ]: 2 means and 1 deviations; expected as many "
       "of both"},
      {"[train]\nnormalise_deviation = [1]",
       "job.toml:9:23: train.normalise_deviation = [ 1 ]: 0 means and 1 deviations; expected as "
       "many of both"},
      {"[train]\nnormalise_mean = [1]\nnormalise_deviation = [0]",
       "job.toml:10:24: train.normalise_deviation[0] = 0: expected a number above 0"},
      {"[train]\nbatchsize = 3",
       "job.toml:9:1: train.batchsize: unknown key; did you mean 'batch_size'?"},
      {"[pace]\ncohort = 100001",
       "job.toml:9:10: pace.cohort = 100001: expected a whole number from 1 to 100000"},
      {"[pace]\ncohort = 60000\nover_select = 2.0",
       "job.toml:10:15: pace.over_select = 2.0: cohort × over_select invites 120000 devices; "
       "expected "
       "at most 100000"},
      {"[pace]\ncohort = 10\nover_select = 1.25\ngoal = 14",
       "job.toml:11:8: pace.goal = 14: expected at most 13, the devices invited (cohort × "
       "over_select)"},
      {"[pace]\ngoal = 8\nmin_reports = 9",
       "job.toml:10:15: pace.min_reports = 9: expected at most 8, the goal"},
      {"[pace]\ndeadline = 30",
       "job.toml:9:12: pace.deadline = 30: expected a duration such as \"30s\", \"5m\" or "
       "\"250ms\""},
      {"[limits]\nvalue_max = 0",
       "job.toml:9:13: limits.value_max = 0: expected a number in (0, 1000000000]"},
      {"[pace]\ncohort = 100000\n[limits]\nexamples_max = 4294967296\nvalue_max = 1e6",
       "job.toml:11:16: limits.examples_max = 4294967296: 100000 devices × weight 4294967296 × "
       "value_max 1000000 leave no room for exact sums; lower examples_max or value_max"},
      {"[evaluation]\nfraction = 1.5",
       "job.toml:9:12: evaluation.fraction = 1.5: expected a number in [0, 1]"},
      {"[selection]\nname = \"unifrom\"",
       "job.toml:9:8: selection.name = \"unifrom\": expected \"uniform\"; did you mean 'uniform'?"},
      {"[stop]\nmetric = \"accuracy\"",
       "job.toml:8:1: stop.at_least is missing: expected the value at which the job ends"},
      {"[stop]\nmetric = \"accuracy\"\nat_least = 0.9\n[evaluation]\nfraction = 0",
       "job.toml:9:10: stop.metric = \"accuracy\": [evaluation] fraction is 0, so nothing is ever "
       "measured; expected a fraction above 0"},
      {"[strategy]\nname = \"fedavgg\"\nanything = 1",
       "job.toml:9:8: strategy.name = \"fedavgg\": expected one of \"fedavg\", \"median\", "
       "\"trimmed_mean\"; did you mean 'fedavg'?"},
      {"[strategy]\nserver_lr = 1.0",
       "job.toml:9:1: strategy.server_lr: unknown key; known here: server_learning_rate, "
       "weighting"},
      {"[strategy]\nwieghting = \"uniform\"",
       "job.toml:9:1: strategy.wieghting: unknown key; did you mean 'weighting'?"},
      {"[strategy]\nserver_learning_rate = \"fast\"",
       "job.toml:9:24: strategy.server_learning_rate = \"fast\": expected a number from 1e-06 to "
       "10"},
      {"[strategy]\nserver_learning_rate = 10.5",
       "job.toml:9:24: strategy.server_learning_rate = 10.5: expected a number from 1e-06 to 10"},
      {"[strategy]\nweighting = \"uniforn\"",
       "job.toml:9:13: strategy.weighting = \"uniforn\": expected one of \"examples\", "
       "\"uniform\"; "
       "did you mean 'uniform'?"},
      {"[strategy]\nweighting = 1",
       "job.toml:9:13: strategy.weighting = 1: expected one of \"examples\", \"uniform\""},
      {"[strategy]\nname = \"trimmed_mean\"\ntrim = 0.5",
       "job.toml:10:8: strategy.trim = 0.5: expected a number from 0 to 0.49"},
      {"[strategy]\nname = \"median\"\ntrim = 0.1",
       "job.toml:10:1: strategy.trim: unknown key; known here: server_learning_rate"},
      {"[strategy]\nname = \"median\"\n[pace]\ncohort = 5000\ngoal = 4097",
       "job.toml:12:8: pace.goal = 4097: strategy \"median\" looks at all updates of a round at "
       "once; "
       "expected at most 4096, the updates it takes: lower goal"},
      {"[strategy]\nname = \"trimmed_mean\"\n[pace]\ncohort = 5\nmin_reports = 2",
       "job.toml:12:15: pace.min_reports = 2: expected at least 3: strategy \"trimmed_mean\" "
       "protects "
       "from no device when there are fewer updates; raise min_reports"},
      {"[strategy]\nname = \"median\"\n[compress]\ncodec = \"top_k\"",
       "job.toml:11:9: compress.codec = \"top_k\": \"top_k\" sends other elements from each "
       "device, "
       "so that strategy \"median\" would find 0 in the middle of most; expected another codec, "
       "such "
       "as random_k, or strategy \"fedavg\""},
      {"[codec]\nname = \"none\"",
       "job.toml:8:2: codec: unknown key; known here: compress, evaluation, job, limits, model, "
       "pace, "
       "selection, "
       "stop, strategy, train"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(problems(with_model(text)), expected) << text;
}

TEST(JobConfig, SaysWhatIsWrongWithTheModel) {
  const std::string job = "[job]\nname = \"j\"\n[model]\ninput_shape = [4]\n";
  const std::pair<std::string, const char*> cases[] = {
      {"[job]\nname = \"j\"",
       "job.toml:1:1: model.input_shape is missing: expected one example's shape such as [1, 8, "
       "8]\n"
       "job.toml:1:1: model.layers is missing: expected one or more [[model.layers]]"},
      {job, "job.toml:3:1: model.layers is missing: expected one or more [[model.layers]]"},
      {job + "layers = 3",
       "job.toml:5:10: model.layers = 3: expected tables, each written "
       "[[model.layers]]"},
      {job + "[[model.layers]]\nunits = 3",
       "job.toml:5:1: model.layers[0].type is missing: expected a layer such as \"dense\" or "
       "\"conv2d\""},
      {job + "[[model.layers]]\ntype = \"dens\"\nunits = 3",
       "job.toml:6:8: model.layers[0].type = \"dens\": expected one of \"dense\", \"conv2d\", "
       "\"max_pool2d\", \"relu\", \"flatten\", \"conv1d\", "},
      {job + "[[model.layers]]\ntype = \"dense\"\n",
       "job.toml:5:1: model.layers[0].units is missing: expected the number of outputs"},
      {job + "[[model.layers]]\ntype = \"dense\"\nunits = 3\nkernel = 3",
       "job.toml:8:1: model.layers.kernel: unknown key; known here: bias, lora_alpha, lora_rank, "
       "name, type, units"},
      {job + "[[model.layers]]\ntype = \"dense\"\nname = \"a b\"\nunits = 3",
       "job.toml:7:8: model.layers[0].name = \"a b\": expected a name of A-Z, a-z, 0-9, '.', '_' "
       "or "
       "'-'"},
  };
  for (const auto& [text, expected] : cases) {
    const auto said = problems(text);
    EXPECT_EQ(said.substr(0, std::string(expected).size()), expected) << text;
  }
}

TEST(JobConfig, LayersWithoutANameGetOne) {
  const auto job = parsed(digits_job_toml());
  EXPECT_EQ(std::get<Conv2d>(job.model.layers[0]).name, "conv1");
  EXPECT_EQ(std::get<Conv2d>(job.model.layers[3]).name, "conv2");
  EXPECT_EQ(std::get<Dense>(job.model.layers[9]).name, "dense2");
}

TEST(JobConfig, LayersThatDoNotFitAreRefused) {
  const auto said = problems(
      "[job]\nname = \"j\"\n[model]\ninput_shape = [4]\n[[model.layers]]\ntype = \"conv2d\"\n"
      "channels = 2\n");
  EXPECT_EQ(said.rfind("job.toml:5:1: model.layers = an array of tables: ", 0), 0U) << said;
  EXPECT_NE(said.find("conv2d"), std::string::npos) << said;
}

TEST(JobConfig, NamesOfJobsAreSmall) {
  for (const std::string name : {"", "A", "a_b", "-a", "a-", "a.b", "a b", "ä"}) {
    EXPECT_NE(problems(std::string(kModel) + "[job]\nname = \"" + name + "\"\n"), "") << name;
  }
  const std::string longest(limits::kNameBytesMax, 'a');
  EXPECT_EQ(problems(std::string(kModel) + "[job]\nname = \"" + longest + "\"\n"), "");
  EXPECT_NE(problems(std::string(kModel) + "[job]\nname = \"" + longest + "a\"\n"), "");
  EXPECT_EQ(problems(kModel),
            "job.toml:1:1: job.name is missing: expected a name of a-z, 0-9 and '-' such as "
            "\"digits\"");
}

TEST(JobConfig, TheTextHasALimit) {
  auto text = with_model("");
  text += "#" + std::string(limits::kJobFileBytesMax - text.size() - 1, 'x');
  ASSERT_EQ(text.size(), limits::kJobFileBytesMax);
  EXPECT_TRUE(parse_job(text, "job.toml", vocabulary()));
  const auto beyond = parse_job(text + "x", "job.toml", vocabulary());
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, errc::frame_too_large);
}

TEST(JobConfig, TheLargestCohortIsAllowed) {
  const auto job = parsed(with_model("[pace]\ncohort = 100000\n[limits]\nexamples_max = 1000\n"));
  EXPECT_EQ(job.round.pace.cohort, limits::kCohortMax);
}

// ---- [compress] ----

TEST(JobCompression, IsAsItIsWithoutATable) {
  EXPECT_FALSE(parsed(with_model("")).train.compression);
}

TEST(JobCompression, KnowsWhatIsUsualForACodec) {
  const auto of = [](const std::string& rest) {
    return *parsed(with_model("[compress]\n" + rest)).train.compression;
  };
  EXPECT_EQ(of("codec = \"uniform\"\n"), (Compression{.codec = {.kind = CodecKind::uniform}}));
  EXPECT_EQ(of("codec = \"rotated\"\nleast_error = true\n").codec,
            (Codec{.kind = CodecKind::rotated, .bits = 4, .bucket = 8192, .least_error = true}));
  EXPECT_EQ(of("codec = \"top_k\"\ndensity = 0.05\n"),
            (Compression{.codec = {.kind = CodecKind::top_k, .density = 0.05},
                         .feedback = Feedback::error}))
      << "biased codecs need it";
  EXPECT_EQ(of("codec = \"top_k\"\nfeedback = \"none\"\n").feedback, Feedback::none);
  EXPECT_EQ(of("codec = \"f32\"\nentropy = true\n").codec, (Codec{.entropy = true}));
  EXPECT_EQ(of("codec = \"ternary\"\nmomentum = 0.9\n").momentum, 0.9);
  EXPECT_EQ(of("codec = \"f32\"\nmomentum = 0.0\n").momentum, 0.0);
}

TEST(JobCompression, MayDifferByTensor) {
  const auto compression = *parsed(with_model(R"([compress]
codec = "qsgd"
bits = 4
norm = "l2"
[[compress.tensors]]
tensors = "*.bias"
codec = "f32"
)"))
                                .train.compression;
  EXPECT_EQ(compression.codec.norm, CodecNorm::l2);
  EXPECT_EQ(compression.tensors, (std::vector<TensorCodec>{{"*.bias", Codec{}}}));
}

TEST(JobCompression, NamesWhatIsWrong) {
  const auto says = [](const std::string& rest, const std::string& what) {
    const auto text = problems(with_model("[compress]\n" + rest));
    EXPECT_NE(text.find(what), std::string::npos) << rest << text;
  };
  says("bits = 4\n", "compress.codec");
  says("codec = \"unifrom\"\n", "uniform");
  says("codec = \"uniform\"\nbits = 9\n", "compress.bits");
  says("codec = \"rotated\"\nbits = 5\n", "compress.bits");
  says("codec = \"uniform\"\nbucket = 100\n", "compress.bucket");
  says("codec = \"uniform\"\ndensity = 0.1\n", "\"uniform\" does not take it");
  says("codec = \"top_k\"\ndensity = 0.0\n", "compress.density");
  says("codec = \"low_rank\"\nrank = 33\n", "compress.rank");
  says("codec = \"subspace\"\nrank = 0\n", "compress.rank");
  says("codec = \"top_k\"\nrank = 2\n", "\"top_k\" does not take it");
  says("codec = \"f32\"\nfeedback = \"ef\"\n", "compress.feedback");
  says("codec = \"random_k\"\nfeedback = \"error\"\n", "no codec here leaves anything out");
  says("codec = \"top_k\"\nmomentum = 1.0\n", "compress.momentum");
  says("codec = \"sign\"\nmomentum = 0.5\n", "it is for top_k and ternary");
  says("codec = \"top_k\"\nfeedback = \"none\"\nmomentum = 0.5\n", "feedback = \"error\"");
  says("codec = \"f32\"\n[[compress.tensors]]\ncodec = \"f16\"\n", "compress.tensors[0].tensors");
  says("codec = \"f32\"\n[[compress.tensors]]\ntensors = \"convolution\"\ncodec = \"f16\"\n",
       "convolution");
  says("codec = \"f32\"\n[train]\nlocal = [\"*\"]\n", "nothing to send");
}

TEST(JobCompression, ASubspaceIsOfSumsAndStaysAsItIs) {
  const std::string subspace = "[compress]\ncodec = \"subspace\"\nrank = 1\n";
  EXPECT_EQ(parsed(with_model(subspace)).train.compression->feedback, Feedback::error);
  const auto says = [](const std::string& rest, const std::string& what) {
    const auto text = problems(with_model(rest));
    EXPECT_NE(text.find(what), std::string::npos) << rest << text;
  };
  says(subspace + "[strategy]\nname = \"median\"\n[pace]\nmin_reports = 3\ngoal = 3\n",
       "strategy \"median\" makes none");
  says(subspace + "[compress.adapt]\nevery = 5\n", "the rank of \"subspace\" stays as it is");
  says("[compress.down]\ncodec = \"subspace\"\n", "compress.down.codec");
}

TEST(JobCompression, DirectionsThatAreSharedHaveALimit) {
  const auto said = [](std::uint64_t units) {
    return problems(
        "[job]\nname = \"j\"\n[compress]\ncodec = \"subspace\"\nrank = 32\n"
        "[model]\ninput_shape = [64]\n[[model.layers]]\ntype = \"dense\"\nunits = " +
        std::to_string(units) + "\n");
  };
  const std::uint64_t most = limits::kBasisBytesMax / (4 * 32) - 1;  // 4 bytes say which side
  EXPECT_EQ(said(most).find("devices would share"), std::string::npos) << said(most);
  EXPECT_NE(said(most + 1).find("compress.rank"), std::string::npos) << said(most + 1);
  EXPECT_NE(said(most + 1).find("devices would share 268435460 bytes"), std::string::npos);
}

TEST(JobCompression, DifferencesAreForDevicesThatCountAlike) {
  const std::string uniform = "[strategy]\nweighting = \"uniform\"\n";
  const std::string differs = "feedback = \"difference\"\n";
  const auto of = [](const std::string& text) { return problems(with_model(text)); };
  const std::string top_k = "[compress]\ncodec = \"top_k\"\n" + differs;
  EXPECT_EQ(parsed(with_model(uniform + top_k)).train.compression->feedback, Feedback::difference);
  EXPECT_NE(of(top_k).find("weighting = \"uniform\""), std::string::npos) << of(top_k);
  EXPECT_NE(of("[strategy]\nname = \"median\"\n[pace]\nmin_reports = 5\n"
               "[compress]\ncodec = \"bf16\"\n" +
               differs)
                .find("every device counts alike"),
            std::string::npos);
  EXPECT_NE(of(uniform + "[compress]\ncodec = \"random_k\"\n" + differs).find("may leave out more"),
            std::string::npos);
  EXPECT_NE(of(uniform + "[compress]\ncodec = \"bf16\"\n" + differs +
               "[[compress.tensors]]\ntensors = \"*.bias\"\ncodec = \"uniform\"\nbits = 1\n")
                .find("may leave out more"),
            std::string::npos);
  EXPECT_NE(of(uniform + top_k + "[compress.adapt]\n").find("leave out [compress.adapt]"),
            std::string::npos);
  EXPECT_NE(of(uniform + top_k + "momentum = 0.5\n").find("compress.momentum"), std::string::npos);
}

TEST(JobCompression, HasAtMostSoManyRules) {
  std::string rules = "[compress]\ncodec = \"f16\"\n";
  const std::string rule = "[[compress.tensors]]\ntensors=\"*\"\ncodec=\"f32\"\n";
  for (std::size_t i = 0; i < limits::kCodecRulesMax; ++i) rules += rule;
  EXPECT_EQ(parsed(with_model(rules)).train.compression->tensors.size(), limits::kCodecRulesMax);
  EXPECT_NE(problems(with_model(rules + rule)).find("at most 512"), std::string::npos);
}

TEST(JobCompression, MayBeChosenAnew) {
  const auto adapt = [](const std::string& rest) {
    return *parsed(with_model("[compress]\ncodec = \"uniform\"\n[compress.adapt]\n" + rest)).adapt;
  };
  EXPECT_EQ(adapt(""), (AdaptOptions{10, 5, 1.0}));
  EXPECT_EQ(adapt("every = 3\n"), (AdaptOptions{3, 3, 1.0}));
  EXPECT_EQ(adapt("every = 20\nwindow = 7\nbudget = 1.5\n"), (AdaptOptions{20, 7, 1.5}));
  const auto says = [](const std::string& codec, const std::string& rest, const std::string& what) {
    const auto text =
        problems(with_model("[compress]\ncodec = \"" + codec + "\"\n[compress.adapt]\n" + rest));
    EXPECT_NE(text.find(what), std::string::npos) << rest << text;
  };
  says("uniform", "every = 0\n", "compress.adapt.every");
  says("uniform", "every = 3\nwindow = 4\n", "compress.adapt.window");
  says("uniform", "budget = 0.9\n", "compress.adapt.budget");
  says("uniform",
       "[[compress.tensors]]\ntensors = \"*\"\ncodec = \"f32\"\n",
       "nothing can be chosen");
  says("f32", "", "neither bits, a density nor a rank");
  const auto old = problems("[job]\nname = \"j\"\nkeep_versions = 5\n" + std::string(kModel) +
                            "[compress]\ncodec = \"uniform\"\n[compress.adapt]\n");
  EXPECT_NE(old.find("keep_versions = 5"), std::string::npos) << old;
}

TEST(JobCompression, VersionsMayTravelCompressedToo) {
  EXPECT_FALSE(parsed(with_model("[compress]\ncodec = \"f16\"\n")).down);
  const auto job = parsed(with_model("[compress.down]\ncodec = \"rotated\"\n"));
  EXPECT_FALSE(job.train.compression) << "updates are another matter";
  EXPECT_EQ(job.down->sends, Downlink::Sends::change);
  EXPECT_EQ(job.down->compression,
            (Compression{.codec = {.kind = CodecKind::rotated, .bits = 4, .bucket = 8192}}));
  const auto both = parsed(with_model(R"([compress]
codec = "top_k"
[compress.down]
sends = "model"
codec = "uniform"
[[compress.down.tensors]]
tensors = "*.bias"
codec = "bf16"
)"));
  EXPECT_EQ(both.train.compression->codec.kind, CodecKind::top_k);
  EXPECT_EQ(both.down->sends, Downlink::Sends::model);
  EXPECT_EQ(both.down->compression.tensors,
            (std::vector<TensorCodec>{{"*.bias", {.kind = CodecKind::bf16}}}));
}

TEST(JobCompression, NamesWhatIsWrongWithTheWayDown) {
  const auto says = [](const std::string& rest, const std::string& what) {
    const auto text = problems(with_model("[compress.down]\n" + rest));
    EXPECT_NE(text.find(what), std::string::npos) << rest << text;
  };
  says("bits = 4\n", "compress.down.codec");
  says("sends = \"all\"\ncodec = \"f16\"\n", "compress.down.sends");
  says("codec = \"random_k\"\n", "it would grow");
  says("codec = \"uniform\"\nbits = 4\n", "it would grow");
  says("sends = \"model\"\ncodec = \"top_k\"\n", "leaves most of a model out");
  says("codec = \"bf16\"\nfeedback = \"error\"\n", "feedback");
  says("codec = \"bf16\"\n[[compress.down.tensors]]\ntensors = \"nothing\"\ncodec = \"f32\"\n",
       "'nothing' names no tensor");
  says("codec = \"bf16\"\n[compress.adapt]\nevery = 3\n", "there is nothing to adapt");
  says("codec = \"f32\"\n[[compress.down.tensors]]\ntensors = \"*\"\ncodec = \"random_k\"\n",
       "compress.down.tensors[0].codec");
  says("codec = \"top_k\"\n[compress]\ncodec = \"uniform\"\n[compress.adapt]\n",
       "what is measured would be what top_k lets through");
}

TEST(JobCompression, SumsNeedRoomForWhatRotatedUpdatesMayBe) {
  const std::string limits = "[limits]\nexamples_max = 10000000\nvalue_max = 100000.0\n";
  EXPECT_EQ(problems(with_model(limits)), "");
  EXPECT_NE(problems(with_model(limits + "[compress]\ncodec = \"rotated\"\nbucket = 65536\n"))
                .find("no room"),
            std::string::npos);
}

}  // namespace
}  // namespace chorus::server
