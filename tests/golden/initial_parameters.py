#!/usr/bin/env python3
"""Prints the first and last weight of dense1 (3 x 4), seed 42, for tests of initial_parameters.

Philox 4x32-10 written from the paper (Salmon et al. 2011), bounds from He et al. 2015. The stream
key is the XXH3-64 hash of "initial parameters" with seed 42, used as seed for "dense1.weight".
"""
import struct

KEY = 0x33814B97E4B9605F
M = 0xFFFFFFFF


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & M, (p0 >> 32) ^ c[3] ^ k[1], p0 & M]
        k = [(k[0] + 0x9E3779B9) & M, (k[1] + 0xBB67AE85) & M]
    return c


words = [w for block in range(6) for w in philox((block, 0, 0, 0), (KEY & M, KEY >> 32))]
for i in (0, 11):
    u = (words[2 * i] | words[2 * i + 1] << 32) >> 11
    value = (2.0 * (u * 2.0**-53) - 1.0) * (6.0 / 4) ** 0.5
    print(i, repr(struct.unpack("f", struct.pack("f", value))[0]))
