#!/usr/bin/env python3
"""Trains the reference models with PyTorch, for comparison with bench_trainer; the same orders.

Needs Debian's python3-torch, so /usr/bin/python3, and libopenblas0: with the reference BLAS,
which python3-torch is content with, PyTorch is ten times slower, and a comparison would say
nothing. `--threads N`; then lines `MODEL BATCH SECONDS` on standard input, each answered with one
line of JSON. Forward, backward and a step of SGD, float32, on data that lies in memory, after
five steps of warm-up.
"""
import json
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "golden"))
from make_torch_models import MODELS  # noqa: E402  the path must be known first


def train(name, batch, seconds):
    shape, vocabulary, classes, make = MODELS[name]
    torch.manual_seed(1)
    model = make()
    model.train()
    count = batch * 8
    inputs = (torch.randint(0, vocabulary, (count, *shape)) if vocabulary
              else torch.rand(count, *shape) * 2 - 1)
    labels = torch.randint(0, classes, (count,))
    sgd = torch.optim.SGD(model.parameters(), lr=1e-4)
    loss_of = torch.nn.CrossEntropyLoss()

    def step(i):
        rows = slice(i % 8 * batch, (i % 8 + 1) * batch)
        sgd.zero_grad(set_to_none=True)
        loss_of(model(inputs[rows]), labels[rows]).backward()
        sgd.step()

    for i in range(5):
        step(i)
    steps = 0
    begin = time.perf_counter()
    while True:
        step(steps)
        steps += 1
        spent = time.perf_counter() - begin
        if spent >= seconds:
            return {"samples_per_s": steps * batch / spent, "version": torch.__version__}


def require_fast_blas():
    torch.mm(torch.ones(64, 64), torch.ones(64, 64))
    loaded = pathlib.Path("/proc/self/maps").read_text()
    if "openblas" not in loaded and "mkl" not in loaded:
        sys.exit("peer_pytorch.py: PyTorch runs on the reference BLAS here; install libopenblas0")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--threads":
        torch.set_num_threads(int(sys.argv[2]))
    elif len(sys.argv) != 1:
        sys.exit("usage: peer_pytorch.py [--threads N], then orders on standard input")
    else:
        torch.set_num_threads(1)
    require_fast_blas()
    for line in sys.stdin:
        name, batch, seconds = line.split()
        print(json.dumps(train(name, int(batch), float(seconds))), flush=True)


if __name__ == "__main__":
    main()
