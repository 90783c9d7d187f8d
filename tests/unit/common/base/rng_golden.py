"""Prints the golden numbers of rng_test.cpp: Philox 4x32-10 and Lemire's bounded draw in Python."""

MASK32 = 0xFFFFFFFF


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & MASK32, (p0 >> 32) ^ c[3] ^ k[1], p0 & MASK32]
        k = [(k[0] + 0x9E3779B9) & MASK32, (k[1] + 0xBB67AE85) & MASK32]
    return c


class Rng:
    def __init__(self, key):
        self.key, self.block, self.words = [key & MASK32, key >> 32], 0, []

    def u32(self):
        if not self.words:
            self.words = philox([self.block & MASK32, self.block >> 32, 0, 0], self.key)
            self.block += 1
        return self.words.pop(0)

    def u64(self):
        low = self.u32()
        return self.u32() << 32 | low

    def below(self, bound):
        threshold = (2**64 - bound) % bound
        while True:
            product = self.u64() * bound
            if product % 2**64 >= threshold:
                return product >> 64

    def uniform(self):
        return (self.u64() >> 11) * 2.0**-53


rng = Rng(0)
print("words", [hex(rng.u32()) for _ in range(6)])
rng = Rng(0x123456789ABCDEF0)
print("u64", [hex(rng.u64()) for _ in range(3)])
rng = Rng(42)
print("uniform", [rng.uniform().hex() for _ in range(3)])
rng = Rng(42)
print("below", [rng.below(1000) for _ in range(5)], rng.below(3 << 62))
rng, items = Rng(42), list(range(10))
for i in range(10, 1, -1):
    j = rng.below(i)
    items[i - 1], items[j] = items[j], items[i - 1]
print("shuffle", items)
