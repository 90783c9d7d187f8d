#!/usr/bin/env python3
"""Holds the trainer against the PyTorch that is installed here, not against numbers of another day.

  /usr/bin/python3 tests/golden/compare_torch_live.py build/…/unit_client_train

Computes anew what make_torch_models.py keeps in models.safetensors, and runs the tests of parity on
it. Exit code 77 without PyTorch.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).parent / "make_torch_models.py"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: compare_torch_live.py PROGRAM, which is unit_client_train")
    try:
        import torch
    except ImportError:
        print("PyTorch (Debian's python3-torch) is not installed: nothing is compared")
        sys.exit(77)
    print("PyTorch", torch.__version__)
    with tempfile.TemporaryDirectory() as folder:
        numbers = pathlib.Path(folder) / "models.safetensors"
        subprocess.run([sys.executable, SCRIPT, "--out", numbers], check=True)
        tests = subprocess.run([sys.argv[1], "--gtest_filter=Models/Parity.*"], check=False,
                               env=dict(os.environ, CHORUS_TORCH_MODELS=str(numbers)))
    sys.exit(tests.returncode)


if __name__ == "__main__":
    main()
