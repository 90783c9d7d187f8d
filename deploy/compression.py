#!/usr/bin/env python3
"""Accuracy against bytes: whole federations on real data, one codec after another.

  deploy/compression.py [DATA…] [--codecs NAME…] [--seeds N] [--json FILE]

Each run is a job of chorusd with real devices (chorus-agent) over TLS: the same devices, data and
seeds for every codec. What is written down: bytes up and down, rounds until the devices' own
hold-out examples reach the target, and the final accuracy on examples that no device has. With
--json the rows are added to those of FILE, so that a table can be made in parts; rows that are
there already are not run again: with --json docs/compression.json the table of docs/compression.md
grows, and --codecs of rows that are there prints it.

DATA: fashion-mnist, human-activity, shakespeare (all). Needs CHORUS_DATA_DIR, and a release build
(CHORUS_BUILD=DIR: another one). The whole table takes about two hours on two cores.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


@dataclasses.dataclass
class Data:
    devices: int
    rounds: int
    target: float
    train: list  # arguments of chorus-agent run
    test: list  # of chorus-agent evaluate; empty: those of train, with the test share


def data_sets(folder):
    mnist = folder / "fashion-mnist"
    har = folder / "uci-har"

    def images(part):
        return ["--images", f"{mnist}/{part}-images-idx3-ubyte.gz",
                "--labels", f"{mnist}/{part}-labels-idx1-ubyte.gz", "--shape", "1x28x28"]

    return {
        "fashion-mnist": Data(
            10, 30, 0.80, images("train") + ["--partition", "dirichlet:0.5"], images("t10k")),
        "human-activity": Data(
            21, 40, 0.80,
            ["--npy", f"{har}/har_X_float32_10299x9x128.npy.gz",
             "--labels", f"{har}/har_y_uint8.npy.gz",
             "--partition", f"column:{har}/har_subject_uint8.npy.gz",
             "--test-keys", "2,4,9,10,12,13,18,20,24"], []),
        "shakespeare": Data(
            10, 40, 0.40,
            ["--text", f"{folder}/tiny-shakespeare/input.txt", "--text-window", "80",
             "--text-stride", "80", "--text-sequence", "--partition", "column:role",
             "--test-fraction", "0.1"], []),
    }


ATTEMPTS = 6
ADAPT = "\n[compress.adapt]\nevery = 5\nwindow = 3\n"
CODECS = {
    "f32": "",
    "lossless": 'codec = "f32"\nentropy = true\n',
    "bf16": 'codec = "bf16"\n',
    "uniform 8": 'codec = "uniform"\nbits = 8\n',
    "uniform 4": 'codec = "uniform"\nbits = 4\n',
    "uniform 2": 'codec = "uniform"\nbits = 2\n',
    "uniform 4 adapted": 'codec = "uniform"\nbits = 4\n' + ADAPT,
    "qsgd 4 entropy": 'codec = "qsgd"\nbits = 4\nentropy = true\n',
    "rotated 4": 'codec = "rotated"\nbits = 4\nbucket = 1024\n',
    "rotated 2": 'codec = "rotated"\nbits = 2\nbucket = 1024\n',
    "rotated 2 entropy": 'codec = "rotated"\nbits = 2\nbucket = 8192\nentropy = true\n',
    "rotated 2 feedback": 'codec = "rotated"\nbits = 2\nbucket = 8192\nleast_error = true\n'
                          'entropy = true\n',
    "rotated 1": 'codec = "rotated"\nbits = 1\nbucket = 1024\n',
    "sign": 'codec = "sign"\n',
    "top_k 5 %": 'codec = "top_k"\ndensity = 0.05\n',
    "top_k 1 %": 'codec = "top_k"\ndensity = 0.01\n',
    "top_k 5 % adapted": 'codec = "top_k"\ndensity = 0.05\n' + ADAPT,
    "top_k 5 % difference": 'codec = "top_k"\ndensity = 0.05\nfeedback = "difference"\n'
                            '[strategy]\nweighting = "uniform"\n',
    "top_k 1 % momentum": 'codec = "top_k"\ndensity = 0.01\nmomentum = 0.9\n',
    "ternary 2 %": 'codec = "ternary"\ndensity = 0.02\n',
    "low_rank 4": 'codec = "low_rank"\nrank = 4\n',
    "low_rank 4 adapted": 'codec = "low_rank"\nrank = 4\n' + ADAPT,
    "subspace 4": 'codec = "subspace"\nrank = 4\n',
    "subspace 8": 'codec = "subspace"\nrank = 8\n',
    "subspace 16": 'codec = "subspace"\nrank = 16\n',
    "down bf16 model": '[compress.down]\nsends = "model"\ncodec = "bf16"\n',
    "down uniform 8 model": '[compress.down]\nsends = "model"\ncodec = "uniform"\n',
    "down rotated 4": '[compress.down]\ncodec = "rotated"\nbits = 4\n',
    "down rotated 2": '[compress.down]\ncodec = "rotated"\nbits = 2\n',
    "rotated 2 both ways": 'codec = "rotated"\nbits = 2\nbucket = 8192\nentropy = true\n'
                           '[compress.down]\ncodec = "rotated"\nbits = 2\n',
}


class Programs:
    def __init__(self, build):
        self.chorus = build / "admin/chorus"
        self.chorusd = build / "server/chorusd"
        self.agent = build / "client/agent/chorus-agent"
        for program in (self.chorus, self.chorusd, self.agent):
            if not program.is_file():
                sys.exit(f"compression.py: {program} is missing: build the release preset")


class Federation:
    """A daemon and its devices, for all jobs of one data set and seed."""

    def __init__(self, programs, data, seed, folder):
        self.programs, self.data, self.seed, self.folder = programs, data, seed, folder
        self.processes = []
        self.environment = dict(os.environ, OMP_NUM_THREADS="1",
                                CHORUS_FEDERATION=str(folder / "federation"))

    def __enter__(self):
        self.command(self.programs.chorus, "init", self.folder / "federation", "--name", "bytes",
                     "--host", "127.0.0.1", "--port", "0")
        port = self.folder / "port"
        self.start("chorusd", self.programs.chorusd, "--config",
                   self.folder / "federation/server.toml", "--port-file", port)
        until = time.monotonic() + 30
        while not (port.is_file() and port.read_text().strip()):
            if time.monotonic() > until:
                sys.exit("compression.py: the daemon does not listen")
            time.sleep(0.05)
        self.environment["CHORUS_SERVER"] = "127.0.0.1:" + port.read_text().strip()
        token = self.admin("enroll", "--uses", str(self.data.devices))["token"]
        for part in range(self.data.devices):
            name = f"device-{part:02}"
            state = self.folder / name
            self.command(self.programs.agent, "enroll", "--token", token, "--state", state,
                         "--name", name)
            self.start(name, self.programs.agent, "run", "--server",
                       self.environment["CHORUS_SERVER"], "--state", state, *self.data.train,
                       "--parts", self.data.devices, "--part", part, "--seed", self.seed,
                       "--hold-out", "0.1")
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()

    def start(self, name, *command):
        with open(self.folder / f"{name}.log", "wb") as log:
            self.processes.append(subprocess.Popen(
                [str(word) for word in command], stdout=log, stderr=log, env=self.environment))

    def command(self, *command):
        words = [str(word) for word in command]
        for attempt in range(ATTEMPTS):
            done = subprocess.run(words, capture_output=True, text=True, env=self.environment)
            if done.returncode == 0:
                return done.stdout
            if '"may_retry":true' not in done.stdout + done.stderr:  # the machine may be busy
                break
            time.sleep(attempt)
        sys.exit(f"compression.py: {' '.join(words)}\n{done.stdout}{done.stderr}")

    def admin(self, *words):
        return json.loads(self.command(self.programs.chorus, "--json", *words))

    def run(self, name, job_text):
        file = self.folder / f"{name}.toml"
        file.write_text(job_text)
        begun = time.monotonic()
        self.admin("job", "submit", file)
        while True:
            for process in self.processes:
                if process.poll() is not None:
                    sys.exit(f"compression.py: a process ended; see {self.folder}")
            summary = self.admin("job", "show", name)["summary"]
            if summary["state"] == "finished":
                break
            if summary["state"] != "running":
                sys.exit(f"compression.py: the job is {summary['state']}: {summary['status']}")
            time.sleep(0.5)
        seconds = time.monotonic() - begun
        rounds = self.admin("round", "list", name, "--last", "200")["rounds"]
        model = self.folder / f"{name}.safetensors"
        self.admin("model", "export", "--job", name, "--output", model)
        test = self.data.test or self.data.train + ["--seed", self.seed]
        measured = json.loads(self.command(
            self.programs.agent, "evaluate", "--model", model, *test, "--json"))
        return rounds, measured["accuracy"], seconds


def job_text(data_name, data, codec, name, seed):
    compress = CODECS[codec]
    return f"""[job]
