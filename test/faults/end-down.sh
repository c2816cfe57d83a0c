# Symptom: one pod is cut off in both directions
# Asked: slash32 check default/web-0
# Says: interface cali… on the host is down, should be up
# Mend: slash32 check default/web-0 --repair
ip link set "$END" down
