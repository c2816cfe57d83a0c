# Symptom: no further pod starts: NoFreeAddress
# Asked: slash32 doctor
# Says: 1 of 1 addresses of 10.20.1.0/30 are leased (100 %)
# By hand: slash32 ipam repair … --dry-run # finds leases without a pod; else add a range in …
sed -i "s#10.20.1.0/24#10.20.1.0/30#" "$CONFLIST"
