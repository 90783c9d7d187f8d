"""load.py TRAINED.safetensors DIGITS.csv.gz [FOLDER]: what the federation learned, in PyTorch.

With FOLDER, inputs and outputs of the first examples are written there as float32, to compare.
"""
import json
import pathlib
import struct
import sys

import net
import numpy as np
import torch


def load_file(path):
    """What safetensors.torch.load_file does, for float32; use that where it is installed."""
    raw = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8:8 + length]), raw[8 + length:]
    return {name: torch.frombuffer(bytearray(data[slice(*entry["data_offsets"])]),
                                   dtype=torch.float32).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


model = net.digits()
# Batch norm's counter of batches is not kept: all else must be there.
missing, unexpected = model.load_state_dict(load_file(sys.argv[1]), strict=False)
assert all(name.endswith("num_batches_tracked") for name in missing) and not unexpected
model.eval()

table = np.loadtxt(sys.argv[2], delimiter=",", dtype=np.float32)
images = torch.from_numpy(table[:, :-1] / 16).reshape(-1, 1, 8, 8)
labels = torch.from_numpy(table[:, -1]).long()
with torch.no_grad():
    outputs = model(images)
print(f"accuracy {(outputs.argmax(1) == labels).float().mean():.4f}")
if len(sys.argv) > 3:
    folder = pathlib.Path(sys.argv[3])
    images[:100].numpy().tofile(folder / "inputs.f32")
    outputs[:100].numpy().tofile(folder / "outputs.f32")
