#!/usr/bin/env bash
# test.sh [VITEST ARGUMENT...]: sets up, builds, checks types and style, then runs the tests in a network of their
# own. Stops at the first step that fails. Arguments choose the tests: `npm test -- test/address.test.ts`.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
  local name=$1
  shift
  "$@" || {
    echo "npm test stopped at: $name" >&2
    exit 1
  }
}

step "set-up" sh scripts/setup.sh
step "build" flock package.json node_modules/.bin/bun scripts/build.ts
step "cnitool" sh scripts/build-cnitool.sh
step "type check" node_modules/.bin/tsc
step "style check" node_modules/.bin/biome check --error-on-warnings
# vitest under Bun colours what no terminal shows.
[ -t 1 ] || export NO_COLOR=1
exec bash scripts/lab.sh node_modules/.bin/bun --bun node_modules/vitest/vitest.mjs run "$@"
