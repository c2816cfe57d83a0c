# Symptom: a pod reaches nobody, and the host reaches it in vain
# Asked: slash32 check default/web-0
# Says: route default in the sandbox is missing, should be via 169.254.1.1 dev eth0
# Mend: nsenter --net=… ip route add default via 169.254.1.1 dev eth0
ip -n "$POD" route delete default
