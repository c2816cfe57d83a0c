# Symptom: a pod has no eth0
# Asked: slash32 check default/web-0
# Says: sandbox end eth0 is missing, should be MAC …, MTU 1500
# By hand: delete the pod: its runtime wires a new one
ip -n "$POD" link set eth0 down
ip -n "$POD" link set eth0 name net1
