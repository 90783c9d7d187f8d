# Sourced by the scripts of this folder: where things are, and how to build them.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=${CHORUS_JOBS:-$(nproc)}
# Compiled objects are shared between build folders and checkouts (debug lines name no folder).
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-/} CCACHE_NOHASHDIR=1

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# The packages, unless CHORUS_SKIP_DEPS=1. Arguments go to install-deps.sh.
ensure_dependencies() {
  if [ "${CHORUS_SKIP_DEPS:-0}" != 1 ]; then "$root/deploy/install-deps.sh" "$@"; fi
}

# show_errors LOG: the compiler's words.
show_errors() {
  grep -E -A 12 'error|FAILED|CMake Error' "$1" | head -n 200 >&2 || tail -n 50 "$1" >&2
}

# run_tests FOLDER [argument of ctest…]: only what fails, and the totals.
run_tests() {
  ctest --test-dir "$1" --output-on-failure --no-tests=error -j "$jobs" "${@:2}" 2>&1 |
    { grep -v -E '^ *[0-9]+/[0-9]+ Test .*Passed|^ *Start +[0-9]+:' || true; }
  return "${PIPESTATUS[0]}"
}

# build_preset PRESET [target…]: quiet when all is well; on failure the compiler's words.
build_preset() {
  local preset=$1
  shift
  local log
  log=$(mktemp)
  local targets=()
  if [ $# -gt 0 ]; then targets=(--target "$@"); fi
  if ! (cd "$root" && cmake --preset "$preset" >"$log" 2>&1 &&
    cmake --build --preset "$preset" -j "$jobs" "${targets[@]}" >>"$log" 2>&1); then
    show_errors "$log"
    rm -f "$log"
    fail "the $preset build failed"
  fi
  rm -f "$log"
}

# find_build PROGRAM…: sets `build` to the folder CHORUS_BUILD, or to that of the release preset
# after building these.
find_build() {
  if [ -n "${CHORUS_BUILD:-}" ]; then
    build=$(cd "$CHORUS_BUILD" && pwd) || fail "CHORUS_BUILD: no folder $CHORUS_BUILD"
    return
  fi
  build=$root/build/release
  echo "building (the first time takes some minutes) …"
  local begun=$SECONDS
  build_preset release "$@"
  echo "built in $(clock $((SECONDS - begun)))"
}

# Seconds as 1:23.
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
