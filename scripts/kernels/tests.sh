#!/usr/bin/env bash
# tests.sh [VITEST ARGUMENT...]: runs tests as the one program of a guest that init.sh has prepared, prints to its
# second serial line, and switches the guest off. The first serial line is the kernel's.
set -uo pipefail
cd "$(dirname "$0")/../.."
# Translating machine code that was just made is what emulation is worst at: Bun starts in a quarter of the time without.
export BUN_JSC_useJIT=0 HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NO_COLOR=1

mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm

# Through cat: for a terminal, vitest would paint its progress.
{
  echo "up: $(uname -r)"
  bash scripts/lab.sh node_modules/.bin/bun --bun node_modules/vitest/vitest.mjs run "$@"
  echo "exit status: $?"
} 2>&1 | cat >/dev/ttyS1

sync
echo o >/proc/sysrq-trigger
sleep infinity # until it is off: a kernel whose first program ends panics
