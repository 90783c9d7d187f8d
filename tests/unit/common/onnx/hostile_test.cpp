// Files that are broken, contradict themselves, or hold what cannot be trained here.
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.hpp"
#include "common/base/rng.hpp"
#include "common/onnx/graph.hpp"
#include "common/onnx/onnx.hpp"
#include "onnx_format.pb.h"

namespace chorus::onnx {
namespace {

using testing::HasSubstr;

pb::TensorProto floats(const std::string& name, std::vector<std::int64_t> dims) {
  pb::TensorProto tensor;
  tensor.set_name(name);
  tensor.set_data_type(pb::TensorProto::FLOAT);
  std::int64_t count = 1;
  for (const std::int64_t side : dims) {
    tensor.add_dims(side);
    count *= side;
  }
  for (std::int64_t i = 0; i < count; ++i)
    tensor.add_float_data(0.125F * static_cast<float>(i % 7));
  return tensor;
}

pb::TensorProto wholes(const std::string& name, const std::vector<std::int64_t>& values) {
  pb::TensorProto tensor;
  tensor.set_name(name);
  tensor.set_data_type(pb::TensorProto::INT64);
  tensor.add_dims(static_cast<std::int64_t>(values.size()));
  for (const std::int64_t value : values) tensor.add_int64_data(value);
  return tensor;
}

class File {
 public:
  explicit File(std::vector<std::int64_t> input = {0, 4}, std::int64_t opset = 13) {
    model.set_ir_version(8);
    model.add_opset_import()->set_version(opset);
    auto* value = graph().add_input();
    value->set_name("x");
    auto* type = value->mutable_type()->mutable_tensor_type();
    type->set_elem_type(pb::TensorProto::FLOAT);
    for (const std::int64_t side : input) {
      auto* dim = type->mutable_shape()->add_dim();
      if (side > 0) dim->set_dim_value(side);
    }
    graph().add_output()->set_name("y");
  }

  pb::GraphProto& graph() { return *model.mutable_graph(); }
  pb::NodeProto& node(const std::string& op,
                      const std::vector<std::string>& inputs,
                      const std::string& output) {
    auto* node = graph().add_node();
    node->set_op_type(op);
    node->set_name("n_" + output);
    for (const auto& input : inputs) node->add_input(input);
    node->add_output(output);
    return *node;
  }
  void constant(pb::TensorProto tensor) { *graph().add_initializer() = std::move(tensor); }
  /// A dense layer from `from` to "y".
  void dense(const std::string& from, std::int64_t inputs) {
    constant(floats("head.weight", {inputs, 2}));
    node("MatMul", {from, "head.weight"}, "y");
  }

  Result<Import> import() const {
    const std::string bytes = model.SerializeAsString();
    return import_model(std::as_bytes(std::span(bytes)));
  }

