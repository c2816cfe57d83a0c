# Symptom: the first packet to a pod is late, or lost
# Asked: slash32 check default/web-0
# Says: neighbour 10.20.1.2 on cali… on the host is missing, should be … permanent
# Mend: ip neigh replace 10.20.1.2 lladdr … dev cali… nud permanent
ip neigh delete 10.20.1.2 dev "$END"
