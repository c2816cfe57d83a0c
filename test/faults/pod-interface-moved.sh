# Symptom: a pod has no interface but lo
# Asked: slash32 check default/web-0
# Says: other end of cali… is on the host, should be eth0 in the sandbox
# By hand: delete the pod: its runtime wires a new one
ip -n "$POD" link set eth0 netns "$HOST"