name = "{name}"
seed = {seed}
rounds = {data.rounds}
{(ROOT / "deploy/compression" / (data_name + ".toml")).read_text()}
[pace]
cohort = {data.devices}
deadline = "30m"
[evaluation]
fraction = 0.5
every = 2
deadline = "10m"
{"[compress]" if compress else ""}
{compress}"""


def row_of(data_name, data, codec, seed, rounds, accuracy, seconds):
    def reaches(one):
        metrics = {metric["name"]: metric["value"] for metric in one["metrics"]}
        return metrics.get("eval.accuracy", 0.0) >= data.target

    return {"data": data_name, "codec": codec, "seed": seed, "devices": data.devices,
            "rounds": len(rounds), "bytes_up": sum(one["bytes_up"] for one in rounds),
            "bytes_down": sum(one["bytes_down"] for one in rounds), "target": data.target,
            "rounds_to_target": next((one["round"] for one in rounds if reaches(one)), None),
            "accuracy": round(accuracy, 6), "seconds": round(seconds, 1)}


def mean(rows, field):
    return statistics.mean(row[field] for row in rows)


def table(rows):
    lines = ["| data | codec | seeds | up, MB | times less | down, MB | times less "
             "| rounds to target | accuracy | points against f32 |", "|---" * 10 + "|"]
    for data in dict.fromkeys(row["data"] for row in rows):
        plain = [row for row in rows if row["data"] == data and row["codec"] == "f32"]
        for codec in CODECS:
            own = [row for row in rows if row["data"] == data and row["codec"] == codec]
            if not own:
                continue
            traffic = " | ".join(
                f"{mean(own, way) / 1e6:.2f} | "
                + (f"{mean(plain, way) / mean(own, way):.1f}" if plain else "")
                for way in ("bytes_up", "bytes_down"))
            apart = [100.0 * (row["accuracy"] - other["accuracy"])
                     for row in own for other in plain if other["seed"] == row["seed"]]
            points = f"{statistics.mean(apart):+.2f}" if apart else ""
            reached = [row["rounds_to_target"] for row in own]
            late = f"{statistics.mean(reached):.0f}" if all(reached) else "never"
            spread = statistics.pstdev(row["accuracy"] for row in own)
            lines.append(f"| {data} | {codec} | {len(own)} | {traffic} | {late} "
                         f"| {mean(own, 'accuracy'):.4f} ± {spread:.4f} | {points} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*")
    parser.add_argument("--codecs", nargs="+", default=list(CODECS), choices=CODECS, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, help="instead of the data set's own number")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    if "CHORUS_DATA_DIR" not in os.environ:
        sys.exit("compression.py: set CHORUS_DATA_DIR to the folder of the data sets")
    sets = data_sets(pathlib.Path(os.environ["CHORUS_DATA_DIR"]).resolve())
    for name in options.data:
        if name not in sets:
            parser.error(f"no data '{name}'; there are: {' '.join(sets)}")
    build = pathlib.Path(os.environ.get("CHORUS_BUILD", ROOT / "build/release"))
    programs = Programs(build.resolve())
    rows = []
    if options.json and options.json.is_file():
        rows = json.loads(options.json.read_text())["rows"]
    for seed in range(1, options.seeds + 1):
        for name in options.data or sets:
            data = sets[name]
            if options.rounds:
                data = dataclasses.replace(data, rounds=options.rounds)
            there = {(row["data"], row["codec"], row["seed"]) for row in rows}
            wanted = [c for c in options.codecs if (name, c, seed) not in there]
            if not wanted:
                continue
            with tempfile.TemporaryDirectory(prefix="chorus-bytes-") as folder, \
                    Federation(programs, data, seed, pathlib.Path(folder)) as federation:
                for number, codec in enumerate(wanted):
                    job = f"run-{number}"
                    rounds, accuracy, seconds = federation.run(
                        job, job_text(name, data, codec, job, seed))
                    rows.append(row_of(name, data, codec, seed, rounds, accuracy, seconds))
                    last = rows[-1]
                    print(f"{name}, seed {seed}, {codec}: {last['bytes_up'] / 1e6:.2f} MB up, "
                          f"accuracy {accuracy:.4f}, {seconds:.0f} s", flush=True)
                    if options.json:
                        lines = ",\n".join(json.dumps(row) for row in rows)
                        options.json.write_text(f'{{"rows": [\n{lines}\n]}}\n')
    print()
    print(table(rows))


if __name__ == "__main__":
    main()
