#!/bin/sh
# Captures anew what iproute2 and the kernel say to each other, for the codec tests: writes
# test/fixtures/iproute2/requests.json, which comes out the same every time with one version of iproute2, and
# replies.json, in which counters and times differ.
set -eu
cd "$(dirname "$0")/.."
exec bash scripts/lab.sh node_modules/.bin/bun test/fixtures/iproute2/capture.ts
