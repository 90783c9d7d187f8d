#!/usr/bin/env python3
"""Writes models.safetensors: what PyTorch computes on the reference models of the trainer.

Run with Debian's python3-torch (1.13):

  /usr/bin/python3 tests/golden/make_torch_models.py [--out FILE] [NAME …]
  /usr/bin/python3 tests/golden/make_torch_models.py --autocast NAME …

The second form writes nothing: it prints how far gradients by PyTorch's own bfloat16 (autocast) are
from those in float64, relative, for the tensor with the most and over all. compare_torch_live.py
holds the trainer against the PyTorch that is installed.

Parameters, examples and labels follow from a hash of their place, so that the tests make the same
ones and the file stays small. Of each tensor it holds what tells whether another computation
agrees: the norm, and 8 projections onto vectors of ±1 (the mean square of the projections of a
difference is the square of its norm). Everything is computed in double. Per model, with T tensors
in PyTorch's order (buffers left out of gradients, as zeros):

  NAME.gradient (T, 9)   after one step: norm and projections of each gradient
  NAME.trained (T, 9)    of the parameters after 20 steps of SGD, learning rate 0.02, momentum 0.9;
                         0.002 with batch norm and in cifar_cnn: a ReLU whose input is 0 but
                         for rounding has either slope, and that difference grows
  NAME.losses (20)       mean loss of each batch of 8 before its step

tests/unit/client/train/reference_models.hpp holds the same models; keep the two in step.
"""
import argparse
import json
import pathlib
import struct

import numpy as np
import torch
from torch import nn

BATCH, STEPS, PROJECTIONS = 8, 20, 8


def hashed(seed, count):
    """splitmix64 of seed and place: uint64[count]"""
    with np.errstate(over="ignore"):
        z = np.uint64(seed * 0x632BE59BD9B4E019 % 2**64) + (
            np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(seed, count):
    """float32[count] in [-1, 1), exact multiples of 2^-23"""
    whole = (hashed(seed, count) >> np.uint64(40)).astype(np.float32)
    return whole * np.float32(2.0 ** -23) - np.float32(1)


class Residual(nn.Module):
    """conv, norm, relu, conv, norm, plus the input or a 1 × 1 convolution of it, relu"""

    def __init__(self, inputs, channels, stride, norm):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.norm1 = norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = norm(channels)
        same = stride == 1 and inputs == channels
        self.shortcut = (nn.Identity() if same
                         else nn.Conv2d(inputs, channels, 1, stride, bias=False))

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def resnet(blocks, norm):
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), norm(16), nn.ReLU()]
    inputs = 16
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        for block in range(blocks):
            layers.append(Residual(inputs, channels, stride if block == 0 else 1, norm))
            inputs = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def group_norm(channels):
    return nn.GroupNorm(8, channels)


