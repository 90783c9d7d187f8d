"""Programs that answer orders, so that a benchmark and what it is compared with take turns."""
import json
import os
import subprocess
import sys


class Peer:
    """A program that reads an order a line and answers each with one line of JSON."""

    def __init__(self, command, threads):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive")
        self.name = command[-1]
        self.process = subprocess.Popen([*command, "--threads", str(threads)], env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.name} gave no answer to '{order}'")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def rate(answer):
    return answer.get("gb_per_s", 0.0)


def best_of(turns, orders):
    """The fastest answer to each (peer, order) of a list, which take turns; {} where there is no
    peer, or none that knows the order."""
    best = [{} for _ in orders]
    for _ in range(turns):
        for at, (peer, order) in enumerate(orders):
            if peer:
                best[at] = max(best[at], peer.ask(order), key=rate)
    return best


def numpy_peer(script):
    """NumPy's side of a comparison, None where Debian's python3-numpy is not installed."""
    if imports("numpy"):
        return Peer(["/usr/bin/python3", str(script)], 1)
    print("Debian's python3-numpy is not installed; no comparison", file=sys.stderr)
    return None


def imports(module):
    """Whether Debian's Python has a module."""
    return subprocess.run(["/usr/bin/python3", "-c", f"import {module}"],
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def numbers(text):
    return [int(part) for part in text.split(",")]
