#!/usr/bin/env bash
# A real federation on this machine, from nothing: dependencies, build, a daemon and ten devices
# that talk mutual TLS over loopback, each with its own uneven share of the data; twenty rounds;
# the accuracy of the result on images that no device has seen.
#
#   deploy/quickstart.sh [OPTIONS]
#
#   --data NAME            digits (default), or fashion-mnist from CHORUS_DATA_DIR
#   --seed N               weights, shares, order: one seed, one result (default 1)
#   --rounds N             1 to 200 (default 20; fashion-mnist 10)
#   --agents N             devices, 1 to 100 (default 10)
#   --server-threads N     of the daemon; the result does not depend on it (default: CPU cores)
#   --json FILE            write the result as JSON
#   --keep                 leave the federation running, and say how to look around
#
# The model is saved under build/quickstart/. Nothing else stays behind, also after Ctrl-C, unless
# --keep is given. CHORUS_SKIP_DEPS=1 installs nothing; CHORUS_BUILD=DIR takes the programs from
# that build folder instead of building.
set -euo pipefail
. "$(dirname "$0")/common.sh"

data=digits seed=1 rounds="" agents=10 threads=0 json="" keep=0
need_number() { # NAME VALUE MIN MAX
  case "$2" in '' | *[!0-9]*) fail "$1 needs a whole number, not '$2'" ;; esac
  if [ ${#2} -gt 15 ] || [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
    fail "$1 must be from $3 to $4, not $2"
  fi
}
while [ $# -gt 0 ]; do
  case "$1" in
    --keep) keep=1; shift; continue ;;
    -h | --help) sed -n '2,21p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    --data | --seed | --rounds | --agents | --server-threads | --json)
      [ $# -ge 2 ] || fail "$1 needs a value; see --help" ;;
    *) echo "quickstart.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
  esac
  case "$1" in
    --data) data=$2 ;;
    --seed) need_number "$1" "$2" 0 999999999999999; seed=$2 ;;
    --rounds) need_number "$1" "$2" 1 200; rounds=$2 ;;
    --agents) need_number "$1" "$2" 1 100; agents=$2 ;;
    --server-threads) need_number "$1" "$2" 1 256; threads=$2 ;;
    --json) json=$2 ;;
  esac
  shift 2
done

case "$data" in
  digits)
    digits=$root/examples/digits/digits.csv.gz
    train=(--data "$digits" --label-column -1 --scale 16 --shape 1x8x8 --test-fraction 0.2)
    test=("${train[@]}")
    rounds=${rounds:-20}
    ;;
  fashion-mnist)
    folder=${CHORUS_DATA_DIR:-}/fashion-mnist
    [ -n "${CHORUS_DATA_DIR:-}" ] || fail "set CHORUS_DATA_DIR to the folder that holds" \
      "fashion-mnist/ with its four .gz files (github.com/zalandoresearch/fashion-mnist)"
    for file in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
      [ -r "$folder/$file-ubyte.gz" ] || fail "$folder/$file-ubyte.gz is missing"
    done
    train=(--images "$folder/train-images-idx3-ubyte.gz"
      --labels "$folder/train-labels-idx1-ubyte.gz" --shape 1x28x28)
    test=(--images "$folder/t10k-images-idx3-ubyte.gz"
      --labels "$folder/t10k-labels-idx1-ubyte.gz" --shape 1x28x28)
    rounds=${rounds:-10}
    ;;
  *) fail "no data '$data'; there are digits and fashion-mnist" ;;
esac
if [ -n "$json" ]; then
  [ -d "$(dirname "$json")" ] || fail "the folder of $json does not exist"
fi

# ---- programs ----
ensure_dependencies
find_build chorus chorusd chorus-agent
chorus=$build/admin/chorus
chorusd=$build/server/chorusd
agent=$build/client/agent/chorus-agent
for program in "$chorus" "$chorusd" "$agent"; do
  [ -x "$program" ] || fail "$program was not built"
done

# ---- nothing stays behind ----
work=$(mktemp -d "${TMPDIR:-/tmp}/chorus-XXXXXX")
pids=()
guard=""
done_well=0

