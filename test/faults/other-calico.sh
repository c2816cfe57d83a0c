# Symptom: routes of pods disappear as they are made
# Asked: slash32 doctor
# Says: Calico's agent (Felix) is on this node, and our host ends begin with cali as its do
# By hand: sed -i 's/"type": *"slash32"/&, "hostInterfacePrefix": "pod"/' …/10-slash32.conflist # for pods to come; then drain the node
mkdir -p "$ROOT/var/lib/calico"
echo node-a > "$ROOT/var/lib/calico/nodename"
