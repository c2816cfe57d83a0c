# Symptom: a pod is unreachable, and says "Network is unreachable" itself
# Asked: slash32 check default/web-0
# Says: interface eth0 in the sandbox is down, should be up
# Mend: slash32 check default/web-0 --repair
ip -n "$POD" link set eth0 down
