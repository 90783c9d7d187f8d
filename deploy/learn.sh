#!/usr/bin/env bash
# Does the trainer learn? Trains on real data, without a server, measures on examples that it never
# saw, and compares with what it should reach. Needs CHORUS_DATA_DIR; minutes on one core.
#
#   deploy/learn.sh [NAME…] [--json FILE] [--seed N]
#
#   fashion-mnist     images: accuracy on the official test set, at least 0.91
#   human-activity    inertial signals: accuracy on nine people apart, at least 0.90
#   shakespeare       text: next characters of windows apart, at least 0.50
#
# Exit code 1 if a goal is missed. CHORUS_SKIP_DEPS=1 installs nothing; CHORUS_BUILD=DIR takes
# chorus-agent from that build folder.
set -euo pipefail
. "$(dirname "$0")/common.sh"

json="" seed=1 names=()
while [ $# -gt 0 ]; do
  case "$1" in
    --json) json=${2:?--json needs a file}; shift ;;
    --seed) seed=${2:?--seed needs a number}; shift ;;
    -h | --help) sed -n '2,13p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    fashion-mnist | human-activity | shakespeare) names+=("$1") ;;
    *) echo "learn.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
  esac
  shift
done
if [ ${#names[@]} = 0 ]; then names=(fashion-mnist human-activity shakespeare); fi
[ -n "${CHORUS_DATA_DIR:-}" ] || fail "set CHORUS_DATA_DIR to the folder of the data sets"

ensure_dependencies
find_build chorus-agent
agent=$build/client/agent/chorus-agent
[ -x "$agent" ] || fail "$agent was not built"
work=$(mktemp -d "${TMPDIR:-/tmp}/chorus-learn-XXXXXX")
trap 'rm -rf "$work"' EXIT

train() { # MODEL DATA… : trains, leaves $work/model.safetensors
  "$agent" train --model "$root/deploy/learn/$1.toml" --seed "$seed" --json \
    --out "$work/model.safetensors" "${@:2}"
}
accuracy() { # of the last line; of the training's own test set, if there is one
  python3 -c 'import json, sys
last = json.loads(sys.stdin.readlines()[-1])
print(last.get("test", last)["accuracy"])'
}

learn() {
  local data=$CHORUS_DATA_DIR
  case "$1" in
    fashion-mnist)
      data+=/fashion-mnist
      train "$1" --images "$data/train-images-idx3-ubyte.gz" --hold-out 0 \
        --labels "$data/train-labels-idx1-ubyte.gz" >/dev/null
      "$agent" evaluate --model "$work/model.safetensors" --json \
        --images "$data/t10k-images-idx3-ubyte.gz" --labels "$data/t10k-labels-idx1-ubyte.gz" |
        accuracy
      ;;
    human-activity)
      data+=/uci-har
      train "$1" --npy "$data/har_X_float32_10299x9x128.npy.gz" \
        --labels "$data/har_y_uint8.npy.gz" --partition "column:$data/har_subject_uint8.npy.gz" \
        --test-keys 2,4,9,10,12,13,18,20,24 | accuracy
      ;;
    shakespeare)
      train "$1" --text "$data/tiny-shakespeare/input.txt" --text-window 80 --text-stride 80 \
        --text-sequence --test-fraction 0.1 | accuracy
      ;;
  esac
}

declare -A goals=([fashion-mnist]=0.91 [human-activity]=0.90 [shakespeare]=0.50)
export OMP_NUM_THREADS=1
missed=0
rows=()
printf '%-16s %8s %6s %8s\n' data accuracy goal seconds
for name in "${names[@]}"; do
  begun=$(date +%s%N)
  reached=$(learn "$name")
  seconds=$(($(date +%s%N) - begun))
  row=$(python3 - "$name" "$reached" "${goals[$name]}" "$seconds" <<'PRINT'
import json, sys
name, accuracy, goal, nanoseconds = sys.argv[1:]
print(json.dumps({"name": name, "accuracy": float(accuracy), "goal": float(goal),
                  "seconds": round(int(nanoseconds) / 1e9, 1)}))
PRINT
  )
  rows+=("$row")
  python3 -c 'import json,sys; r = json.loads(sys.argv[1]); print("%-16s %8.4f %6.2f %8.1f%s" % (
    r["name"], r["accuracy"], r["goal"], r["seconds"],
    "" if r["accuracy"] >= r["goal"] else "   missed")); sys.exit(r["accuracy"] < r["goal"])' \
    "$row" || missed=1
done
if [ -n "$json" ]; then printf '%s\n' "${rows[@]}" | python3 -c \
  'import json,sys; print(json.dumps({"rows": [json.loads(l) for l in sys.stdin]}))' >"$json"; fi
exit "$missed"
