#!/usr/bin/env python3
"""Tests the tester: plants defects, one at a time, and expects chorus_sim to find each.

  mutate.py [--seeds N] [--only NAME,...] [--work FOLDER (kept, so that the next run builds less)]

A copy of the sources is built for each defect (compilers' caches help); it plays the histories of
seeds.txt and N new ones (200). Exit code 1 if one was not found, or could not be planted because
the code it changes is another by now.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Name, profile of faults, file, what stands there, what shall.
MUTATIONS = [
    ("commit-without-sync", "crash", "server/store/journal.cpp", """\
  CHORUS_OK(write({.kind = RecordKind::commit}, payload));
  return options_.sync ? sync_all() : Result<void>();""", """\
  CHORUS_OK(write({.kind = RecordKind::commit}, payload));
  return {};"""),
    ("segment-name-not-synced", "crash", "server/store/journal.cpp", """\
    CHORUS_OK(options_.disk->sync_folder(folder_));
    return sync_all();""", """\
    return {};"""),
    ("failed-sync-goes-on", "disk", "server/store/journal.cpp", """\
      return *broken_;
    }
  }
  // Should the mark""", """\
      broken_.reset();
    }
  }
  // Should the mark"""),
    ("removed-segment-stays-as-null", "disk", "server/store/journal.cpp", """\
    segment = segments_.erase(segment);
    const auto path = dropped->file().path();
    CHORUS_OK(release(std::move(dropped), path));""", """\
    const auto path = dropped->file().path();
    CHORUS_OK(release(std::move(dropped), path));
    segment = segments_.erase(segment);"""),
    ("ledger-log-not-synced-at-start", "crash", "server/store/sqlite.cpp",
     "PRAGMA wal_checkpoint(TRUNCATE)", "SELECT 0"),
    ("ledger-never-syncs", "crash", "server/store/sqlite.cpp",
     "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF"),
    ("version-not-synced", "crash", "server/store/versions.cpp", """\
    CHORUS_OK(flush());
    CHORUS_OK(file_->sync());""", """\
    CHORUS_OK(flush());"""),
    ("version-name-not-synced", "crash", "server/store/versions.cpp", """\
    file_.reset();
    CHORUS_OK(disk_.sync_folder(folder));""", """\
    file_.reset();"""),
    ("failed-commit-is-acknowledged", "disk", "server/driver/job_work.cpp", """\
    if (!committed) {
      committing_ = false;""", """\
    if (false) {
      committing_ = false;"""),
    ("weights-of-the-first", "crash", "server/update/lane.cpp",
     "{payload, multiplier(updates[k])}", "{payload, multiplier(updates[0])}"),
    ("another-update-is-confirmed", "all", "server/driver/job_runner.cpp",
     "         meta->second.digest != offer.digest;", "         false;"),
    ("no-reason-for-discards", "network", "server/driver/job_rows.cpp",
     "    } else if (closed) {", "    } else if (false) {"),
    ("grants-are-not-given-back", "network", "server/driver/context.hpp",
     "if (owner_ != nullptr) owner_->granted_.fetch_sub(bytes_);", "static_cast<void>(bytes_);"),
    ("bad-digest-is-taken", "liars", "server/net/transfer.cpp",
     "if (auto good = check.finish(); !good) rejected = std::move(good).error();",
     "static_cast<void>(check.finish());"),
]


def plant(work, file, old, new):
    """What is wrong with it, if it cannot be planted."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if text.count(old) != 1:
        return f"'{old.splitlines()[0].strip()}' stands {text.count(old)} times in {file}"
    (work / file).write_text(text.replace(old, new), encoding="utf-8")
    return None


def build(work):
    run = subprocess.run(["cmake", "--build", str(work / "build"), "--target", "chorus_sim", "-j2"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True)
    if run.returncode != 0:
        sys.exit(run.stdout[-3000:])
    return next((work / "build").rglob("chorus_sim"))


def search(program, profile, seeds):
    """The first history that fails: among those that did once, then among new ones."""
    histories = (ROOT / "tests/sim/seeds.txt").read_text(encoding="utf-8").splitlines()
    tried = [line.split("#")[0].split() for line in histories]
    tried = [arguments for arguments in tried if arguments]
    for arguments in [*tried, ["--seeds", str(seeds), "--faults", profile]]:
        run = subprocess.run([str(program), *arguments, "--first"],
                             capture_output=True, check=False, text=True)
        if run.returncode != 0:
            break
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--only", default="")
    parser.add_argument("--work", default="")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    work = pathlib.Path(arguments.work or tempfile.mkdtemp(prefix="chorus-mutations-"))
    shutil.copytree(ROOT, work, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("build", ".git"))
    # The preset's compiler and flags, so that a compiler cache knows most of it.
    subprocess.run(["cmake", "--preset", "release", "-B", "build"], cwd=work,
                   stdout=subprocess.DEVNULL, check=True)
    program = build(work)
    missed = []
    for name, profile, file, old, new in MUTATIONS:
        if only and name not in only:
            continue
        problem = plant(work, file, old, new)
        if problem:
            missed.append(name)
            print(f"{name:32} cannot be planted: {problem}", flush=True)
            continue
        build(work)
        began = time.monotonic()
        run = search(program, profile, arguments.seeds)
        shutil.copy(ROOT / file, work / file)
        said = (run.stdout.splitlines() or [f"ended with {run.returncode}"])[0]
        if run.returncode == 0:
            missed.append(name)
            said = f"NOT FOUND in {arguments.seeds} seeds"
        took = time.monotonic() - began
        print(f"{name:32} {profile:8} {took:5.1f} s  {said[:110]}", flush=True)
    if not arguments.work:
        shutil.rmtree(work, ignore_errors=True)
    planted = len(only) if only else len(MUTATIONS)
    print(f"{planted} defects, {len(missed)} not found", *missed, sep="\n  ")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
