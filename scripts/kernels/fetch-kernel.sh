#!/bin/sh
# fetch-kernel.sh RELEASE DIRECTORY: puts the kernel of a release of Debian into a directory, once: `vmlinuz`, its
# modules as modprobe(8) wants them below `lib/modules`, and a `busybox` that runs without any library. Nothing is
# installed. Prints nothing if nothing is to be done. The directory is there when it is complete; remove it to fetch a
# newer kernel.
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin
. scripts/debian.sh

release=$1
directory=$2
mkdir -p "$(dirname "$directory")"
# Two runs at the same time fetch once.
exec 9>"$directory.lock"
flock 9
[ ! -d "$directory" ] || exit 0

work=$(mktemp -d "$(realpath "$(dirname "$directory")")/kernel.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

echo "Fetching the kernel of Debian $release" >&2
# A package without files, which depends on the newest kernel.
fetch_package linux-image-amd64 "$work" unpacked "$release" >/dev/null
image=$(dpkg-deb --field "$work/apt/linux-image-amd64"_*.deb Depends | cut -d ' ' -f 1)
for package in "$image" busybox-static; do
  fetch_package "$package" "$work" unpacked "$release" >/dev/null
done

# Newer releases have all in /usr.
kernel=$work/kernel
mkdir -p "$kernel/lib"
mv "$work/unpacked/boot/vmlinuz-${image#linux-image-}" "$kernel/vmlinuz"
for modules in "$work/unpacked/lib/modules" "$work/unpacked/usr/lib/modules"; do
  [ ! -d "$modules" ] || mv "$modules" "$kernel/lib/modules"
done
for busybox in "$work/unpacked/bin/busybox" "$work/unpacked/usr/bin/busybox"; do
  [ ! -f "$busybox" ] || mv "$busybox" "$kernel/busybox"
done
quietly "list the modules of $image" depmod --basedir "$kernel" "${image#linux-image-}"
mv "$kernel" "$directory"