  pb::ModelProto model;
};

void ints(pb::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(pb::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute->add_ints(value);
}

void whole(pb::NodeProto& node, const std::string& name, std::int64_t value) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(pb::AttributeProto::INT);
  attribute->set_i(value);
}

TEST(OnnxHostile, TheHarnessMakesAModelThatImports) {
  File file;
  file.node("Relu", {"x"}, "r");
  file.dense("r", 4);
  const auto import = file.import();
  ASSERT_TRUE(import) << import.error().detail;
  EXPECT_EQ(text_of(import->problems), "");
  EXPECT_EQ(import->model.layers.size(), 2U);
}

struct Broken {
  const char* what;
  std::function<void(File&)> change;
  errc code;
  const char* says;
};

TEST(OnnxHostile, FilesThatContradictThemselvesAreRefused) {
  const Broken cases[] = {
      {"nothing computes an input",
       [](File& f) { f.node("Relu", {"nowhere"}, "r"); },
       errc::malformed_file,
       "node 'n_r' reads 'nowhere', which nothing computes"},
      {"a cycle",
       [](File& f) {
         f.node("Add", {"x", "b"}, "a");
         f.node("Relu", {"a"}, "b");
       },
       errc::malformed_file,
       "node 'n_a' depends on its own result"},
      {"a value made twice",
       [](File& f) { f.node("Relu", {"x"}, "y"); },
       errc::malformed_file,
       "node 'n_y' computes 'y', which exists already"},
      {"a constant that is computed",
       [](File& f) { f.node("Relu", {"x"}, "head.weight"); },
       errc::malformed_file,
       "computes 'head.weight', which exists already"},
      {"a constant twice",
       [](File& f) { f.constant(floats("head.weight", {1})); },
       errc::malformed_file,
       "there are two constants 'head.weight'"},
      {"an output that is not there",
       [](File& f) { f.graph().mutable_output(0)->set_name("z"); },
       errc::malformed_file,
       "nothing computes the output 'z'"},
      {"no output",
       [](File& f) { f.graph().clear_output(); },
       errc::malformed_file,
       "the graph has no output"},
      {"fewer numbers than the shape says",
       [](File& f) { f.graph().mutable_initializer(0)->set_dims(0, 5); },
       errc::malformed_file,
       "the constant 'head.weight' has the shape 5x2, 10 elements, but data for 8"},
      {"a shape beyond any file",
       [](File& f) {
         f.graph().mutable_initializer(0)->set_dims(0, 1LL << 40);
         f.graph().mutable_initializer(0)->set_dims(1, 1LL << 40);
       },
       errc::malformed_file,
       "has the shape 1099511627776x1099511627776"},
      {"a negative side",
       [](File& f) { f.graph().mutable_initializer(0)->set_dims(0, -4); },
       errc::malformed_file,
       "has the shape -4x2"},
      {"raw data of another length",
       [](File& f) {
         f.graph().mutable_initializer(0)->clear_float_data();
         f.graph().mutable_initializer(0)->set_raw_data("abc");
       },
       errc::malformed_file,
       "8 elements, but data for 0"},
      {"whole numbers where real ones belong",
       [](File& f) {
         f.graph().mutable_initializer(0)->clear_float_data();
         for (int i = 0; i < 8; ++i) f.graph().mutable_initializer(0)->add_int64_data(i);
       },
       errc::malformed_file,
       "the constant 'head.weight'"},
      {"text",
       [](File& f) { f.graph().mutable_initializer(0)->set_data_type(8); },
       errc::unsupported_feature,
       "has data type 8; expected float"},
      {"data elsewhere",
       [](File& f) {
         f.graph().mutable_initializer(0)->set_data_location(pb::TensorProto::EXTERNAL);
       },
       errc::unsupported_feature,
       "is kept in another file"},
      {"an old opset",
       [](File& f) { f.model.mutable_opset_import(0)->set_version(6); },
       errc::unsupported_feature,
       "opset 6; expected 7 to 20"},
      {"a future opset",
       [](File& f) { f.model.mutable_opset_import(0)->set_version(21); },
       errc::unsupported_feature,
       "opset 21; expected 7 to 20"},
      {"no opset",
       [](File& f) { f.model.clear_opset_import(); },
       errc::unsupported_feature,
       "opset 0"},
      {"two inputs",
       [](File& f) {
         *f.graph().add_input() = f.graph().input(0);
         f.graph().mutable_input(1)->set_name("mask");
       },
       errc::unsupported_feature,
       "the graph has 2 inputs (x, mask)"},
      {"no input",
       [](File& f) { f.graph().clear_input(); },
       errc::malformed_file,
       "reads 'x', which nothing computes"},
      {"an input without a type",
       [](File& f) { f.graph().mutable_input(0)->clear_type(); },
       errc::unsupported_feature,
       "input 'x' is no tensor"},
      {"a batch alone",
       [](File& f) {
         f.graph()
             .mutable_input(0)
             ->mutable_type()
             ->mutable_tensor_type()
             ->mutable_shape()
             ->mutable_dim()
             ->RemoveLast();
       },
       errc::unsupported_feature,
       "the input 'x' has 1 dimensions"},
      {"a huge batch",
       [](File& f) {
         f.graph()
             .mutable_input(0)
             ->mutable_type()
             ->mutable_tensor_type()
             ->mutable_shape()
             ->mutable_dim(0)
             ->set_dim_value(1LL << 62);
       },
       errc::unsupported_feature,
       "within limits"},
      {"an example of open size",
       [](File& f) {
         f.graph()
             .mutable_input(0)
             ->mutable_type()
             ->mutable_tensor_type()
             ->mutable_shape()
             ->mutable_dim(1)
             ->set_dim_param("length");
       },
       errc::unsupported_feature,
       "dimension 1 of the input 'x' has no fixed size"},
  };
  for (const Broken& broken : cases) {
    File file;
    file.dense("x", 4);
    broken.change(file);
    const auto import = file.import();
    ASSERT_FALSE(import) << broken.what;
    EXPECT_EQ(import.error().code, broken.code) << broken.what;
    EXPECT_THAT(import.error().detail, HasSubstr(broken.says)) << broken.what;
  }
}

struct Unknown {
  const char* what;
  std::vector<std::int64_t> input;
  std::function<void(File&)> make;
  const char* says;
};

// Nodes that are well formed but have no layer: all are named, with what could replace them.
TEST(OnnxHostile, NodesWithoutALayerAreNamed) {
  const Unknown cases[] = {
      {"another operator",
       {0, 4},
       [](File& f) {
         f.node("HardSwish", {"x"}, "h");
         f.dense("h", 4);
       },
       "node 'n_h' (HardSwish): there is no such layer; use SiLU"},
      {"another domain",
       {0, 4},
       [](File& f) {
         f.node("FusedGelu", {"x"}, "h").set_domain("com.example");
         f.dense("h", 4);
       },
       "node 'n_h' (com.example.FusedGelu): there is no such layer; operators outside"},
      {"a kernel that is not square",
       {0, 1, 8, 8},
       [](File& f) {
         f.constant(floats("w", {2, 1, 3, 5}));
         f.node("Conv", {"x", "w"}, "y");
       },
       "node 'n_y' (Conv): its window (kernel 3x5"},
      {"unequal padding",
       {0, 1, 8, 8},
       [](File& f) {
         f.constant(floats("w", {2, 1, 3, 3}));
         ints(f.node("Conv", {"x", "w"}, "y"), "pads", {0, 0, 1, 1});
       },
       "its padding [0, 0, 1, 1] is not the same on every side"},
      {"a window larger than the image",
       {0, 1, 2, 2},
       [](File& f) {
         f.constant(floats("w", {2, 1, 3, 3}));
         f.node("Conv", {"x", "w"}, "y");
       },
       "its window is larger than its input"},
      {"channels that do not fit",
       {0, 3, 8, 8},
       [](File& f) {
         f.constant(floats("w", {2, 1, 3, 3}));
         f.node("Conv", {"x", "w"}, "y");
       },
       "its weight 2x1x3x3 does not fit"},
      {"a weight that is computed",
       {0, 1, 8, 8},
       [](File& f) {
         f.node("Conv", {"x", "x"}, "y");
       },
       "its weight is not a constant"},
      {"a three-dimensional convolution",
       {0, 1, 8, 8},
       [](File& f) {
         f.constant(floats("w", {2, 1, 3, 3, 3}));
         f.node("Conv", {"x", "w"}, "y");
       },
       "convolutions here have one or two dimensions"},
      {"features that do not fit",
       {0, 4},
       [](File& f) { f.dense("x", 5); },
       "its weight takes 5 features; it receives"},
      {"a product of values",
       {0, 4},
       [](File& f) {
         f.node("Mul", {"x", "x"}, "p");
         f.dense("p", 4);
       },
       "(Mul): a product of two values"},
      {"an erf by itself",
       {0, 4},
       [](File& f) {
         f.node("Erf", {"x"}, "e");
         f.dense("e", 4);
       },
       "(Erf): an error function; it appears in gelu only"},
      {"a factor nobody uses up",
       {0, 4},
       [](File& f) {
         f.constant(floats("c", {1}));
         f.graph().mutable_initializer(0)->set_float_data(0, 3.0F);
         f.node("Mul", {"x", "c"}, "s");
         f.dense("s", 4);
       },
       "it reads the result of node 'n_s', which is no layer by itself; write the factor"},
      {"GRU of another kind",
       {0, 5, 4},
       [](File& f) {
         f.node("GRU", {"x", "x", "x"}, "y");
       },
       "a GRU that resets before its product"},
      {"an LSTM without batch_first",
       {0, 5, 4},
       [](File& f) {
         f.constant(floats("w", {1, 12, 4}));
         f.constant(floats("r", {1, 12, 3}));
         f.node("LSTM", {"x", "w", "r"}, "y");
       },
       "its input is not (steps, batch, features)"},
      {"a transposed image",
       {0, 2, 3, 4},
       [](File& f) {
         ints(f.node("Transpose", {"x"}, "t"), "perm", {0, 2, 3, 1});
         f.node("Relu", {"t"}, "y");
       },
       "is an arrangement of values that no layer makes"},
      {"an order that is none",
       {0, 2, 3},
       [](File& f) {
         ints(f.node("Transpose", {"x"}, "y"), "perm", {0, 2, 2});
       },
       "[0, 2, 2] is no order of the axes"},
      {"a reshape that does not fit",
       {0, 6},
       [](File& f) {
         f.constant(wholes("s", {-1, 4}));
         f.node("Reshape", {"x", "s"}, "y");
       },
       "does not become [-1, 4]"},
      {"two sizes left open",
       {0, 6},
       [](File& f) {
         f.constant(wholes("s", {-1, -1}));
         f.node("Reshape", {"x", "s"}, "y");
       },
       "does not become [-1, -1]"},
      {"an index beyond the axis",
       {0, 5, 4},
       [](File& f) {
         f.constant(wholes("i", {9}));
         whole(f.node("Gather", {"x", "i"}, "y"), "axis", 1);
       },
       "index 9 of an axis of 5"},
      {"an axis that is not there",
       {0, 6},
       [](File& f) { whole(f.node("Softmax", {"x"}, "y"), "axis", 7); },
       "there is no axis 7 among 2"},
      {"a constant that would not fit into memory",
       {0, 6},
       [](File& f) {
         f.constant(wholes("s", {1 << 20, 1 << 20}));
         f.node("ConstantOfShape", {"s"}, "c");
         f.node("Add", {"x", "c"}, "y");
       },
       "(ConstantOfShape): a constant of a size beyond limits"},
      {"a division by zero",
       {0, 6},
       [](File& f) {
         f.constant(wholes("a", {1}));
         f.constant(wholes("b", {0}));
         f.node("Div", {"a", "b"}, "c");
         f.node("Reshape", {"x", "c"}, "y");
       },
       "(Div): 1 and 0 have no result"},
      {"values of two shapes",
       {0, 1, 4, 4},
       [](File& f) {
         f.node("GlobalAveragePool", {"x"}, "g");
         f.node("Add", {"x", "g"}, "y");
       },
       "(Add): it adds"},
      {"a node without operands",
       {0, 4},
       [](File& f) {
         f.node("RandomNormal", {}, "r");
         f.node("Add", {"x", "r"}, "y");
       },
       "node 'n_r' (RandomNormal): it computes without operands"},
  };
  for (const Unknown& unknown : cases) {
    File file(unknown.input);
    unknown.make(file);
    const auto import = file.import();
    ASSERT_TRUE(import) << unknown.what << ": " << import.error().detail;
    EXPECT_THAT(text_of(import->problems), HasSubstr(unknown.says)) << unknown.what;
    EXPECT_TRUE(import->model.layers.empty());
  }
}

TEST(OnnxHostile, EveryUnknownNodeIsNamedAtOnce) {
  File file;
  file.node("HardSwish", {"x"}, "a");
  file.node("Relu", {"a"}, "b");
  file.node("Mish", {"b"}, "c");
  file.node("Erf", {"x"}, "d");
  file.node("Add", {"c", "d"}, "e");
  file.dense("e", 4);
  const auto import = file.import();
  ASSERT_TRUE(import);
  ASSERT_EQ(import->problems.size(), 3U);
  EXPECT_EQ(import->problems[0].op, "HardSwish");
  EXPECT_EQ(import->problems[1].op, "Erf");
  EXPECT_EQ(import->problems[2].op, "Mish");
}

// Doubling a value again and again: 2^100 numbers are not laid out.
TEST(OnnxHostile, GrowthHasALimit) {
  File file({0, 4, 8, 8});
  std::string last = "x";
  for (int i = 0; i < 100; ++i) {
    const std::string relu = "r" + std::to_string(i);
    const std::string both = "c" + std::to_string(i);
    file.node("Relu", {last}, relu);
    whole(file.node("Concat", {last, relu}, both), "axis", 1);
    last = both;
  }
  file.node("GlobalAveragePool", {last}, "y");
  const auto import = file.import();
  ASSERT_TRUE(import);
  EXPECT_THAT(text_of(import->problems), HasSubstr("more than 268435456 values"));
}

// A chain of many nodes: nothing recurses.
TEST(OnnxHostile, DepthHasALimit) {
  File file;
  std::string last = "x";
  for (int i = 0; i < 20'000; ++i) {
    const std::string next = "r" + std::to_string(i);
    file.node("Relu", {last}, next);
    last = next;
  }
  file.dense(last, 4);
  const auto import = file.import();
  ASSERT_FALSE(import);
  EXPECT_THAT(import.error().detail, HasSubstr("layers; expected 1 to 1024"));
}

TEST(OnnxHostile, TheNumberOfNodesHasALimit) {
  File file;
  for (std::size_t i = 0; i <= kNodesMax; ++i) file.node("Relu", {"x"}, std::to_string(i));
  EXPECT_THAT(file.import().error().detail, HasSubstr("nodes and constants; at most 100000"));
}

std::string golden(const std::string& name) {
  return read_text(CHORUS_GOLDEN_DIR "/onnx/" + name + ".onnx", 1U << 20U).value();
}

TEST(OnnxHostile, APartOfAFileIsAnError) {
  const std::string bytes = golden("mlp");
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto import = import_model(std::as_bytes(std::span(bytes).first(length)));
    if (import) continue;  // a whole message may end there: then it says what is missing
    EXPECT_THAT(import.error().detail, testing::Not(testing::IsEmpty())) << length;
  }
  EXPECT_FALSE(import_model(std::as_bytes(std::span(bytes).first(bytes.size() / 2))));
}

TEST(OnnxHostile, DamagedFilesNeverCrash) {
  Rng rng(stream_key(1, {}));
  for (const char* name :
       {"mlp", "concat", "lstm_ends", "gru_steps", "resnet_gn", "attention_packed"}) {
    const std::string whole_file = golden(name);
    for (int i = 0; i < 400; ++i) {
      std::string bytes = whole_file;
      for (int k = 0; k < 3; ++k) {
        const std::uint64_t place = rng.below(bytes.size());
        const std::uint64_t value = rng.next_u64();
        bytes[place] = static_cast<char>(value);
      }
      const auto import = import_model(std::as_bytes(std::span(bytes)));
      if (import && import->problems.empty()) {
        EXPECT_TRUE(layout_of(import->model)) << name << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace chorus::onnx
