#!/bin/sh
# debian-source.sh SUITE PACKAGE DIRECTORY: fetches the source of a Debian package and unpacks it into DIRECTORY, which
# must not be there yet; DIRECTORY.version beside it has its name and version. It uses a list of sources of its own: the
# machine's stays as it is.
set -eu
suite=$1 source=$2 target=$3

work=$(mktemp -d)
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
mirror=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 'Origin: Debian' 'Component: main' |
  grep -v security | head -n 1)

mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial"
cat >"$work/sources/source.sources" <<END
Types: deb-src
URIs: ${mirror:-http://deb.debian.org/debian}
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END

apt() {
  apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}

quietly "update the list of Debian sources" apt update
(cd "$work" && quietly "fetch $source" apt source --download-only "$source")
mkdir -p "$(dirname "$target")"
# apt has compared the sums already.
quietly "unpack $source" dpkg-source --no-check -x "$work/$source"_*.dsc "$target"
basename "$work/$source"_*.dsc .dsc >"$target.version"
