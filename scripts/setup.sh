#!/bin/sh
# setup.sh [kernels|release]: makes a Debian 12 with Node.js and npm ready to build and test slash32, also in other
# kernels or for other machines if so asked. Installs only what is missing: a second run changes nothing. Needs no package of its own, as it is the
# first thing that every npm script runs.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

# Debian package, and the commands or files that show that it is there.
packages='
  containerd                   containerd ctr
  containernetworking-plugins  /usr/lib/cni/ptp /usr/lib/cni/host-local
  dpkg-dev                     dpkg-source
  ethtool                      ethtool
  gcc                          gcc
  golang-go                    go
  iperf3                       iperf3
  iproute2                     ip
  iputils-ping                 ping
  iptables                     iptables
  jq                           jq
  libc6-dev                    /usr/include/stdio.h
  libsqlite3-dev               /usr/include/sqlite3.h
  libssl-dev                   /usr/include/openssl/ssl.h
  nftables                     nft
  openssl                      openssl
  podman                       podman conmon
  procps                       sysctl
  runc                         runc
  sqlite3                      sqlite3
  strace                       strace
  tcpdump                      tcpdump
  xz-utils                     xz
'

# What `npm run test:kernels` needs beside.
if [ "${1:-}" = kernels ]; then
  packages="$packages
  kmod                         depmod modprobe
  qemu-system-x86              qemu-system-x86_64
  xz-utils                     xz
  "
fi

# And `npm run release`.
if [ "${1:-}" = release ]; then
  packages="$packages
  gcc-aarch64-linux-gnu        aarch64-linux-gnu-gcc
  qemu-system-arm              qemu-system-aarch64
  qemu-user                    qemu-aarch64
  "
fi

fail() {
  echo "$1" >&2
  exit 1
}

# Runs a long command silently, and shows what it printed only if it fails: quietly WHAT COMMAND...
quietly() {
  what=$1
  shift
  if ! printed=$("$@" 2>&1 </dev/null); then
    printf '%s\n' "$printed" >&2
    fail "Cannot $what: see above"
  fi
}

missing_packages() {
  echo "$packages" | while read -r package needed; do
    for path in $needed; do
      command -v "$path" >/dev/null || { echo "$package"; break; }
    done
  done
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086 # a list of words
  set -- $1
  echo "Installing Debian packages: $*" >&2
  quietly "update the list of Debian packages" apt-get -q update
  quietly "install Debian packages" \
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

# The lock file that node_modules was made from.
stamp=node_modules/.slash32-lock

modules_are_current() {
  [ -f "$stamp" ] && [ "$(sha256sum <package-lock.json)" = "$(cat "$stamp")" ]
}

# The options take back what a user's own .npmrc may say. They let vitest and execa ask for a newer Node.js:
# everything but npm itself runs in Bun.
install_modules() {
  echo "Installing npm packages" >&2
  quietly "install npm packages" npm ci --include=dev --include=optional --package-lock --bin-links \
    --no-dry-run --no-engine-strict --no-audit --no-fund --no-update-notifier --loglevel=error
  sha256sum <package-lock.json >"$stamp"
}

[ "$(id -u)" -eq 0 ] || fail "Cannot set up: root is needed to make network namespaces"
reason=$(unshare --net --mount true 2>&1) || fail "Cannot make a network namespace: $reason"

missing=$(missing_packages)
[ -z "$missing" ] || install_packages "$missing"

if ! modules_are_current; then
  # Two runs at the same time install once.
  exec 9<package-lock.json
  flock 9
  modules_are_current || install_modules
  exec 9<&-
fi

# With install scripts switched off, npm leaves the bun package without its executable.
if ! node_modules/.bin/bun --version >/dev/null 2>&1; then
  quietly "install Bun" node node_modules/bun/install.js
fi
