# Symptom: no pod starts: PodCidrUnknown
# Asked: slash32 doctor
# Says: network podnet asks for the node's IPv4 pod CIDR, and …/node.json has none
# Mend: kubectl get node $(hostname) -o json | jq '{podCIDRs: .spec.podCIDRs}' > …/node.json
sed -i "s#10.20.1.0/24#usePodCidr#" "$CONFLIST"
