#!/bin/sh
# build-cnitool.sh [FILE]: makes cnitool, with which people try plugins, for the tests; once. Debian ships its source
# only: it is fetched with a list of sources of its own, so that the machine's stays as it is, and built with
# Debian's Go. Prints nothing if all is well and nothing is to be done. FILE.version tells what it was made from.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

file=${1:-node_modules/.cache/slash32/cnitool}
[ ! -x "$file" ] || exit 0

source=golang-github-appc-cni
package=github.com/containernetworking/cni

mkdir -p "$(dirname "$file")"
work=$(mktemp -d "$(realpath "$(dirname "$file")")/cnitool.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Runs a long command silently, and shows what it printed only if it fails: quietly WHAT COMMAND...
quietly() {
  what=$1
  shift
  if ! printed=$("$@" 2>&1 </dev/null); then
    printf '%s\nCannot %s: see above\n' "$printed" "$what" >&2
    exit 1
  fi
}

# Where the machine has its Debian from.
mirror=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 'Origin: Debian' 'Codename: bookworm' \
  'Component: main' | head -n 1)

mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial" "$work/go/src/${package%/*}"
cat >"$work/sources/source.sources" <<END
Types: deb-src
URIs: ${mirror:-http://deb.debian.org/debian}
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END

apt() {
  apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}

echo "Building cnitool from Debian's source package $source" >&2
quietly "update the list of Debian sources" apt update
(cd "$work" && quietly "fetch $source" apt source --download-only "$source")
# apt has compared the sums already.
quietly "unpack $source" dpkg-source --no-check -x "$work/$source"_*.dsc "$work/go/src/$package"
quietly "build cnitool" env GOENV=off GO111MODULE=off GOFLAGS= GOPATH="$work/go" GOCACHE="$work/go-build" \
  CGO_ENABLED=0 go build -trimpath -o "$work/cnitool" "$package/cnitool"

version=$(basename "$work/$source"_*.dsc .dsc)
echo "cnitool ${version#*_} built with $(go version | cut -d ' ' -f 3)" >"$file.version"
mv "$work/cnitool" "$file"
