#!/usr/bin/env bash
# Dependencies, build, all tests: everything between a fresh checkout and "it works here".
#
#   deploy/test.sh                    all tests, optimised build
#   deploy/test.sh --preset asan      another preset of CMakePresets.json
#   deploy/test.sh --label unit       only tests with this label (unit, e2e, tidy …; a pattern)
#
# CHORUS_JOBS=N compiles and tests N at a time (default: CPU cores); CHORUS_SKIP_DEPS=1 installs
# nothing. The last lines are ctest's totals; the exit code is 0 only if every test passed.
set -euo pipefail
. "$(dirname "$0")/common.sh"

preset=release
label=()
while [ $# -gt 0 ]; do
  case "$1" in
    --preset) preset=${2:?--preset needs a name}; shift ;;
    --label) label=(--label-regex "${2:?--label needs a pattern}"); shift ;;
    -h | --help) sed -n '2,10p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "test.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
  esac
  shift
done

ensure_dependencies
begun=$SECONDS
build_preset "$preset"
echo "build: $preset in $(clock $((SECONDS - begun)))"
cd "$root"
run_tests "build/$preset" "${label[@]}"
