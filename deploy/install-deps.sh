#!/usr/bin/env bash
# Installs what Chorus is built from, out of the distribution's packages.
#
#   deploy/install-deps.sh            build and tests
#   deploy/install-deps.sh --dev      also clang and its tools, and what tests compare with
#   deploy/install-deps.sh --arm64    also what deploy/build-arm64.sh needs
#   deploy/install-deps.sh --check    installs nothing; says what is missing (then exit code 1)
#   deploy/install-deps.sh --list-libraries   the packages that are compiled against, one per line
#
# Tested on Debian 12; Debian 13 and Ubuntu 24.04 differ in package names only. It may be run again
# at any time: what is there is left alone. Needs root, or sudo, only when something is missing.
set -euo pipefail

usage() { sed -n '2,11p' "$0" | sed 's/^# \{0,1\}//'; }

check_only=0
with_dev=0
with_arm64=0
list_libraries=0
for argument in "$@"; do
  case "$argument" in
    --check) check_only=1 ;;
    --dev) with_dev=1 ;;
    --arm64) with_arm64=1 ;;
    --list-libraries) list_libraries=1 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "install-deps.sh: unknown argument '$argument'; see --help" >&2; exit 2 ;;
  esac
done

# Needed on every system, under the same name.
tools=(g++ cmake ninja-build pkg-config ccache python3 protobuf-compiler openssl
       pocl-opencl-icd) # OpenCL on the CPU, for the tests of GPU kernels
libraries=(
  libprotobuf-dev libssl-dev libsqlite3-dev zlib1g-dev libxxhash-dev libzstd-dev libminizip-dev
  libjpeg-dev libpng-dev
  libdnnl-dev ocl-icd-opencl-dev opencl-headers
  libspdlog-dev libfmt-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev
  libgtest-dev libgmock-dev libbenchmark-dev
)
dev_packages=()
arm64_packages=(g++-aarch64-linux-gnu qemu-user mmdebstrap)

system=unknown
if [ -r /etc/os-release ]; then
  system=$(. /etc/os-release && echo "${ID:-unknown}-${VERSION_ID:-}")
fi
case "$system" in
  debian-12)
    libraries+=(libboost1.81-dev)
    # The last four are what tests and benchmarks compare with; without them those skip.
    # (Sanitizers of clang: their libraries, and what gives their reports names of functions.)
    dev_packages=(clang-14 clang-format-14 clang-tidy-14 clang libclang-rt-14-dev llvm-14
      python3-numpy python3-onnx python3-torch libopenblas0-pthread)
    ;;
  debian-13)
    libraries+=(libboost-dev)
    dev_packages=(clang clang-format clang-tidy libclang-rt-dev llvm)
    ;;
  ubuntu-24.04)
    libraries+=(libboost-dev)
    dev_packages=(clang clang-format-14 clang-tidy libclang-rt-dev llvm)
    ;;
  *)
    cat >&2 <<'NEEDED'
install-deps.sh: this system is not one it knows (Debian 12, Debian 13, Ubuntu 24.04).
Install these by hand, then go on with: cmake --preset release && cmake --build --preset release

  C++ compiler with C++20 and coroutines     g++ >= 12 or clang >= 14
  CMake, Ninja, pkg-config, Python 3         >= 3.25, any, any, >= 3.9
  Boost (headers: Asio, System)              >= 1.81
  Protobuf (library, headers and protoc)     >= 3.21
  OpenSSL                                    >= 3.0
  oneDNN (dnnl, with its CMake files)        2.6 or 3.x; if built with OpenCL, its headers too
  SQLite                                     >= 3.37
  zlib, minizip (minizip.pc), xxHash         any, >= 1.1, >= 0.8
  zstd (libzstd.pc)                          >= 1.4
  libjpeg-turbo (libjpeg API), libpng        >= 2.1, >= 1.6
  spdlog with fmt                            >= 1.10 with >= 9.1
  CLI11, tomlplusplus, nlohmann-json         >= 2.1, >= 3.3, >= 3.11
  GoogleTest with GoogleMock, Benchmark      >= 1.12, >= 1.7   (tests and benchmarks only)
  ccache                                     any               (optional)

The scripts of this folder skip this step when CHORUS_SKIP_DEPS=1 is set.
NEEDED
    exit 3
    ;;
esac
if [ "$list_libraries" = 1 ]; then
  printf '%s\n' "${libraries[@]}"
  exit 0
fi
packages=("${tools[@]}" "${libraries[@]}")
if [ "$with_dev" = 1 ]; then packages+=("${dev_packages[@]}"); fi
if [ "$with_arm64" = 1 ]; then packages+=("${arm64_packages[@]}"); fi

installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done

if [ "${#missing[@]}" = 0 ]; then
  echo "dependencies: all ${#packages[@]} packages are installed ($system)"
  exit 0
fi
if [ "$check_only" = 1 ]; then
  echo "dependencies: ${#missing[@]} of ${#packages[@]} packages are missing ($system):"
  printf '  %s\n' "${missing[@]}"
  echo "install them with: deploy/install-deps.sh$([ "$with_dev" = 1 ] && echo ' --dev')"
  exit 1
fi

# Debian 12 has two Boosts that exclude each other, and its default one is too old for us.
if [ "$system" = debian-12 ] && installed libboost1.74-dev; then
  cat >&2 <<'BOOST'
install-deps.sh: libboost1.74-dev is installed. Chorus needs Boost >= 1.81, and Debian's
libboost1.81-dev cannot stand beside it. If nothing else on this machine needs 1.74:
  apt-get remove libboost1.74-dev
then run this again. (Programs already built keep working: they use the libboost-*1.74.0 packages.)
BOOST
  exit 1
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps.sh: packages are missing; run this as root, or install sudo" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "dependencies: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
  -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}" >/dev/null
echo "dependencies: all ${#packages[@]} packages are installed ($system)"
