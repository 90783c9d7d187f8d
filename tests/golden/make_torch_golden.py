#!/usr/bin/env python3
"""Writes torch.safetensors: what PyTorch computes on the reference network of the trainer's tests.

Run with Debian's python3-torch (1.13): /usr/bin/python3 tests/golden/make_torch_golden.py

Everything is computed in double and rounded to float32 at the end, so that the file holds the true
values and the tests see only the rounding of the trainer itself. Content, all float32:

  features (20, 2, 8, 9)   labels (20)       the examples
  parameters (P)                             where training starts, PyTorch's order
  outputs (20, 5)   loss ()   gradient (P)   at the start, mean loss over all examples
  losses (12)   trained (P)                  4 epochs, batches of 8, 8, 4 in order; SGD with
                                             lr 0.05, momentum 0.9, weight decay 5e-4
"""
import json
import pathlib
import struct

import torch
from torch import nn

torch.manual_seed(20240229)
torch.set_default_dtype(torch.float64)

network = nn.Sequential(
    nn.Conv2d(2, 5, 3, stride=1, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2),
    nn.Conv2d(5, 6, 2, stride=1, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
    nn.Flatten(), nn.Linear(24, 9), nn.ReLU(), nn.Linear(9, 5))
loss_of = nn.CrossEntropyLoss()


def single(tensor):
    return tensor.detach().to(torch.float32)


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors])


with torch.no_grad():  # start from values that float32 holds exactly
    for parameter in network.parameters():
        parameter.copy_(single(parameter).double())
features = single(torch.randn(20, 2, 8, 9)).double()
labels = torch.randint(0, 5, (20,))
tensors = {"features": features, "labels": labels, "parameters": flat(network.parameters())}

outputs = network(features)
loss = loss_of(outputs, labels)
loss.backward()
tensors.update(outputs=outputs, loss=loss,
               gradient=flat([p.grad for p in network.parameters()]))

sgd = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
losses = []
for epoch in range(4):
    for batch in (slice(0, 8), slice(8, 16), slice(16, 20)):
        sgd.zero_grad()
        loss = loss_of(network(features[batch]), labels[batch])
        loss.backward()
        sgd.step()
        losses.append(loss.item())
tensors.update(losses=torch.tensor(losses), trained=flat(network.parameters()))

header, data = {"__metadata__": {"torch": torch.__version__}}, b""
for name, tensor in tensors.items():
    values = single(tensor).reshape(-1).tolist()
    body = struct.pack(f"<{len(values)}f", *values)
    header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                    "data_offsets": [len(data), len(data) + len(body)]}
    data += body
text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-(8 + len(text)) % 64)
path = pathlib.Path(__file__).parent / "torch.safetensors"
path.write_bytes(struct.pack("<Q", len(text)) + text + data)
print(path, "loss", loss.item(), "losses", losses[0], losses[-1])
