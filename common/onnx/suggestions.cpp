// What could replace operators that have no layer here.
#include <map>

#include "common/onnx/importer.hpp"

namespace chorus::onnx {

std::string_view suggestion_for(std::string_view op) {
  constexpr std::string_view kSmooth = "use Relu, LeakyRelu, Gelu or SiLU";
  constexpr std::string_view kScores =
      "end the model with its scores and leave the rest to the loss";
  constexpr std::string_view kControl =
      "export with fixed sizes, so that the exporter unrolls or drops it";
  constexpr std::string_view kUp = "there is no upsampling here; end the model before it";
  constexpr std::string_view kQuantised =
      "export the float32 model; devices choose their precision";
  static const std::map<std::string_view, std::string_view> known{
      {"PRelu", "use LeakyRelu: its slope is fixed"},
      {"Clip", "use Relu instead of ReLU6"},
      {"Elu", kSmooth},
      {"Selu", kSmooth},
      {"Celu", kSmooth},
      {"Softplus", kSmooth},
      {"Softsign", "use Tanh"},
      {"HardSigmoid", "use Sigmoid"},
      {"HardSwish", "use SiLU: x·sigmoid(x)"},
      {"Mish", kSmooth},
      {"ThresholdedRelu", kSmooth},
      {"ConvTranspose", kUp},
      {"Resize", kUp},
      {"Upsample", kUp},
      {"DepthToSpace", kUp},
      {"LRN", "use BatchNormalization or group norm"},
      {"LpNormalization", "use LayerNormalization"},
      {"RNN", "use LSTM or GRU"},
      {"ReduceMax", "use ReduceMean"},
      {"ReduceSum", "use ReduceMean"},
      {"LpPool", "use AveragePool"},
      {"ArgMax", kScores},
      {"TopK", kScores},
      {"SoftmaxCrossEntropyLoss", kScores},
      {"NegativeLogLikelihoodLoss", kScores},
      {"If", kControl},
      {"Loop", kControl},
      {"Scan", kControl},
      {"Where", "write masks as constants that are added"},
      {"Einsum", "use MatMul"},
      {"QuantizeLinear", kQuantised},
      {"DequantizeLinear", kQuantised},
      {"QLinearConv", kQuantised},
      {"QLinearMatMul", kQuantised},
      {"ConvInteger", kQuantised},
      {"MatMulInteger", kQuantised},
      {"OneHot", "use an embedding: Gather from a table"},
  };
  const auto found = known.find(op);
  if (found != known.end()) return found->second;
  if (op.find('.') != std::string_view::npos) {
    return "operators outside the ONNX standard are not known here; export standard ones";
  }
  return "";
}

}  // namespace chorus::onnx