class Last(nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.rnn = rnn

    def forward(self, x):
        return self.rnn(x)[0][:, -1]


class Attention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


RANK, ALPHA = 4, 8


def adapter(module, inputs, outputs, prefix=""):
    """lora_A and lora_B after the module's own parameters (Hu et al. 2022)"""
    module.register_parameter(prefix + "lora_A", nn.Parameter(torch.zeros(RANK, inputs)))
    module.register_parameter(prefix + "lora_B", nn.Parameter(torch.zeros(outputs, RANK)))


class AdaptedLinear(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        adapter(self, inputs, outputs)

    def forward(self, x):
        return super().forward(x) + ALPHA / RANK * (x @ self.lora_A.T) @ self.lora_B.T


class AdaptedAttention(nn.MultiheadAttention):
    def __init__(self, width, heads, batch_first):
        super().__init__(width, heads, batch_first=batch_first)
        adapter(self, width, 3 * width, "in_proj_")
        adapter(self.out_proj, width, width)

    def forward(self, x):
        into = self.in_proj_weight + ALPHA / RANK * self.in_proj_lora_B @ self.in_proj_lora_A
        out = self.out_proj
        out_of = out.weight + ALPHA / RANK * out.lora_B @ out.lora_A
        x = x.transpose(0, 1)
        y, _ = nn.functional.multi_head_attention_forward(
            x, x, x, self.embed_dim, self.num_heads, into, self.in_proj_bias, None, None, False,
            0.0, out_of, out.bias, need_weights=False)
        return y.transpose(0, 1)


class Encoder(nn.Module):
    """x + attention, norm; x + dense, gelu, dense, norm"""

    def __init__(self, width, heads, hidden, attention=Attention, linear=nn.Linear):
        super().__init__()
        self.attention = attention(width, heads, batch_first=True)
        self.norm1 = nn.LayerNorm(width)
        self.up = linear(width, hidden)
        self.down = linear(hidden, width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x):
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.down(nn.functional.gelu(self.up(x))))


class Positions(nn.Module):
    def __init__(self, steps, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(steps, width))

    def forward(self, x):
        return x + self.weight


class MeanOfSteps(nn.Module):
    def forward(self, x):
        return x.mean(1)


# name: (input shape, vocabulary of whole-number inputs or 0, classes, model)
MODELS = {
    "logistic": ((784,), 0, 10, lambda: nn.Sequential(nn.Linear(784, 10))),
    "mlp": ((784,), 0, 10, lambda: nn.Sequential(
        nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))),
    "fedavg_cnn": ((1, 28, 28), 0, 10, lambda: nn.Sequential(
        nn.Conv2d(1, 32, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10))),
    "cifar_cnn": ((3, 32, 32), 0, 10, lambda: nn.Sequential(
        nn.Conv2d(3, 32, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4096, 512), nn.ReLU(), nn.Linear(512, 10))),
    "lenet5": ((1, 28, 28), 0, 10, lambda: nn.Sequential(
        nn.Conv2d(1, 6, 5, 1, 2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))),
    "resnet8_gn": ((3, 32, 32), 0, 10, lambda: resnet(1, group_norm)),
    "resnet8_bn": ((3, 32, 32), 0, 10, lambda: resnet(1, nn.BatchNorm2d)),
    "resnet20_gn": ((3, 32, 32), 0, 10, lambda: resnet(3, group_norm)),
    "resnet20_bn": ((3, 32, 32), 0, 10, lambda: resnet(3, nn.BatchNorm2d)),
    "inertial_cnn": ((9, 128), 0, 6, lambda: nn.Sequential(
        nn.Conv1d(9, 32, 9, 1, 4), nn.ReLU(), nn.MaxPool1d(4),
        nn.Conv1d(32, 64, 9, 1, 4), nn.ReLU(), nn.MaxPool1d(4),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 6))),
    "char_lstm": ((80,), 90, 90, lambda: nn.Sequential(
        nn.Embedding(90, 8), Last(nn.LSTM(8, 256, 2, batch_first=True)), nn.Linear(256, 90))),
    "char_gru": ((40,), 90, 90, lambda: nn.Sequential(
        nn.Embedding(90, 8), Last(nn.GRU(8, 64, 2, batch_first=True)), nn.Linear(64, 90))),
    "transformer": ((32,), 64, 5, lambda: nn.Sequential(
        nn.Embedding(64, 48), Positions(32, 48), Encoder(48, 4, 96), Encoder(48, 4, 96),
        MeanOfSteps(), nn.Linear(48, 5))),
    "transformer_lora": ((32,), 64, 5, lambda: nn.Sequential(
        nn.Embedding(64, 48), Positions(32, 48),
        *[Encoder(48, 4, 96, AdaptedAttention, AdaptedLinear) for _ in range(2)],
        MeanOfSteps(), nn.Linear(48, 5))),
}


def named_tensors(model):
    return [(name, tensor) for name, tensor in model.state_dict(keep_vars=True).items()
            if not name.endswith("num_batches_tracked")]


