# Symptom: interfaces are named as ours are, and no lease tells of them
# Asked: slash32 doctor
# Says: 1 interface named as host ends are not ours: cali0123
# By hand: sed -i 's/"type": *"slash32"/&, "hostInterfacePrefix": "pod"/' …/10-slash32.conflist # for pods to come; then drain the node
ip link add cali0123 type veth peer name elsewhere
