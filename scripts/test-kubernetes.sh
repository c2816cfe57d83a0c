#!/usr/bin/env bash
# test-kubernetes.sh: sets up, builds, builds Kubernetes once, and runs test/kubernetes in a network of its own. What
# is built once is kept with the user's other caches, where `npm ci` does not delete it.
set -euo pipefail
cd "$(dirname "$0")/.."

kubernetes=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/slash32/kubernetes-1.20.2

sh scripts/setup.sh
flock package.json node_modules/.bin/bun scripts/build.ts
sh scripts/build-kubernetes.sh "$kubernetes"
exec bash scripts/lab.sh node_modules/.bin/bun test/kubernetes/kubernetes.ts "$kubernetes"
