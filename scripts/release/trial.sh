#!/usr/bin/env bash
# trial.sh MAKER COMMAND [ARGUMENT...]: tries an executable, COMMAND, perhaps in an emulator. MAKER is an executable that
# makes the pod and checks it: for that emulators know too few of netlink's messages. Runs in a lab, prints what was
# tried, and fails with the first that did not come out as it should.
set -euo pipefail

maker=$1
shift
slash32=("$@")
export CNI_CONTAINERID=trial CNI_NETNS=/run/netns/trial CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin
configuration='{"cniVersion":"1.1.0","name":"trial","type":"slash32","ipam":{"type":"slash32","ranges":[[{"subnet":"10.20.1.0/24"}]]}}'

# verb VERB [COMMAND...]: as a runtime calls it, with the configuration on standard input.
verb() { CNI_COMMAND=$1 "${@:2}"; }

# expect WHAT PATTERN COMMAND [ARGUMENT...]: what it prints has to match, whatever its exit status.
expect() {
  local what=$1 pattern=$2 printed
  shift 2
  printed=$("$@" 2>&1) || true
  if [[ ! $printed =~ $pattern ]]; then
    printf 'Cannot try %s: expected %s, it printed:\n%s\n' "$what" "$pattern" "$printed" >&2
    exit 1
  fi
  echo "$what"
}

expect --version '^slash32 [0-9]' "${slash32[@]}" --version
expect VERSION '"supportedVersions":\[.*"1.1.0"\]' verb VERSION "${slash32[@]}" <<<'{}'
expect STATUS '^$' verb STATUS "${slash32[@]}" <<<"$configuration"
expect 'a refused ADD' '"code":8,"msg":"NoSuchSandbox' verb ADD "${slash32[@]}" <<<"$configuration"

ip netns add trial
result=$(verb ADD "$maker" <<<"$configuration")
expect 'ipam list' '10\.20\.1\.2 .*trial' "${slash32[@]}" ipam list
expect CHECK '^$' verb CHECK "$maker" <<<"$(jq ".prevResult = $result" <<<"$configuration")"
expect DEL '^$' verb DEL "${slash32[@]}" <<<"$configuration"
expect 'what is left' '^$' ip route show proto 32
