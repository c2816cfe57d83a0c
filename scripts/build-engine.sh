#!/bin/sh
# build-engine.sh [TRIPLET [SYSROOT]]: makes QuickJS as a library, with which bin/slash32 is linked, for this kind of
# machine or another, below node_modules/.cache/slash32/engine, or in SYSROOT and with the C library there; once. The
# source is that of a Debian package, of which this version was chosen. Prints nothing if nothing is to be done.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
. scripts/debian.sh

triplet=${1:-$(uname -m)-linux-gnu}
sysroot=${2:+$(realpath "$2")}
version=2025.04.26
cache=${sysroot:-node_modules/.cache/slash32/engine}
built=$cache/quickjs-$version-$triplet

[ ! -f "$built/version" ] || exit 0

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
# From where the sources are: what assert() says has the name of the file as the compiler was given it.
cd "$work/source"
for file in libregexp libunicode cutils dtoa quickjs; do
  "$triplet-gcc" ${sysroot:+"--sysroot=$sysroot"} -O2 -w -D_GNU_SOURCE -DCONFIG_VERSION="\"$version\"" \
    -c "$file.c" -o "$work/$file.o"
done
cd - >/dev/null
# Without times and owners (D).
"$triplet-ar" rcsD "$work/$triplet/libquickjs.a" "$work"/*.o
cp "$work/source/quickjs.h" "$work/source/LICENSE" "$work/$triplet"
echo "$found" >"$work/$triplet/version"
rm -rf "$built" # of an older script
mv "$work/$triplet" "$built"
