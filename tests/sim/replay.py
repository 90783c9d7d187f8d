#!/usr/bin/env python3
"""Replays every line of a file of seeds with chorus_sim.

  replay.py CHORUS_SIM SEEDS
"""
import subprocess
import sys


def main():
    program, seeds = sys.argv[1:]
    failed = []
    with open(seeds, encoding="utf-8") as lines:
        histories = [line.split("#")[0].split() for line in lines]
    histories = [arguments for arguments in histories if arguments]
    for arguments in histories:
        run = subprocess.run([program, *arguments], capture_output=True, check=False, text=True)
        if run.returncode != 0:
            failed.append(" ".join(arguments))
            print(run.stdout, run.stderr)
    print(f"{len(histories)} histories, {len(failed)} failed", *failed, sep="\n  ")
    if not histories:
        sys.exit("there are no histories")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
