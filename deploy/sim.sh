#!/usr/bin/env bash
# Searches for histories in which a promise does not hold (tests/sim), beginning with seeds that
# nobody has tried.
#
#   deploy/sim.sh [TIME]       e.g. 2m (default), 1h
#
# What is found comes with the line that replays it; add it to tests/sim/seeds.txt with the mend.
set -euo pipefail
. "$(dirname "$0")/common.sh"

case "${1:-}" in
  -h | --help) sed -n '2,7p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
esac
ensure_dependencies
build_preset release chorus_sim
"$root/build/release/tests/sim/chorus_sim" --seed "$(date +%s)000" --for "${1:-2m}"
