// Every option of a plan together with every other: either the two are refused with a reason, or
// both have their effect and keep their promise.
#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/tensor/plan_rules.hpp"
#include "common/tensor/zeroth_order.hpp"
#include "tests/unit/client/train/examples.hpp"
#include "tests/unit/client/train/plan/quadratic.hpp"

namespace chorus::train {
namespace {

using client::TaskReport;
using testing::HasSubstr;
using Floats = std::vector<float>;
using Source = GradientSource::Kind;

// What a run was and what came of it.
struct Outcome {
  TrainPlan plan;
  Floats start;  // that was trained from: the received model or a candidate
  Floats after;
  TaskReport report;
  std::optional<Floats> kept;  // local tensors
};

class World {
 public:
  World() {
    network_ = std::move(Network::create(model_)).value();
    start_ = test::start_of(model_);
    candidate_ = test::start_of(model_, 9);
    // Better than the start: it is the one that is chosen.
    TrainPlan plan;
    plan.budget = {Budget::Unit::epochs, 30};
    std::copy(start_.begin(), start_.end(), network_->parameters().begin());
    EXPECT_TRUE(run_plan(*network_, data_, plan, {}));
    candidate_.assign(network_->parameters().begin(), network_->parameters().end());
    for (std::size_t i = 0; i < start_.size(); ++i) {
      small_.push_back(0.01F * static_cast<float>(i % 7) - 0.03F);
      mask_.push_back(i % 2 == 0 ? 1.0F : 0.0F);
    }
  }

  Outcome run(const TrainPlan& plan) {
    client::MemoryState state;
    const client::TaskVector vectors[] = {{"anchor", small_},
                                          {"control", small_},
                                          {"mask", mask_},
                                          {"teacher", candidate_},
                                          {"candidate1", candidate_}};
    TrainInputs inputs;
    inputs.vectors = vectors;
    inputs.state = &state;
    std::copy(start_.begin(), start_.end(), network_->parameters().begin());
    auto report = run_plan(*network_, data_, plan, inputs);
    EXPECT_TRUE(report) << report.error().to_string();
    Outcome out{plan, start_, {}, report ? std::move(*report) : TaskReport{}, {}};
    out.after.assign(network_->parameters().begin(), network_->parameters().end());
    if (plan.candidates > 1) out.start = candidate_;
    state.accept();
    out.kept = state.load("local").value();
    return out;
  }

  const TensorLayout& layout() const { return network_->layout(); }
  const Floats& mask() const { return mask_; }

