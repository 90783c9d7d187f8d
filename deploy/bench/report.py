#!/usr/bin/env python3
"""Turns benchmark rows (one JSON object per line) into a table and one JSON file."""
import argparse
import json
import os
import platform
import re
import sys

FIELDS = ("name", "value", "unit", "limit", "limit_name", "peer", "peer_name", "ratio")


def first_match(path, pattern, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                found = re.match(pattern, line)
                if found:
                    return found.group(1).strip()
    except OSError:
        pass
    return default


def machine(build):
    """What a figure depends on, besides the code."""
    memory_kb = int(first_match("/proc/meminfo", r"MemTotal:\s+(\d+)", "0"))
    cache = os.path.join(build, "CMakeCache.txt")
    version_file = ""
    for folder, _, files in os.walk(os.path.join(build, "CMakeFiles")):
        if "CMakeCXXCompiler.cmake" in files:
            version_file = os.path.join(folder, "CMakeCXXCompiler.cmake")
            break
    compiler = first_match(version_file, r'set\(CMAKE_CXX_COMPILER_ID "(.*)"\)')
    version = first_match(version_file, r'set\(CMAKE_CXX_COMPILER_VERSION "(.*)"\)')
    return {
        "cpu": first_match("/proc/cpuinfo", r"model name\s*:\s*(.*)", platform.machine()),
        "cores": os.cpu_count(),
        "memory_gb": round(memory_kb / 1024 / 1024, 1),
        "os": first_match("/etc/os-release", r'PRETTY_NAME="(.*)"'),
        "kernel": platform.release(),
        "compiler": f"{compiler} {version}".strip(),
        "build_type": first_match(cache, r"CMAKE_BUILD_TYPE:\w+=(.*)"),
    }


def read_rows(path):
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                given = json.loads(line)
                row = {field: given.get(field) for field in FIELDS}
                row["value"] = float(row["value"])
            except (ValueError, TypeError, AttributeError) as error:
                sys.exit(f"report.py: line {number} is no row: {line.strip()[:100]!r} ({error})")
            base = row["limit"] if row["limit"] else row["peer"]
            if row["ratio"] is None and base:
                row["ratio"] = row["value"] / base
            rows.append(row)
    if not rows:
        sys.exit("report.py: the benchmark printed no rows")
    return rows


def shown(value):
    return "" if value is None else f"{value:.4g}"


def print_table(rows):
    head = ("name", "value", "unit", "limit", "peer", "ratio")
    lines = [head]
    for row in rows:
        limit = " ".join(filter(None, (shown(row["limit"]), row["limit_name"])))
        peer = " ".join(filter(None, (shown(row["peer"]), row["peer_name"])))
        figures = (shown(row["value"]), row["unit"] or "", limit, peer, shown(row["ratio"]))
        lines.append((row["name"], *figures))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows")
    parser.add_argument("--build", required=True)
    parser.add_argument("--json")
    options = parser.parse_args()
    rows = read_rows(options.rows)
    print_table(rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine(options.build), "rows": rows}, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
