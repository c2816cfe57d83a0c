#!/usr/bin/env bash
# lab.sh COMMAND [ARGUMENT...]: runs COMMAND in a network of its own.
#
# COMMAND gets a new network namespace, in which only lo is up, and a new mount namespace with an empty /run (so
# that the names of `ip netns`, lock files and state directories are its own) and the /sys of that network. It
# cannot touch the machine's links, routes or sysctls, and everything it makes goes when its last process goes.
# It replaces this script: signals reach it, and its exit code is ours.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

if [ $# -eq 0 ]; then
  echo "Usage: lab.sh COMMAND [ARGUMENT...]" >&2
  exit 2
fi

exec unshare --net --mount --propagation private -- bash -euc '
  mount -t tmpfs -o mode=0755 tmpfs /run
  mkdir /run/netns /run/lock

  # A sysfs shows the network it was mounted in. The cgroups below it have nothing to do with that and stay.
  if mountpoint -q /sys/fs/cgroup; then
    mkdir /run/cgroup
    mount --move /sys/fs/cgroup /run/cgroup
    mount -t sysfs sysfs /sys
    mount --move /run/cgroup /sys/fs/cgroup
    rmdir /run/cgroup
  else
    mount -t sysfs sysfs /sys
  fi

  ip link set lo up
  exec "$@"' lab "$@"
