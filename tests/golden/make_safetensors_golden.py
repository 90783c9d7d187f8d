#!/usr/bin/env python3
"""Writes tiny.safetensors and foreign.safetensors from the published description of the format.

https://github.com/huggingface/safetensors#format — no package is needed, so that the files do not
depend on the code under test or on anybody's serialiser. To check with the reference package:

    python3 -c 'import safetensors.numpy as s; print(s.load_file("tiny.safetensors"))'
"""
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent


def write(name, tensors, metadata, align, key_order):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    entries = {}
    for tensor, shape, values in tensors:
        body = struct.pack(f"<{len(values)}f", *values)
        entries[tensor] = {"dtype": "F32", "shape": shape,
                           "data_offsets": [len(data), len(data) + len(body)]}
        data += body
    for tensor in key_order(list(entries)):
        header[tensor] = entries[tensor]
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % align)
    (HERE / name).write_bytes(struct.pack("<Q", len(text)) + text + data)


# As Chorus writes: metadata first and sorted, tensors in data order, data at a multiple of 64.
write("tiny.safetensors",
      [("dense1.weight", [2, 3], [0.5, -1.0, 2.0, 3.25, -0.125, 1e-3]),
       ("dense1.bias", [2], [0.0, -7.5])],
      {"chorus.model": "{}", "note": "Grüße"}, 64, lambda names: names)

# As others may write: keys in another order than the data, a scalar, no metadata, no padding.
write("foreign.safetensors",
      [("scale", [], [4.0]), ("b", [3], [1.0, 2.0, 3.0]), ("a", [1, 1, 2], [-1.0, -2.0])],
      None, 1, sorted)
