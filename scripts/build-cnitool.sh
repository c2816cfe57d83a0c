#!/bin/sh
# build-cnitool.sh [FILE]: makes cnitool, with which people try plugins, for the tests; once. Debian ships its source
# only: it is built with Debian's Go. Prints nothing if all is well and nothing is to be done. FILE.version tells what it
# was made from.
set -eu
cd "$(dirname "$0")/.."

file=${1:-node_modules/.cache/slash32/cnitool}
[ ! -x "$file" ] || exit 0

package=github.com/containernetworking/cni
mkdir -p "$(dirname "$file")"
work=$(mktemp -d "$(realpath "$(dirname "$file")")/cnitool.XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "Building cnitool from Debian's source package" >&2
sh scripts/debian-source.sh bookworm golang-github-appc-cni "$work/go/src/$package"
if ! printed=$(env GOENV=off GO111MODULE=off GOFLAGS= GOPATH="$work/go" GOCACHE="$work/go-build" CGO_ENABLED=0 \
  go build -trimpath -o "$work/cnitool" "$package/cnitool" 2>&1); then
  printf '%s\nCannot build cnitool: see above\n' "$printed" >&2
  exit 1
fi

version=$(cat "$work/go/src/$package.version")
echo "cnitool ${version#*_} built with $(go version | cut -d ' ' -f 3)" >"$file.version"
mv "$work/cnitool" "$file"
