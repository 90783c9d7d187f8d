#!/usr/bin/env python3
"""Writes onnx/*.onnx: models as PyTorch's exporter writes them, and onnx/outputs.safetensors.

Run with Debian's python3-torch (1.13) and python3-onnx (1.12):

  /usr/bin/python3 tests/golden/make_onnx_models.py

Small models of every kind of layer that the import knows, with running statistics and affine
parameters that are not the initial ones. outputs.safetensors holds of each NAME.input (3 examples)
and NAME.output, computed by PyTorch in evaluation.

  make_onnx_models.py FOLDER NAME…

writes those models only, also the large ones, which are not committed: a test makes them anew. Exit
code 77 (skipped) without PyTorch or onnx.
"""
import io
import json
import pathlib
import struct
import sys
import warnings

try:
    import numpy as np
    import onnx
    import torch
    from torch import nn
except ImportError as missing:
    print(f"{missing.name} is not installed (Debian: python3-torch, python3-onnx)")
    sys.exit(77)

import make_torch_models
from make_torch_models import Residual

FOLDER = pathlib.Path(__file__).parent / "onnx"


def resnet(norm):
    return nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1, bias=False), norm(4), nn.ReLU(),
                         Residual(4, 4, 1, norm), Residual(4, 8, 2, norm),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


class Mean(nn.Module):
    """A convolutional network that ends as many hand-written ones do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.point = nn.Conv2d(4, 4, 3, groups=4, dilation=2)
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        y = nn.functional.leaky_relu(self.point(nn.functional.silu(self.conv(x))), 0.2)
        return torch.sigmoid(self.head(y.mean((2, 3))))


class Dense(nn.Module):
    """Branches that are put together again."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.left = nn.Conv2d(3, 2, 1)
        self.right = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(9 * 3 * 3, 4)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        y = torch.cat([self.left(x), self.right(x), x], 1)
        return self.head(nn.functional.avg_pool2d(y, 2).reshape(x.shape[0], -1))


class Last(nn.Module):
    """Text by character: the last step of a stack of LSTMs."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 4)
        self.lstm = nn.LSTM(4, 6, 2, batch_first=True)
        self.fc = nn.Linear(6, 11)

    def forward(self, x):
        y, _ = self.lstm(self.embedding(x))
        return self.fc(y[:, -1])


class Ends(nn.Module):
    """What both directions end with."""

    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(3, 5, 1, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(10, 3)

    def forward(self, x):
        h = self.rnn(x)[1]
        h = h[0] if isinstance(h, tuple) else h
        return self.fc(torch.cat([h[-2], h[-1]], 1))


class Steps(nn.Module):
    """All steps of both directions of a stack, then their mean."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 4, 2, batch_first=True, bidirectional=True)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.norm(self.gru(x)[0]).mean(1))


class Transformer(nn.Module):
    """An encoder of PyTorch's own layers."""

    def __init__(self, first, activation="gelu"):
        super().__init__()
        self.embedding = nn.Embedding(13, 8)
        self.position = nn.Parameter(torch.randn(1, 6, 8) * 0.1)
        layer = nn.TransformerEncoderLayer(8, 2, 12, 0.1, activation, batch_first=True,
                                           norm_first=first)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(self.encoder(self.embedding(x) + self.position).mean(1))


