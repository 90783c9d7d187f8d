#!/usr/bin/env python3
"""Rows of sizes.py and of bench_footprint as tables, and as one JSON file."""
import argparse
import json

LIBRARIES = ("chorus-core", "chorus")
GROUPS = ("chorus", "brought", "system", "onednn")


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def size_table(rows):
    libraries = [n for n in LIBRARIES if any(row["library"] == n for row in rows)]
    files = {}
    for row in rows:
        files.setdefault((GROUPS.index(row["group"]), row["file"]), {})[row["library"]] = row
    print(f"{'bytes, stripped':24}{'group':10}" + "".join(f"{'lib' + n:>16}" for n in libraries))
    for (group, file), by in sorted(files.items()):
        cells = (f"{by[n]['bytes']:,}" if n in by else "" for n in libraries)
        print(f"{file:24}{GROUPS[group]:10}" + "".join(f"{cell:>16}" for cell in cells))
    for title, groups in (("library and brought", GROUPS[:2]), ("all but oneDNN", GROUPS[:3])):
        sums = [sum(r["bytes"] for r in rows if r["library"] == n and r["group"] in groups)
                for n in libraries]
        print(f"{title:34}" + "".join(f"{value:>16,}" for value in sums))


def memory_table(rows):
    if rows:
        print(f"\n{'memory':44}{'MiB':>8}")
    for row in rows:
        print(f"{row['name']:44}{row['value']:8.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes")
    parser.add_argument("memory")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    sizes, memory = read(arguments.sizes), read(arguments.memory)
    size_table(sizes)
    memory_table(memory)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"sizes": sizes, "memory": memory}, file, indent=1)


if __name__ == "__main__":
    main()
