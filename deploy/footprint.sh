#!/usr/bin/env bash
# What a device pays for Chorus: bytes of the two libraries and of what they load, memory of a
# device that waits and of one that trains.
#
#   deploy/footprint.sh [--json FILE]
#   deploy/footprint.sh --variant NAME [--json FILE]   the size of libchorus-core, built otherwise
#
#   as-released   (default) the release preset
#   no-sections   without a section per function: the linker drops whole files only
#   small         -Os instead of -O2
#
# Stripped sizes; "brought" is what a device has for Chorus' sake only, "system" what a Linux system
# with a TLS library and C++ programs has anyway. Exit code 1 if as-released is beyond a limit.
# CHORUS_SKIP_DEPS=1 installs nothing; CHORUS_JOBS=N compiles N at a time.
set -euo pipefail
. "$(dirname "$0")/common.sh"

json="" variant=as-released
while [ $# -gt 0 ]; do
  case "$1" in
    --json) json=${2:?--json needs a file}; shift ;;
    --variant) variant=${2:?--variant needs a name}; shift ;;
    -h | --help) sed -n '2,14p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "footprint.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
  esac
  shift
done
case "$variant" in
  as-released) ;;
  no-sections) flags=(-DCHORUS_SECTIONS=OFF) ;;
  small) flags=(-DCMAKE_BUILD_TYPE=MinSizeRel "-DCMAKE_CXX_FLAGS_MINSIZEREL=-Os -g1") ;;
  *) fail "no variant '$variant'; there are: as-released no-sections small" ;;
esac

ensure_dependencies
build=$root/build/release
if [ "$variant" = as-released ]; then
  build_preset release chorus_core chorus_client bench_footprint
else
  build=$root/build/footprint-$variant
  log=$build.log
  mkdir -p "$root/build"
  if ! { cmake --preset release -S "$root" -B "$build" -DCHORUS_CORE_ONLY=ON "${flags[@]}" &&
    cmake --build "$build" -j "$jobs" --target chorus_core; } >"$log" 2>&1; then
    show_errors "$log"
    fail "the build failed; $log has it all"
  fi
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/chorus-footprint-XXXXXX")
trap 'rm -rf "$work"' EXIT
sizes=(python3 "$root/deploy/footprint/sizes.py" --core "$build/client/libchorus-core.so")
if [ "$variant" = as-released ]; then sizes+=(--client "$build/client/libchorus.so"); fi
"${sizes[@]}" >"$work/sizes"
: >"$work/memory"
if [ "$variant" = as-released ]; then "$build/tests/bench/bench_footprint" >"$work/memory"; fi
python3 "$root/deploy/footprint/table.py" "$work/sizes" "$work/memory" ${json:+--json "$json"}
if [ "$variant" = as-released ]; then "${sizes[@]}" --check; fi