class OwnAttention(nn.Module):
    """Attention as written by hand, each step seeing only itself and those before."""

    def __init__(self, packed):
        super().__init__()
        self.packed = packed
        self.inputs = nn.Linear(4, 8)
        self.qkv = nn.Linear(8, 24) if packed else nn.ModuleList(nn.Linear(8, 8) for _ in "qkv")
        self.out = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(40, 3)

    def forward(self, x):
        x = self.inputs(x)
        batch, steps, width = x.shape
        if self.packed:
            q, k, v = self.qkv(x).reshape(batch, steps, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        else:
            q, k, v = (part(x).view(batch, steps, 2, width // 2).transpose(1, 2)
                       for part in self.qkv)
        scores = q @ k.transpose(-2, -1) / (width // 2) ** 0.5
        mask = torch.triu(torch.full((steps, steps), float("-inf")), 1)
        mixed = torch.softmax(scores + mask, -1) @ v
        x = self.norm(x + self.out(mixed.transpose(1, 2).reshape(batch, steps, width)))
        return self.fc(x.flatten(1))


def group(channels):
    return nn.GroupNorm(2, channels)


def cnn():
    return nn.Sequential(nn.Conv2d(1, 3, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
                         nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(16, 12), nn.Dropout(0.25), nn.Sigmoid(), nn.Linear(12, 5),
                         nn.LogSoftmax(-1))


def inertial():
    return nn.Sequential(nn.Conv1d(3, 4, 5, padding=2), nn.BatchNorm1d(4), nn.ReLU(),
                         nn.MaxPool1d(2), nn.Conv1d(4, 6, 3), nn.GELU(), nn.AvgPool1d(2),
                         nn.Flatten(), nn.Linear(24, 4))


def mlp():
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 3), nn.Softmax(1))


# name: (model, shape of an example or vocabulary and steps, opset, batch is open)
MODELS = {
    "mlp": (mlp, (6,), 13, True),
    "mlp_fixed_batch": (mlp, (6,), 9, False),
    "cnn": (cnn, (1, 12, 12), 11, True),
    "inertial": (inertial, (3, 20), 13, True),
    "resnet_bn": (lambda: resnet(nn.BatchNorm2d), (3, 8, 8), 13, True),
    "resnet_bn_kept": (lambda: resnet(nn.BatchNorm2d), (3, 8, 8), 13, True),
    "resnet_bn_train": (lambda: resnet(nn.BatchNorm2d), (3, 8, 8), 14, True),
    "cnn_train": (cnn, (1, 12, 12), 13, True),
    "resnet_gn": (lambda: resnet(group), (3, 8, 8), 15, True),
    "resnet_gn_fixed": (lambda: resnet(group), (3, 8, 8), 13, False),
    "mean": (Mean, (2, 9, 9), 13, True),
    "concat": (Dense, (1, 6, 6), 13, True),
    "lstm_last": (Last, (11, 7), 13, True),
    "lstm_ends": (lambda: Ends(nn.LSTM), (5, 3), 12, True),
    "gru_ends": (lambda: Ends(nn.GRU), (5, 3), 14, True),
    "gru_steps": (Steps, (5, 3), 14, True),
    "transformer_first": (lambda: Transformer(True), (13, 6), 17, True),
    "transformer_last": (lambda: Transformer(False), (13, 6), 14, True),
    "transformer_fixed": (lambda: Transformer(False, "relu"), (13, 6), 13, False),
    "attention_packed": (lambda: OwnAttention(True), (5, 4), 14, True),
    "attention_parts": (lambda: OwnAttention(False), (5, 4), 16, True),
}
# Too large to be committed.
LARGE = {
    "fedavg_cnn": (make_torch_models.MODELS["fedavg_cnn"][-1], (1, 28, 28), 13, True),
}
# In evaluation PyTorch writes batch norm into the convolutions before it, and leaves dropout out.
MODES = {"resnet_bn_kept": torch.onnx.TrainingMode.PRESERVE,
         "resnet_bn_train": torch.onnx.TrainingMode.TRAINING,
         "cnn_train": torch.onnx.TrainingMode.TRAINING}
WORDS = {"lstm_last", "transformer_first", "transformer_last", "transformer_fixed"}


def varied(model):
    """No tensor stays as simple as it begins."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif tensor.dim() == 1 and tensor.is_floating_point():
                tensor.add_(torch.randn_like(tensor) * 0.2)
    return model


def exported(model, example, opset, is_open, mode):
    buffer = io.BytesIO()
    axes = {"input": {0: "batch"}, "output": {0: "batch"}} if is_open else None
    # Parameters that want gradients keep PyTorch from its fused encoder, which has no ONNX form.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, example, buffer, opset_version=opset, dynamic_axes=axes,
                          input_names=["input"], output_names=["output"],
                          training=mode, do_constant_folding=True)
    onnx.checker.check_model(onnx.load_from_string(buffer.getvalue()))
    return buffer.getvalue()


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, values in tensors.items():
        raw = np.ascontiguousarray(values, dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    names = sys.argv[2:] or MODELS
    folder.mkdir(exist_ok=True)
    tensors = {}
    for seed, (name, (make, shape, opset, is_open)) in enumerate((MODELS | LARGE).items()):
        if name not in names:
            continue
        torch.manual_seed(seed)
        model = varied(make()).eval()
        x = (torch.randint(shape[0], (3, shape[1])) if name in WORDS else torch.randn(3, *shape))
        blob = exported(model, x if is_open else x[:1], opset, is_open,
                        MODES.get(name, torch.onnx.TrainingMode.EVAL))
        (folder / f"{name}.onnx").write_bytes(blob)
        tensors[f"{name}.input"] = x.numpy()
        with torch.enable_grad():
            tensors[f"{name}.output"] = model.eval()(x).detach().numpy()
        print(f"{name}: {len(blob)} bytes, opset {opset}")
    write_safetensors(folder / "outputs.safetensors", tensors)


if __name__ == "__main__":
    main()
