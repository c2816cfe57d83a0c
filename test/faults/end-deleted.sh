# Symptom: a pod has lost its interface
# Asked: slash32 check default/web-0
# Says: host end cali… is missing, should be there
# By hand: delete the pod: its runtime wires a new one
ip link delete "$END"
