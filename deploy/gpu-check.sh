#!/usr/bin/env bash
# Verifies and times the GPU kernels on this machine's devices.
#
#   deploy/gpu-check.sh [--json FILE] [--inputs N] [--elements N]
#
# Builds kernels/gpu and common/gpu with CMake and a C++20 compiler, and with nvcc if there is one;
# none of the packages of the rest of Chorus is needed. Compares every kernel on every device with
# the same kernel in plain C++, then times the exact fold of N updates of N parameters (64 of 1e8:
# 39 GB of the memory of the device) beside a copy. Exit code 1: a device failed, a kernel differs,
# or there is no device.
set -euo pipefail

case "${1:-}" in
  -h | --help) sed -n '2,10p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/gpu-check
cmake -S "$root/deploy/gpu-check" -B "$build" -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$build" -j "$(nproc)" >/dev/null
exec "$build/gpu_check" "$@"