stop_all() {
  local pid waited=0
  if [ -n "$guard" ]; then kill "$guard" 2>/dev/null || true; fi
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2>/dev/null && [ $waited -lt 100 ]; do
      sleep 0.1
      waited=$((waited + 1))
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}
cleanup() {
  local code=$?
  trap '' INT TERM HUP
  if [ "$done_well" = 1 ] && [ "$keep" = 1 ]; then return; fi
  stop_all
  if [ "$code" != 0 ] && [ "$code" != 130 ] && [ -f "$work/chorusd.log" ]; then
    echo "---- last lines of the daemon's log ----" >&2
    tail -n 20 "$work/chorusd.log" >&2
  fi
  rm -rf "$work"
  exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# In a session of its own, so that Ctrl-C reaches this script first and it stops things in order.
background() { # LOG COMMAND…
  local log=$1
  shift
  setsid "$@" >"$log" 2>&1 </dev/null &
  pids+=($!)
}
alive() { kill -0 "$1" 2>/dev/null; }

# ---- a federation ----
export CHORUS_FEDERATION=$work/federation
"$chorus" init "$CHORUS_FEDERATION" --name quickstart --host 127.0.0.1 --port 0 >/dev/null
server=("$chorusd" --config "$CHORUS_FEDERATION/server.toml" --port-file "$work/port")
if [ "$threads" != 0 ]; then server+=(--threads "$threads"); fi
background "$work/chorusd.log" "${server[@]}"
server_pid=$!
for _ in $(seq 300); do
  [ -s "$work/port" ] && break
  alive "$server_pid" || fail "the daemon did not start"
  sleep 0.1
done
[ -s "$work/port" ] || fail "the daemon does not listen after 30 seconds"
CHORUS_SERVER=127.0.0.1:$(tr -d '[:space:]' <"$work/port")
export CHORUS_SERVER
echo "chorusd listens on $CHORUS_SERVER (mutual TLS 1.3)"

json_field() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
token=$("$chorus" enroll --uses "$agents" --json | json_field token)
for number in $(seq -w 1 "$agents"); do
  "$agent" enroll --token "$token" --state "$work/device-$number" --name "device-$number" \
    >"$work/device-$number.log" 2>&1 ||
    { cat "$work/device-$number.log" >&2; fail "device-$number could not enrol"; }
done
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # the devices share this machine's cores
agent_pids=()
part=0
for number in $(seq -w 1 "$agents"); do
  background "$work/device-$number.log" "$agent" run --server "$CHORUS_SERVER" \
    --state "$work/device-$number" "${train[@]}" --partition dirichlet:0.5 \
    --parts "$agents" --part "$part" --seed "$seed" --hold-out 0.2
  agent_pids+=($!)
  part=$((part + 1))
done
echo "$agents devices enrolled, each with its own share of $data (Dirichlet 0.5)"

# ---- the job: goal = cohort = all devices, so that the result is a function of the seed ----
source=$CHORUS_FEDERATION/job.toml
if [ "$data" = fashion-mnist ]; then source=$root/deploy/jobs/fashion-mnist.toml; fi
sed -e "s/^seed = .*/seed = $seed/" -e "s/^rounds = .*/rounds = $rounds/" \
  -e "s/^cohort = .*/cohort = $agents/" -e "s/^goal = .*/goal = $agents/" \
  -e "s/^min_reports = .*/min_reports = $agents/" -e 's/^deadline = "2m"/deadline = "30m"/' \
  "$source" >"$work/job.toml"
begun=$(date +%s%N)
"$chorus" job submit "$work/job.toml" --json >/dev/null
echo
# A device that gives up (out of memory, unreadable data) would keep everybody waiting.
(
  while sleep 1; do
    for pid in "${agent_pids[@]}"; do
      if ! alive "$pid"; then
        echo "quickstart.sh: a device ended; its log:" >&2
        grep -h -i -E 'error|chorus-agent:' "$work"/device-*.log | tail -n 5 >&2 || true
        "$chorus" job stop "$data" >/dev/null 2>&1 || true
        exit
      fi
    done
  done
) &
guard=$!
shown=$rounds
if [ "$shown" -gt 50 ]; then shown=50; fi
"$chorus" watch "$data" --last "$shown" || fail "the job did not finish"
milliseconds=$((($(date +%s%N) - begun) / 1000000))
kill "$guard" 2>/dev/null || true
guard=""

# ---- the result ----
mkdir -p "$root/build/quickstart"
model=$root/build/quickstart/$data.safetensors
"$chorus" model export --job "$data" --output "$model" --overwrite --json >"$work/model.json"
"$chorus" round list "$data" --last 200 --json >"$work/rounds.json"
"$agent" evaluate --model "$model" "${test[@]}" --seed "$seed" --json >"$work/accuracy.json"
python3 - "$work" "$milliseconds" "$json" <<'PYTHON'
import json
import pathlib
import sys

work, milliseconds, target = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rounds = json.loads((work / "rounds.json").read_text())["rounds"]
exported = json.loads((work / "model.json").read_text())
measured = json.loads((work / "accuracy.json").read_text())
published = [r for r in rounds if r["state"] in ("published", "evaluating")]


def total(field):
    return sum(r[field] for r in rounds)


result = {
    "rounds": len(published),
    "accuracy": measured["accuracy"],
    "accepted": total("accepted"),
    "rejected": total("rejected"),
    "bytes_up": total("bytes_up"),
    "bytes_down": total("bytes_down"),
    "seconds": milliseconds / 1000,
    "model_sha256": exported["model"]["sha256"],
    "model_path": exported["path"],
}
print()
print(f"accuracy   {result['accuracy']:.4f} on {measured['examples']} images no device has seen")
print(f"updates    {result['accepted']} accepted, {result['rejected']} rejected")
print(f"moved      {result['bytes_up'] / 1e6:.1f} MB up, {result['bytes_down'] / 1e6:.1f} MB down")
print(f"time       {result['seconds']:.1f} s for {result['rounds']} rounds")
print(f"model      {result['model_path']}")
print(f"SHA-256    {result['model_sha256']}  (the same for the same seed)")
if target:
    pathlib.Path(target).write_text(json.dumps(result, indent=2) + "\n")
PYTHON

done_well=1
if [ "$keep" = 1 ]; then
  cat >"$work/stop" <<STOP
#!/bin/sh
# Ends the federation of deploy/quickstart.sh --keep and removes its folder.
kill ${pids[*]} 2>/dev/null
sleep 1
rm -rf "$work"
STOP
  chmod +x "$work/stop"
  cat <<KEPT

The daemon and its devices go on running. Look around with:
  export CHORUS_FEDERATION=$CHORUS_FEDERATION CHORUS_SERVER=$CHORUS_SERVER
  $chorus job list
  $chorus round show $data
  $chorus device list
  $chorus job show $data --toml > again.toml   # give it another name, then: chorus job submit
Logs: $work/*.log
Stop: $work/stop
KEPT
fi
