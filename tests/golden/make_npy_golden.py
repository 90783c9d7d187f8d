#!/usr/bin/env python3
"""Writes npy/*: arrays as NumPy itself writes them, for tests of the reader.

    /usr/bin/python3 tests/golden/make_npy_golden.py        (Debian: python3-numpy)

x[i, j, k] = (100 i + 10 j + k) / 4 - 20, shape (3, 2, 4); y = [2, 0, 1]; who = [7, 7, 300].
"""
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent / "npy"


def save(name, array, version):
    with open(HERE / name, "wb") as file:
        np.lib.format.write_array(file, array, version=version)


i, j, k = np.indices((3, 2, 4))
x = ((100 * i + 10 * j + k) / 4 - 20).astype("<f8")
y = np.array([2, 0, 1])
who = np.array([7, 7, 300])
HERE.mkdir(exist_ok=True)
save("x_f4_v1.npy", x.astype("<f4"), (1, 0))
save("x_f8_fortran_v2.npy", np.asfortranarray(x), (2, 0))
save("x_f4_fortran_v3.npy", np.asfortranarray(x.astype("<f4")), (3, 0))
for kind in ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8"):
    save(f"y_{kind[1:]}.npy", y.astype(kind), (1, 0))
    save(f"z_{kind[1:]}.npy", (x * 0.1 + 3).astype(kind), (1, 0))
save("x_big_endian.npy", x.astype(">f4"), (1, 0))
save("x_bool.npy", x > 0, (1, 0))
save("x_structured.npy", np.zeros((3, 2), dtype=[("a", "<f4"), ("b", "<i4")]), (1, 0))
np.savez(HERE / "stored.npz", x=x.astype("<f4"), y=y.astype("|u1"), who=who.astype("<u2"))
np.savez_compressed(HERE / "deflated.npz", x=np.asfortranarray(x), y=y, who=who)
