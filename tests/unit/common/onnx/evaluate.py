#!/usr/bin/env python3
"""Judges ONNX files that Chorus wrote: onnx.checker, and what they compute, by NumPy in double.

  evaluate.py FOLDER

For each NAME.onnx of the folder there are NAME.in and NAME.out: float32, row-major, a batch of 3.
The operators are written down here from the standard's definitions, not taken from Chorus.
Exit code 77 (skipped) where numpy or the `onnx` package is not installed.
"""
import math
import pathlib
import sys

try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
except ImportError as missing:
    print(f"{missing.name} is not installed (Debian: python3-onnx, python3-numpy)")
    sys.exit(77)

BATCH = 3
erf = np.vectorize(math.erf)


def windows(x, kernel, strides, pads, dilations, fill):
    """(n, c, places…, taps…): every window of an image or sequence, padded with `fill`"""
    sides = len(kernel)
    x = np.pad(x, [(0, 0), (0, 0)] + [(pads[i], pads[i + sides]) for i in range(sides)],
               constant_values=fill)
    for i in range(sides):
        reach = (kernel[i] - 1) * dilations[i] + 1
        x = np.lib.stride_tricks.sliding_window_view(x, reach, 2 + i)
        x = np.take(x, range(0, x.shape[2 + i], strides[i]), 2 + i)
        x = x[..., ::dilations[i]]
    return x


def conv(a, x, w, b=0.0):
    sides = w.ndim - 2
    all_windows = windows(x, w.shape[2:], a["strides"], a["pads"], a["dilations"], 0.0)
    groups, taps = a["group"], tuple(range(-sides, 0))
    parts = []
    for g in range(groups):
        mine = np.split(all_windows, groups, 1)[g]
        weight = np.split(w, groups, 0)[g]
        axes = ((1,) + tuple(t + mine.ndim for t in taps), (1,) + tuple(t + w.ndim for t in taps))
        parts.append(np.moveaxis(np.tensordot(mine, weight, axes), -1, 1))
    return np.concatenate(parts, 1) + np.reshape(b, (-1,) + (1,) * sides)


def pool(a, x, fill, reduce):
    sides = len(a["kernel_shape"])
    every = windows(x, a["kernel_shape"], a["strides"], a["pads"], [1] * sides, fill)
    return reduce(every, tuple(range(-sides, 0)))


def normalised(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def per_channel(values, x):
    return values.reshape((-1,) + (1,) * (x.ndim - 2))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def lstm_step(x, h, c, w, r, b):
    i, o, f, g = np.split(x @ w.T + h @ r.T + b[:b.size // 2] + b[b.size // 2:], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x, h, c, w, r, b):
    wz, wr, wh = np.split(x @ w.T + b[:b.size // 2], 3, -1)
    rz, rr, rh = np.split(h @ r.T + b[b.size // 2:], 3, -1)
    z = sigmoid(wz + rz)
    return (1 - z) * np.tanh(wh + sigmoid(wr + rr) * rh) + z * h, c


def recurrent(step, a, x, w, r, b):
    ys, ends = [], []
    for direction in range(w.shape[0]):
        h = c = np.zeros((x.shape[1], r.shape[2]))
        y = []
        for t in range(x.shape[0]) if direction == 0 else reversed(range(x.shape[0])):
            h, c = step(x[t], h, c, w[direction], r[direction], b[direction])
            y.append(h)
        ys.append(np.stack(y if direction == 0 else y[::-1]))
        ends.append(h)
    return np.stack(ys, 1), np.stack(ends)


def reshape(x, shape):
    return x.reshape([x.shape[i] if side == 0 else side for i, side in enumerate(shape)])


OPERATORS = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": lambda a, x: pool(a, x, 0.0, np.mean),
    "BatchNormalization": lambda a, x, w, b, m, v: (x - per_channel(m, x)) / np.sqrt(
        per_channel(v, x) + a["epsilon"]) * per_channel(w, x) + per_channel(b, x),
    "Concat": lambda a, *parts: np.concatenate(parts, a["axis"]),
    "Conv": conv,
    "Div": lambda a, x, y: x / y,
    "Dropout": lambda a, x, ratio: x,
    "Erf": lambda a, x: erf(x),
    "Flatten": lambda a, x: x.reshape(x.shape[0], -1),
    "GRU": lambda a, *inputs: recurrent(gru_step, a, *inputs),
    "Gather": lambda a, x, i: np.take(x, i.astype(int), a.get("axis", 0)),
    "Gemm": lambda a, x, w, b=0.0: x @ (w.T if a.get("transB") else w) + b,
    "GlobalMaxPool": lambda a, x: x.max(tuple(range(2, x.ndim)), keepdims=True),
    "GlobalAveragePool": lambda a, x: x.mean(tuple(range(2, x.ndim)), keepdims=True),
    "Identity": lambda a, x: x,
    "InstanceNormalization": lambda a, x, w, b: normalised(
        x, tuple(range(2, x.ndim)), a["epsilon"]) * per_channel(w, x) + per_channel(b, x),
    "LSTM": lambda a, *inputs: recurrent(lstm_step, a, *inputs),
    "LayerNormalization": lambda a, x, w, b: normalised(x, -1, a["epsilon"]) * w + b,
    "LeakyRelu": lambda a, x: np.where(x < 0, a["alpha"] * x, x),
    "MatMul": lambda a, x, y: x @ y,
    "MaxPool": lambda a, x: pool(a, x, -np.inf, np.max),
    "Mul": lambda a, x, y: x * y,
    "Relu": lambda a, x: np.maximum(x, 0),
    "Reshape": lambda a, x, shape: reshape(x, shape.astype(int)),
    "Sigmoid": lambda a, x: sigmoid(x),
    "Softmax": lambda a, x: softmax(x),
    "Squeeze": lambda a, x, axes: np.squeeze(x, tuple(axes.astype(int))),
    "Tanh": lambda a, x: np.tanh(x),
    "Transpose": lambda a, x: np.transpose(x, a["perm"]),
    "Unsqueeze": lambda a, x, axes: np.expand_dims(x, tuple(axes.astype(int))),
}


def evaluate(model, x):
    values = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    values[model.graph.input[0].name] = x.astype(np.float64)
    for node in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        results = OPERATORS[node.op_type](attributes, *(values[name] for name in node.input))
        results = results if isinstance(results, tuple) else (results,)
        values.update(zip(node.output, results))
    return values["output"]


def main():
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    assert files, "there is nothing to judge"
    wrong = 0
    for file in files:
        model = onnx.load(str(file))
        onnx.checker.check_model(model, full_check=True)
        sides = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim][1:]
        x = np.fromfile(file.with_suffix(".in"), "<f4").reshape(BATCH, *sides)
        expected = np.fromfile(file.with_suffix(".out"), "<f4").reshape(BATCH, -1)
        found = evaluate(model, x)
        error = np.abs(found - expected).max() / np.abs(expected).max()
        wrong += not error <= 1e-5
        print(f"{file.stem:24} {error:.1e}{'' if error <= 1e-5 else '  TOO MUCH'}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
