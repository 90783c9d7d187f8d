#!/usr/bin/env bash
# The front of all benchmarks.
#
#   deploy/bench.sh                        lists them
#   deploy/bench.sh NAME [--json FILE]     builds and runs one, prints a table, writes JSON
#   deploy/bench.sh NAME -- ARGUMENTS      what follows -- goes to the benchmark
#
# JSON: {"machine": {…}, "rows": [{"name", "value", "unit", "limit", "limit_name", "peer",
# "peer_name", "ratio"}]}. `limit` is what the machine could do at best, measured in the same run;
# `peer` what another system does; `ratio` is value / limit, or value / peer without a limit.
#
# A benchmark NAME is the program bench_NAME of tests/bench; it prints one row per line as JSON.
# If it prints something else, an executable deploy/bench/NAME turns that into rows: it is given
# the program's path and the arguments.
set -euo pipefail
. "$(dirname "$0")/common.sh"

names() {
  sed -n 's/^ *add_executable(bench_\([a-z0-9_]*\).*/\1/p' "$root"/tests/bench/CMakeLists.txt | sort
}

name=""
json=""
while [ $# -gt 0 ]; do
  case "$1" in
    --json) json=${2:?--json needs a file}; shift ;;
    -h | --help) sed -n '2,15p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    --) shift; break ;;
    -*) echo "bench.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
    *) name=$1 ;;
  esac
  shift
done
if [ -z "$name" ]; then
  names
  exit 0
fi
names | grep -qx -- "$name" || fail "no benchmark '$name'; there are: $(names | paste -sd ' ')"

ensure_dependencies
build_preset release "bench_$name"
program=$(find "$root/build/release" -type f -name "bench_$name" -perm -u+x | head -n 1)
[ -n "$program" ] || fail "the build made no program bench_$name"

rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
if [ -x "$root/deploy/bench/$name" ]; then
  "$root/deploy/bench/$name" "$program" "$@" >"$rows"
else
  "$program" "$@" >"$rows"
fi
python3 "$root/deploy/bench/report.py" "$rows" --build "$root/build/release" ${json:+--json "$json"}
