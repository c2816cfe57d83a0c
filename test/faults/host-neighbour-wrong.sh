# Symptom: the host sends to a pod, and the pod takes nothing
# Asked: slash32 check default/web-0
# Says: neighbour 10.20.1.2 on cali… on the host is 02:00:00:00:00:99, should be … permanent
# Mend: ip neigh replace 10.20.1.2 lladdr … dev cali… nud permanent
ip neigh replace 10.20.1.2 lladdr 02:00:00:00:00:99 dev "$END" nud permanent
