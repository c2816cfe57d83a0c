#!/bin/sh
# sysroot.sh ARCHITECTURE DIRECTORY: puts into DIRECTORY what the executable is linked with on an architecture, as Debian
# has it today with its security updates: as if it were that machine's root, but nothing is installed.
set -eu
cd "$(dirname "$0")/../.."
. scripts/debian.sh

mkdir -p "$2/var/lib/dpkg"
directory=$(realpath "$2")
prepare_apt_for "$directory" bookworm "$1"
for package in libc6-dev libsqlite3-dev libssl-dev linux-libc-dev; do
  fetch_package "$package" "$directory" . >/dev/null
  # For dpkg-query.
  { echo "Status: install ok installed" && dpkg-deb --field "$directory/apt/$package"_*.deb && echo; } \
    >>"$directory/var/lib/dpkg/status"
done
rm -r "$directory/apt"
