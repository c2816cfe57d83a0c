#!/bin/sh
# guest-kernel.sh DIRECTORY: puts into DIRECTORY what a guest for arm64 is made of, from Debian: `vmlinuz`, its `veth.ko`,
# and a `busybox` that runs without any library. Nothing is installed.
set -eu
cd "$(dirname "$0")/../.."
. scripts/debian.sh

mkdir -p "$1"
directory=$(realpath "$1")
prepare_apt_for "$directory" bookworm arm64
# A package without files, which depends on the newest kernel.
fetch_package linux-image-cloud-arm64 "$directory" tree >/dev/null
image=$(dpkg-deb --field "$directory/apt/linux-image-cloud-arm64"_*.deb Depends | cut -d ' ' -f 1)
fetch_package "$image" "$directory" tree >/dev/null
fetch_package busybox-static "$directory" tree >/dev/null
mv "$directory/tree/boot"/vmlinuz-* "$directory/vmlinuz"
mv "$directory/tree/lib/modules"/*/kernel/drivers/net/veth.ko "$directory/tree/bin/busybox" "$directory"
rm -r "$directory/apt" "$directory/tree"
