# Symptom: a pod reaches nobody, not even the host
# Asked: slash32 trace default/web-0 198.51.100.1
# Says: sandbox default/web-0: gateway 169.254.1.1: 02:00:00:00:00:99 PERMANENT
# Mend: nsenter --net=… ip neigh replace 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent
ip -n "$POD" neigh replace 169.254.1.1 lladdr 02:00:00:00:00:99 dev eth0 nud permanent
