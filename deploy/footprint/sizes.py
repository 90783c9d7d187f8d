#!/usr/bin/env python3
"""What a device needs on its disk: the two libraries stripped, and everything that they load.

    sizes.py --core FILE [--client FILE] [--strip PROGRAM] [--check]

Prints one row per line as JSON: {"library", "file", "bytes", "group"}. Groups:

    chorus   the library itself, stripped
    brought  what a device has for Chorus' sake only
    system   what a Linux system with a package manager, a TLS library and C++ programs has:
             OpenSSL, zlib and zstd (dpkg and rpm load both), the compiler's runtime, the C library
    onednn   oneDNN and what it loads

With --check nothing is printed but what is beyond a limit (then exit code 1).
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

MIB = 1 << 20
# Of the library and all that it brings along.
COUNTED = ("chorus", "brought")
LIMITS = {"chorus-core": 4 * MIB, "chorus": 6 * MIB}
ONEDNN = r"libdnnl|libOpenCL"
SYSTEM = r"libssl|libcrypto|libz\.|libzstd\.|libstdc\+\+|libgcc_s|libgomp|libm\.|libc\.|ld-linux"


def group_of(name):
    if re.match(ONEDNN, name):
        return "onednn"
    return "system" if re.match(SYSTEM, name) else "brought"


def stripped_bytes(path, strip):
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "library")
        shutil.copyfile(path, copy)
        subprocess.run([strip, "--strip-unneeded", copy], check=True)
        return os.path.getsize(copy)


def loaded(path):
    """{"libz.so.1": "/lib/…/libz.so.1"} of everything that the loader would load."""
    found = {}
    for line in subprocess.run(["ldd", path], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.splitlines():
        match = re.match(r"\s*(\S+) => (/\S+)|\s*(/\S+)", line)
        if match:
            file = match[2] or match[3]
            found[match[1] or os.path.basename(file)] = file
    return found


def rows_of(name, path, strip):
    rows = [{"library": name, "file": f"lib{name}.so", "bytes": stripped_bytes(path, strip),
             "group": "chorus"}]
    for file, where in loaded(path).items():
        rows.append({"library": name, "file": file, "group": group_of(file),
                     "bytes": os.path.getsize(os.path.realpath(where))})
    return rows


def beyond(name, rows):
    used = sum(row["bytes"] for row in rows if row["group"] in COUNTED)
    if used <= LIMITS[name]:
        return None
    return (f"lib{name}.so and what it brings along have {used} bytes, "
            f"{used - LIMITS[name]} beyond the limit of {LIMITS[name]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--core", required=True)
    parser.add_argument("--client")
    parser.add_argument("--strip", default="strip")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    problems = []
    for name, path in (("chorus-core", arguments.core), ("chorus", arguments.client)):
        if path is None:
            continue
        rows = rows_of(name, path, arguments.strip)
        problems.append(beyond(name, rows))
        if not arguments.check:
            for row in rows:
                print(json.dumps(row))
    if arguments.check:
        for problem in filter(None, problems):
            print(problem)
        sys.exit(any(problems))


if __name__ == "__main__":
    main()
