# Symptom: a pod that was restarted inside says "Nexthop has invalid gateway"
# Asked: slash32 check default/web-0
# Says: route 169.254.1.1/32 in the sandbox is missing, should be dev eth0
# Mend: nsenter --net=… ip route append 169.254.1.1/32 dev eth0 scope link
ip -n "$POD" route delete 169.254.1.1
