#!/usr/bin/env python3
"""Prints small partitions, seed 42, written anew from the descriptions in partition.hpp.

Philox and the draws follow common/base/rng.hpp; stream keys (XXH3-64) are given by number.
"""
import math

M = 0xFFFFFFFF
KEYS = {  # hash of "partition" with seed 42, used as seed for the name
    "iid": 0x1F1030534E4281FD,
    "shards": 0xAB82B1F3883DA6E5,
    "dirichlet": 0x4926626E99DA5B51,
    "hold-out": 0xB9C828534DDD4027,
}


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & M, (p0 >> 32) ^ c[3] ^ k[1], p0 & M]
        k = [(k[0] + 0x9E3779B9) & M, (k[1] + 0xBB67AE85) & M]
    return c


class Rng:
    def __init__(self, key):
        self.key, self.block, self.words = (key & M, key >> 32), 0, []

    def u32(self):
        if not self.words:
            self.words = philox((self.block & M, self.block >> 32, 0, 0), self.key)
            self.block += 1
        return self.words.pop(0)

    def u64(self):
        low = self.u32()
        return self.u32() << 32 | low

    def below(self, bound):
        while True:
            product = self.u64() * bound
            if product & (2**64 - 1) >= (2**64 - bound) % bound:
                return product >> 64

    def uniform(self):
        return (self.u64() >> 11) * 2.0**-53

    def normal(self):
        u = 1.0 - self.uniform()
        v = self.uniform()
        return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)

    def gamma(self, shape):
        if shape < 1.0:
            boosted = self.gamma(shape + 1.0)
            return boosted * (1.0 - self.uniform()) ** (1.0 / shape)
        d = shape - 1.0 / 3.0
        c = 1.0 / math.sqrt(9.0 * d)
        while True:
            x = self.normal()
            v = (1.0 + c * x) ** 3
            if v <= 0.0:
                continue
            u = 1.0 - self.uniform()
            if math.log(u) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
                return d * v

    def shuffle(self, items):
        for i in range(len(items), 1, -1):
            j = self.below(i)
            items[i - 1], items[j] = items[j], items[i - 1]
        return items


def pieces(rows, count):
    return [rows[len(rows) * i // count:len(rows) * (i + 1) // count] for i in range(count)]


def iid(examples, clients):
    rows = Rng(KEYS["iid"]).shuffle(list(range(examples)))
    return [sorted(p) for p in pieces(rows, clients)]


def shards(labels, clients, each):
    rng, queue, lists = Rng(KEYS["shards"]), [], []
    classes = sorted(set(labels))
    for _ in range(clients):
        mine = []
        while len(mine) < each:
            fresh = next((c for c in queue if c not in mine), None)
            if fresh is None:
                queue += rng.shuffle(list(classes))
                continue
            mine.append(fresh)
            queue.remove(fresh)
        lists.append(mine)
    parts = [[] for _ in range(clients)]
    for c in classes:
        takers = [i for i in range(clients) if c in lists[i]]
        rows = rng.shuffle([i for i, label in enumerate(labels) if label == c])
        for taker, rows in zip(takers, pieces(rows, len(takers))):
            parts[taker] += rows
    return [sorted(p) for p in parts]


def dirichlet(labels, clients, alpha, least):
    rng = Rng(KEYS["dirichlet"])
    while True:
        parts = [[] for _ in range(clients)]
        for c in sorted(set(labels)):
            rows = rng.shuffle([i for i, label in enumerate(labels) if label == c])
            drawn = [rng.gamma(alpha) for _ in range(clients)]
            p = [0 if len(parts[i]) >= len(labels) / clients else drawn[i] for i in range(clients)]
            total, first = sum(p), 0
            cumulated = 0.0
            last = max(i for i in range(clients) if p[i] > 0)
            for i in range(last + 1):
                cumulated += p[i] / total
                end = len(rows) if i == last else min(len(rows), int(cumulated * len(rows)))
                parts[i] += rows[first:end]
                first = end
        if min(map(len, parts)) >= least:
            return [sorted(p) for p in parts]


labels = [0] * 4 + [1] * 4 + [2] * 4
print("iid", iid(10, 3))
print("shards", shards(labels, 3, 2))
print("dirichlet", dirichlet(labels, 3, 0.5, 1))
print("hold-out", sorted(Rng(KEYS["hold-out"]).shuffle(list(range(8)))[:2]))
