# Symptom: GC removes nothing, and interfaces like ours pile up
# Asked: slash32 doctor
# Says: 1 interface named as host ends are not ours: cali0123
# By hand: sed -i … # for pods to come; then drain the node
ip link add cali0123 type veth peer name elsewhere
