#!/usr/bin/env bash
# tests.sh [VITEST ARGUMENT...]: runs tests as the one program of a guest that init.sh has prepared, prints to its
# second serial line, and switches the guest off. The first serial line is the kernel's.
set -uo pipefail
cd "$(dirname "$0")/../.."
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NO_COLOR=1
# Machine code that was just made has to be translated again, which is what emulation is worst at; and there is one
# processor. Bun starts in a third of the time without its compilers.
export BUN_JSC_useBaselineJIT=0 BUN_JSC_useDFGJIT=0 BUN_JSC_useRegExpJIT=0
export BUN_JSC_useConcurrentGC=0 BUN_JSC_numberOfGCMarkers=1

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
