#!/bin/sh
# build-engine.sh [TRIPLET]: makes QuickJS as a library, with which bin/slash32 is linked, for this kind of machine or
# another, below node_modules/.cache/slash32/engine; once. The source is that of a Debian package, of which this version
# was chosen. Prints nothing if nothing is to be done.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
. scripts/debian.sh

triplet=${1:-$(uname -m)-linux-gnu}
version=2025.04.26
cache=node_modules/.cache/slash32/engine
built=$cache/quickjs-$version-$triplet

[ ! -f "$built/libquickjs.a" ] || exit 0

echo "Building QuickJS from Debian's source package for $triplet" >&2
mkdir -p "$cache"
work=$(mktemp -d "$(realpath "$cache")/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
found=$(fetch_source quickjs "$work" source trixie)
case $found in
  "$version-"*) ;;
  *)
    echo "Cannot build QuickJS: Debian has $found, expected $version; try the tests with that, and name it in $0" >&2
    exit 1
    ;;
esac

mkdir "$work/$triplet"
for file in libregexp libunicode cutils dtoa quickjs; do
  "$triplet-gcc" -O2 -w -D_GNU_SOURCE -DCONFIG_VERSION="\"$version\"" -c "$work/source/$file.c" -o "$work/$file.o"
done
"$triplet-ar" rcs "$work/$triplet/libquickjs.a" "$work"/*.o
cp "$work/source/quickjs.h" "$work/source/LICENSE" "$work/$triplet"
mv "$work/$triplet" "$built"
