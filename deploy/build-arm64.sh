#!/usr/bin/env bash
# Builds the client library, the agent and the kernels for 64-bit ARM on another machine, and runs
# their unit tests under qemu.
#
#   deploy/build-arm64.sh             builds and tests
#   deploy/build-arm64.sh --build     builds only
#
# The cross compiler and qemu are installed here; what Chorus is linked with comes as arm64 packages
# and is unpacked, not installed, under build/arm64-sysroot. The result is build/arm64:
# client/chorus-agent and client/libchorus.so. Debian 12. CHORUS_SKIP_DEPS=1 installs nothing;
# CHORUS_JOBS=N compiles and tests N at a time.
set -euo pipefail
. "$(dirname "$0")/common.sh"

test=1
case "${1:-}" in
  "") ;;
  --build) test=0 ;;
  -h | --help) sed -n '2,11p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
  *) echo "build-arm64.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
esac

[ "$(. /etc/os-release && echo "$ID-$VERSION_ID")" = debian-12 ] ||
  fail "knows Debian 12 only; elsewhere give deploy/cmake/aarch64.cmake a system root of your own"

ensure_dependencies --arm64
sysroot=$root/build/arm64-sysroot
build=$root/build/arm64

# Unpacked under another name first: half a system root must not be taken for a whole one.
packages=libc6-dev,libstdc++-12-dev,linux-libc-dev,$("$root/deploy/install-deps.sh" \
  --list-libraries | paste -sd,)
if [ "$(cat "$sysroot/packages" 2>/dev/null)" != "$packages" ]; then
  echo "system root: unpacking arm64 packages"
  mkdir -p "$root/build"
  rm -rf "$sysroot" "$sysroot.new"
  mmdebstrap --quiet --architectures=arm64 --variant=extract --include="$packages" \
    bookworm "$sysroot.new" || fail "the arm64 packages could not be unpacked"
  echo "$packages" >"$sysroot.new/packages"
  mv "$sysroot.new" "$sysroot"
fi

export CHORUS_SYSROOT=$sysroot
begun=$SECONDS
log=$build.log
mkdir -p "$build"
targets=(tests/unit/kernels/all tests/unit/common/all tests/unit/client/all chorus-agent)
if ! { cmake -G Ninja -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_TOOLCHAIN_FILE="$root/deploy/cmake/aarch64.cmake" -DCHORUS_SYSROOT="$sysroot" &&
  cmake --build "$build" -j "$jobs" --target "${targets[@]}"; } >"$log" 2>&1; then
  show_errors "$log"
  fail "the arm64 build failed; $log has it all"
fi
echo "build: arm64 in $(clock $((SECONDS - begun)))"
if [ "$test" = 0 ]; then exit 0; fi

# What cannot pass here, and why.
skip='GpuDevice.AnInstalledOpenClDriverIsUsed' # /etc/OpenCL names drivers of this machine's kind
if [ ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]; then
  # They start their own program again, which needs the kernel's help.
  echo "tests: without the death tests; they need binfmt_misc (package qemu-user-binfmt)"
  skip+=':*Death*'
fi

# Each program once. To start one anew for every test, as ctest does, takes qemu longer than most
# of the tests.
run_program() {
  local program=$1 begun=$SECONDS
  local said=$program.log
  if (cd "$(dirname "$program")" && timeout -k 5 1800 qemu-aarch64 -L "$sysroot" "$program" \
    --gtest_brief=1 --gtest_filter="-$skip") >"$said" 2>&1 </dev/null; then
    echo "tests: $(basename "$program"): $(sed -n 's|.*PASSED *\] *||p' "$said")" \
      "in $(clock $((SECONDS - begun)))"
    return
  fi
  echo "tests: $(basename "$program") failed after $(clock $((SECONDS - begun))); $said has it all"
  tail -n 60 "$said"
  return 1
}
export -f run_program clock
export sysroot skip
mapfile -t programs < <(find "$build"/tests/unit/{kernels,common,client} -type f -perm -u=x \
  -not -path '*/CMakeFiles/*' | sort)
[ ${#programs[@]} -gt 0 ] || fail "the build made no tests"
begun=$SECONDS
printf '%s\0' "${programs[@]}" | xargs -0 -n 1 -P "$jobs" bash -c 'run_program "$0"' ||
  fail "some tests failed"
echo "tests: all ${#programs[@]} programs passed in $(clock $((SECONDS - begun)))"
