#!/bin/sh
# elsewhere.sh: makes the release from nothing once more, at another path, with another time zone, language and umask, and
# prints its sums. Nothing of it stays: what it writes goes into memory.
set -eu
cd "$(dirname "$0")/../.."

place=$(mktemp -d)
trap 'rmdir "$place"' EXIT
trap 'exit 1' HUP INT TERM
unshare --mount --propagation private sh -euc '
  mount -t tmpfs tmpfs "$2"
  mkdir -p "$2/changes" "$2/work" "$2/another/place"
  mount -t overlay -o "lowerdir=$1,upperdir=$2/changes,workdir=$2/work" overlay "$2/another/place"
  cd "$2/another/place"
  rm -rf build dist release bin/slash32 src/generated node_modules/.cache/slash32/engine
  umask 077
  TZ=Pacific/Chatham LC_ALL=C npm run --silent release >&2
  cat release/SHA256SUMS
' elsewhere "$PWD" "$place"