 private:
  const ModelSpec model_{{6}, {Dense{"body", 8}, Tanh{}, Dropout{0.1}, Dense{"head", 3}}};
  const client::Dataset data_ = test::make_examples({6}, 21, 3);
  std::unique_ptr<Network> network_;
  Floats start_, candidate_, small_, mask_;
};

World& world() {
  static World one;
  return one;
}

// Plain steps of which every option below changes something.
TrainPlan base() {
  TrainPlan plan;
  plan.budget = {Budget::Unit::epochs, 3};
  plan.batch_size = 4;
  plan.optimiser.learning_rate = 0.05;
  plan.seed = 5;
  return plan;
}

bool unchanged(const Outcome& out, const std::string& pattern) {
  for (const TensorSpec& tensor : world().layout().tensors) {
    if (!tensor::matches(pattern, tensor.name)) continue;
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.count; ++i) {
      if (out.after[i] != out.start[i]) return false;
    }
  }
  return true;
}

const Floats* part(const Outcome& out, ReportKind kind) {
  for (const auto& one : out.report.parts) {
    if (one.kind == kind) return &one.numbers;
  }
  return nullptr;
}

bool steps_are_repeated(const Outcome& out) {
  const Floats* const scalars = part(out, ReportKind::scalars);
  if (scalars == nullptr || scalars->size() != out.report.steps * out.plan.source.directions) {
    return false;
  }
  Floats server = out.start;
  return tensor::replay_zeroth_order(out.plan, world().layout(), *scalars, server) &&
         server == out.after;
}

bool keeps_masked(const Outcome& out) {
  for (std::size_t i = 0; i < out.after.size(); ++i) {
    if (world().mask()[i] == 0.0F && out.after[i] != out.start[i]) return false;
  }
  const Floats* const delta = part(out, ReportKind::control_delta);
  for (std::size_t i = 0; delta != nullptr && i < delta->size(); ++i) {
    if (world().mask()[i] == 0.0F && (*delta)[i] != 0.0F) return false;
  }
  return true;
}

bool has_control_delta(const Outcome& out) {
  const Floats* const delta = part(out, ReportKind::control_delta);
  return delta != nullptr && delta->size() == out.after.size() && out.report.delta &&
         out.report.state_epoch == 0U;
}

// What the SDK holds a trainer to.
bool reports_what_is_asked(const Outcome& out) {
  std::vector<ReportKind> kinds;
  if (out.report.delta) kinds.push_back(ReportKind::delta);
  for (const auto& one : out.report.parts) kinds.push_back(one.kind);
  return kinds == tensor::reports_of(out.plan);
}

struct Option {
  std::string name;
  std::set<std::string> names;  // in the table of conflicts
  std::function<void(TrainPlan&)> set;
  std::function<bool(const Outcome&)> holds = [](const Outcome&) { return true; };
  std::string group{};  // options of one group exclude each other: values of one field
  bool visible = true;  // a run with it differs from one without, bit by bit
};

std::vector<Option> options() {
  const auto makes_steps = [](const Outcome& o) {
    return o.plan.source.kind != Source::whole && !o.plan.probe.only;
  };
  std::vector<Option> all;
  const auto add = [&all](Option option) {
    if (option.names.empty()) option.names = {option.name};
    all.push_back(std::move(option));
  };
  add({"steps",
       {},
       [](TrainPlan& p) {
         p.budget = {Budget::Unit::steps, 7};
       },
       [=](const Outcome& o) {
         return !makes_steps(o) || o.report.ending == Ending::early_stop || o.report.steps == 7;
       },
       "budget"});
  add({"examples",
       {},
       [](TrainPlan& p) {
         p.budget = {Budget::Unit::examples, 25};
       },
       [](const Outcome& o) {
         return o.plan.probe.only || o.report.ending == Ending::early_stop ||
                std::abs(o.report.epochs * 21.0 - 25.0) < 1e-9;
       },
       "budget"});
  add({"seconds",
       {},
       [](TrainPlan& p) {
         p.budget = {Budget::Unit::seconds, 1e-6};
       },
       [=](const Outcome& o) { return !makes_steps(o) || o.report.steps == 1; },
       "budget",
       false});
  add({"momentum", {}, [](TrainPlan& p) { p.optimiser.momentum = 0.9; }, {}, "sgd"});
  add({"weight_decay", {}, [](TrainPlan& p) { p.optimiser.weight_decay = 0.1; }});
  add({"adam",
       {"adam, adamw, lamb"},
       [](TrainPlan& p) { p.optimiser.kind = Optimiser::Kind::adam; },
       {},
       "sgd"});
  add({"lamb",
       {"adam, adamw, lamb"},
       [](TrainPlan& p) { p.optimiser.kind = Optimiser::Kind::lamb; },
       {},
       "sgd"});
  add({"schedule", {}, [](TrainPlan& p) { p.schedule = {Schedule::Kind::cosine, 2, 1, 12, 0.1}; }});
  add({"clip_norm", {}, [](TrainPlan& p) { p.clip_norm = 0.1; }});
  add({"proximal", {}, [](TrainPlan& p) { p.proximal = 0.5; }});
  add({"accumulate", {}, [](TrainPlan& p) { p.accumulate = 2; }});
  add({"early_stop",
       {},
       [](TrainPlan& p) {
         p.early_stop = {0.0, 1, 10.0, 0.0};
       },
       [](const Outcome& o) {
         return o.report.ending == Ending::early_stop || o.plan.budget.unit != Budget::Unit::epochs;
       },
       "stop",
       false});
  add({"stop_gradient_norm",
       {"early_stop", "stop_gradient_norm"},
       [](TrainPlan& p) { p.early_stop.gradient_norm = 100.0; },
       [](const Outcome& o) {
         return o.report.steps == 1 && o.report.ending == Ending::early_stop;
       },
       "stop",
       false});
  add({"curriculum", {}, [](TrainPlan& p) { p.order = Order::curriculum; }});
  add({"whole",
       {},
       [](TrainPlan& p) { p.source.kind = Source::whole; },
       [](const Outcome& o) {
         const Floats* const gradient = part(o, ReportKind::gradient);
         return gradient != nullptr && gradient->size() == o.after.size() && !o.report.delta &&
                o.report.steps == 0 && o.after == o.start;
       },
       "source"});
  add({"variance_reduced",
       {},
       [](TrainPlan& p) { p.source.kind = Source::variance_reduced; },
       [](const Outcome& o) { return o.report.delta; },
       "source"});
  add({"zeroth_order",
       {},
       [](TrainPlan& p) {
         p.source = {Source::zeroth_order, 2, 1e-2};
       },
       steps_are_repeated,
       "source"});
  add({"from_steps",
       {"control", "control from_steps"},
       [](TrainPlan& p) { p.control = ControlVariates::from_steps; },
       has_control_delta,
       "control"});
  add({"from_gradient",
       {"control", "control from_gradient"},
       [](TrainPlan& p) { p.control = ControlVariates::from_gradient; },
       has_control_delta,
       "control"});
  add({"reptile", {}, [](TrainPlan& p) { p.meta = {Meta::Kind::reptile, 0.5, 2}; }, {}, "meta"});
  add({"first_order_maml",
       {},
       [](TrainPlan& p) {
         p.meta = {Meta::Kind::first_order_maml, 0.1, 0};
       },
       {},
       "meta"});
  add({"distil", {}, [](TrainPlan& p) {
         p.distil = {Distillation::Teacher::given, 0.5, 2.0, false};
       }});
  add({"frozen",
       {},
       [](TrainPlan& p) { p.trainable.frozen = {"body.*"}; },
       [](const Outcome& o) { return unchanged(o, "body.*"); }});
  add({"mask", {}, [](TrainPlan& p) { p.trainable.mask = true; }, keeps_masked});
  add({"local",
       {},
       [](TrainPlan& p) { p.local = {"head.bias"}; },
       [=](const Outcome& o) {
         return unchanged(o, "head.bias") && o.kept.has_value() == makes_steps(o);
       }});
  add({"probe",
       {},
       [](TrainPlan& p) { p.probe.gradient_norms = true; },
       [](const Outcome& o) { return part(o, ReportKind::gradient_norms) != nullptr; }});
  add({"probe_only",
       {},
       [](TrainPlan& p) { p.probe.gradient_norms = p.probe.only = true; },
       [](const Outcome& o) {
         return part(o, ReportKind::gradient_norms) != nullptr && !o.report.delta &&
                o.report.steps == 0 && o.after == o.start;
       }});
  add({"candidates",
       {},
       [](TrainPlan& p) { p.candidates = 2; },
       [](const Outcome& o) {
         return o.report.metrics.back() == Metric{"candidate", 1.0} && !o.report.delta;
       }});
  add({"normalise", {}, [](TrainPlan& p) { p.normalise = {{0.05, 1.25}}; }});
  for (Option& one : all) {
    if (!one.holds) one.holds = [](const Outcome&) { return true; };
  }
  return all;
}

bool refused(const Option& a, const Option& b) {
  const auto conflicts = tensor::all_conflicts();
  return std::any_of(conflicts.begin(), conflicts.end(), [&](const tensor::PlanConflict& c) {
    const std::string one(c.option);
    const std::string other(c.other);
    return (a.names.contains(one) && b.names.contains(other)) ||
           (a.names.contains(other) && b.names.contains(one));
  });
}

bool same(const Outcome& a, const Outcome& b) {
  return a.after == b.after && a.report.parts == b.report.parts && a.kept == b.kept &&
         a.report.metrics == b.report.metrics && a.report.steps == b.report.steps &&
         a.report.epochs == b.report.epochs;
}

// A probe alone makes no steps that a budget could count, and a device begins with the received
// tensors.
bool nothing_to_see(const Option& a, const Option& b) {
  const auto one = [](const Option& x, const Option& y) {
    return x.name == "probe_only" &&
           (y.group == "budget" || y.name == "local" || y.name == "probe");
  };
  return !a.visible || !b.visible || one(a, b) || one(b, a);
}

TEST(PlanPairs, EveryOptionAloneHasItsEffect) {
  const Outcome plain = world().run(base());
  for (const Option& option : options()) {
    TrainPlan plan = base();
    option.set(plan);
    ASSERT_TRUE(check_plan(plan)) << option.name;
    const Outcome out = world().run(plan);
    EXPECT_TRUE(reports_what_is_asked(out)) << option.name;
    EXPECT_TRUE(option.holds(out)) << option.name;
    EXPECT_FALSE(same(out, plain)) << option.name;
  }
}

TEST(PlanPairs, EveryTwoAreRefusedOrBothHaveTheirEffect) {
  const auto all = options();
  std::vector<Outcome> alone;
  for (const Option& option : all) {
    TrainPlan plan = base();
    option.set(plan);
    alone.push_back(world().run(plan));
  }
  int ran = 0;
  int turned_away = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = i + 1; j < all.size(); ++j) {
      const Option& a = all[i];
      const Option& b = all[j];
      if (!a.group.empty() && a.group == b.group) continue;
      SCOPED_TRACE(a.name + " with " + b.name);
      TrainPlan plan = base();
      a.set(plan);
      b.set(plan);
      const auto checked = check_plan(plan);
      if (refused(a, b)) {
        ++turned_away;
        ASSERT_FALSE(checked);
        EXPECT_EQ(checked.error().code, errc::invalid_argument);
        EXPECT_THAT(checked.error().detail, HasSubstr("does not go with"));
        continue;
      }
      ++ran;
      ASSERT_TRUE(checked) << checked.error().detail;
      const Outcome both = world().run(plan);
      EXPECT_TRUE(reports_what_is_asked(both));
      EXPECT_TRUE(a.holds(both)) << a.name;
      EXPECT_TRUE(b.holds(both)) << b.name;
      if (!nothing_to_see(a, b)) {
        EXPECT_FALSE(same(both, alone[i])) << b.name << " was ignored";
        EXPECT_FALSE(same(both, alone[j])) << a.name << " was ignored";
      }
    }
  }
  EXPECT_GT(ran, 150);
  EXPECT_GT(turned_away, 50);
}

TEST(PlanPairs, EveryConflictCanBeProvoked) {
  const auto all = options();
  for (const tensor::PlanConflict& conflict : tensor::all_conflicts()) {
    const bool found = std::any_of(all.begin(), all.end(), [&](const Option& a) {
      return a.names.contains(std::string(conflict.option)) &&
             std::any_of(all.begin(), all.end(), [&](const Option& b) {
               if (!b.names.contains(std::string(conflict.other))) return false;
               TrainPlan plan = base();
               a.set(plan);
               b.set(plan);
               const auto got = tensor::conflict_of(plan);
               return got && got->option == conflict.option && got->other == conflict.other;
             });
    });
    EXPECT_TRUE(found) << tensor::describe(conflict);
  }
}

}  // namespace
}  // namespace chorus::train
