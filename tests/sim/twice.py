#!/usr/bin/env python3
"""Whether one seed is one history: plays some twice and compares the hashes of all that happened.

  twice.py CHORUS_SIM [ANOTHER_CHORUS_SIM]    another build of it, by another compiler for instance
"""
import subprocess
import sys

PROFILES = ("network", "disk", "all")
SEEDS = 60


def traces(program, profile):
    command = [program, "--seeds", str(SEEDS), "--faults", profile, "--trace"]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    return [line for line in run.stdout.splitlines() if " trace " in line]


def main():
    programs = sys.argv[1:3] * (2 if len(sys.argv) == 2 else 1)
    differ = []
    for profile in PROFILES:
        first, second = (traces(program, profile) for program in programs)
        if len(first) != SEEDS or len(second) != SEEDS:
            sys.exit(f"{profile}: expected {SEEDS} traces, got {len(first)} and {len(second)}")
        differ += [f"{profile}: {a} / {b}" for a, b in zip(first, second) if a != b]
    print(*differ, f"{len(PROFILES) * SEEDS} histories, {len(differ)} differ", sep="\n")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
