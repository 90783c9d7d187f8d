"""export.py FILE.onnx: the network with its first weights, for a federation to train."""
import sys

import net
import torch

torch.manual_seed(1)
torch.onnx.export(net.digits(), torch.zeros(1, 1, 8, 8), sys.argv[1], opset_version=17,
                  input_names=["input"], output_names=["output"],
                  dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
                  training=torch.onnx.TrainingMode.TRAINING)
