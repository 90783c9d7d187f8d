#!/usr/bin/env python3
"""Compresses and folds updates, and looks at all of them at once, as NumPy users write it: for
comparison with bench_codec and bench_robust. The same orders: lines `NAME ELEMENTS SECONDS`, each
answered with one line of JSON."""
import json
import sys
import time

import numpy as np

BUCKET = 512
UPDATES = 8


def quantise(bits):
    def make(x, rng):
        rows = x.reshape(-1, BUCKET)
        levels = 2 ** bits - 1

        def run():
            low = rows.min(axis=1, keepdims=True)
            step = (rows.max(axis=1, keepdims=True) - low) / levels
            u = (rows - low) / step
            whole = np.floor(u)
            up = rng.random(rows.shape, dtype=np.float32) < u - whole
            codes = (whole + up).astype(np.uint8)
            if bits == 4:
                codes = codes[:, ::2] | codes[:, 1::2] << 4
            return codes
        return run, 1
    return make


def fold_codes(bits):
    def make(x, rng):
        shape = (x.size // BUCKET, BUCKET)
        codes = [rng.integers(0, 2 ** bits, shape, dtype=np.uint8) for _ in range(UPDATES)]
        if bits == 4:
            codes = [c[:, ::2] | c[:, 1::2] << 4 for c in codes]
        low = np.full((shape[0], 1), -0.5, np.float32)
        step = np.full((shape[0], 1), 1.0 / 255, np.float32)

        def run():
            total = np.zeros(shape, np.float64)
            for code in codes:
                if bits == 4:
                    full = np.empty(shape, np.uint8)
                    full[:, ::2] = code & 15
                    full[:, 1::2] = code >> 4
                    code = full
                total += 300.0 * (low + step * code)
            return total
        return run, UPDATES
    return make


def fold_f32(x, rng):
    updates = [rng.random(x.size, dtype=np.float32) for _ in range(UPDATES)]

    def run():
        total = np.zeros(x.size, np.float64)
        for update in updates:
            total += 300.0 * update
        return total
    return run, UPDATES


def butterflies(rows):
    """Of each row, in the library's few lines."""
    width = rows.shape[1]
    h = 1
    while h < width:
        pairs = rows.reshape(-1, width // (2 * h), 2, h)
        rows = np.stack((pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]), axis=2)
        rows = rows.reshape(-1, width)
        h *= 2
    return rows


def hadamard(width):
    def make(x, rng):
        signs = np.where(rng.random(x.size) < 0.5, -1, 1).astype(np.float32)
        size = width or 1 << (x.size.bit_length() - 1)
        return lambda: butterflies((x * signs)[:x.size // size * size].reshape(-1, size)), 1
    return make


def top_k(x, rng):
    k = x.size // 100
    return lambda: np.sort(np.argpartition(np.abs(x), -k)[-k:]), 1


def of_all(count, rule):
    def make(x, rng):
        updates = rng.random((count, x.size), dtype=np.float32)
        updates -= 0.5
        return lambda: rule(updates), count
    return make


def median(updates):
    return np.median(updates, axis=0)


def trimmed_mean(updates):
    """As Flower's aggregate_trimmed_avg and scipy.stats.trim_mean."""
    count = len(updates)
    cut = count // 10
    parts = np.partition(updates, (cut, count - cut - 1), axis=0)
    return np.mean(parts[cut:count - cut], axis=0)


def distances(updates):
    """As Flower's Krum."""
    return [[float(np.linalg.norm(a - b)) ** 2 for b in updates[:i]]
            for i, a in enumerate(updates)]


ORDERS = {
    "quantise8": quantise(8), "quantise4": quantise(4), "fold8": fold_codes(8),
    "fold4": fold_codes(4), "fold_f32": fold_f32, "hadamard": hadamard(0),
    "hadamard_8192": hadamard(8192), "top_k_1%": top_k,
    "median": of_all(50, median), "median_10": of_all(10, median),
    "median_staged": of_all(50, median), "trimmed_mean": of_all(50, trimmed_mean),
    "gram": of_all(50, distances), "gram_staged": of_all(50, distances),
    "gram_blas": of_all(50, lambda updates: updates @ updates.T)}


def answer(name, elements, seconds):
    if name not in ORDERS:
        return {}
    rng = np.random.default_rng(1)
    x = rng.standard_normal(elements, dtype=np.float32)
    run, updates = ORDERS[name](x, rng)
    best = float("inf")
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or best == float("inf"):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return {"seconds": best, "gb_per_s": 4e-9 * elements * updates / best,
            "version": np.__version__}


def main():
    for line in sys.stdin:
        name, elements, seconds = line.split()
        print(json.dumps(answer(name, int(elements), float(seconds))), flush=True)


if __name__ == "__main__":
    main()
