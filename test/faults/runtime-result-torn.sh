# Symptom: a pod cannot be removed: failed to get network cached result: unexpected end of JSON input
# Asked: slash32 doctor
# Says: /var/lib/cni/results/podnet-container-0-eth0 is empty
# Mend: rm /var/lib/cni/results/podnet-container-0-eth0
mkdir -p "$ROOT/var/lib/cni/results"
: >"$ROOT/var/lib/cni/results/podnet-container-0-eth0"