def fill(model):
    for number, (name, tensor) in enumerate(named_tensors(model)):
        values = uniform(1000 + number, tensor.numel())
        if name.endswith("running_mean"):
            values = np.zeros_like(values)
        elif name.endswith("running_var"):
            values = np.ones_like(values)
        elif tensor.dim() > 1:
            fan_in = tensor.numel() // tensor.shape[0]
            values = values * np.float32(np.sqrt(3.0 / fan_in))
        else:
            values = values * np.float32(0.1)
            if name.endswith("weight"):
                values = values + np.float32(1)
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(values.astype(np.float64)).reshape(tensor.shape))


def summary(tensors):
    rows = []
    for number, tensor in enumerate(tensors):
        flat = tensor.detach().reshape(-1).numpy()
        row = [np.linalg.norm(flat)]
        for r in range(PROJECTIONS):
            bits = hashed(50000 + PROJECTIONS * number + r, flat.size) >> np.uint64(63)
            row.append(np.dot(flat, 1.0 - 2.0 * bits.astype(np.float64)))
        rows.append(row)
    return np.array(rows)


def prepare(name):
    """the model as it begins, inputs and labels of all steps"""
    shape, vocabulary, classes, make = MODELS[name]
    torch.manual_seed(0)
    model = make()
    fill(model)
    model.train()
    numbers = int(np.prod(shape))
    count = BATCH * STEPS
    if vocabulary:
        inputs = torch.from_numpy((hashed(1, count * numbers) % np.uint64(vocabulary)).astype(int))
    else:
        inputs = torch.from_numpy(uniform(1, count * numbers).astype(np.float64))
    inputs = inputs.reshape(count, *shape)
    labels = torch.from_numpy((hashed(2, count) % np.uint64(classes)).astype(int))
    return model, inputs, labels


def first_gradients(name, dtype, autocast):
    model, inputs, labels = prepare(name)
    model.to(dtype)
    inputs = inputs[:BATCH] if MODELS[name][1] else inputs[:BATCH].to(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        outputs = model(inputs)
    nn.functional.cross_entropy(outputs.to(dtype), labels[:BATCH]).backward()
    return [t.grad.double() for _, t in named_tensors(model) if t.grad is not None]


def compare_autocast(name):
    exact = first_gradients(name, torch.float64, False)
    rounded = first_gradients(name, torch.float32, True)
    wrong = [float((a - b).norm()) for a, b in zip(exact, rounded)]
    whole = [float(a.norm()) for a in exact]
    print(f"{name}: at most {max(w / n for w, n in zip(wrong, whole)):.3f}, "
          f"over all {np.linalg.norm(wrong) / np.linalg.norm(whole):.3f}")


def measure(name):
    model, inputs, labels = prepare(name)
    rate = 0.002 if name.endswith("_bn") or name == "cifar_cnn" else 0.02
    sgd = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    found, losses = {}, []
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        sgd.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            found["gradient"] = summary([torch.zeros_like(t) if t.grad is None else t.grad
                                         for _, t in named_tensors(model)])
        sgd.step()
    found["trained"] = summary([t for _, t in named_tensors(model)])
    found["losses"] = np.array(losses)
    print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters, "
          f"loss {losses[0]:.4f} to {losses[-1]:.4f}")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--autocast", action="store_true")
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).parent / "models.safetensors")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    if arguments.autocast:
        for name in arguments.names:
            compare_autocast(name)
        return
    header, data = {"__metadata__": {"torch": torch.__version__}}, b""
    for name in arguments.names or MODELS:
        for key, values in measure(name).items():
            body = values.astype("<f4").tobytes()
            header[f"{name}.{key}"] = {"dtype": "F32", "shape": list(values.shape),
                                       "data_offsets": [len(data), len(data) + len(body)]}
            data += body
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    arguments.out.write_bytes(struct.pack("<Q", len(text)) + text + data)
    print(arguments.out, len(text) + len(data) + 8, "bytes")


if __name__ == "__main__":
    main()
