# Symptom: routes of pods disappear as they are made
# Asked: slash32 doctor
# Says: Calico's agent (Felix) is on this node, and our host ends begin with cali as its do
# By hand: sed -i … # for pods to come; then drain the node
mkdir -p "$ROOT/var/lib/calico"
echo node-a > "$ROOT/var/lib/calico/nodename"
