# Symptom: a pod reaches all but one network
# Asked: slash32 trace default/web-0 198.51.100.1
# Says: sandbox default/web-0: route to 198.51.100.1: blackhole 198.51.100.0/24
# Mend: nsenter --net=… sh -c 'ip route replace 169.254.1.1/32 dev eth0 scope link && ip route replace 198.51.100.1 via 169.254.1.1 dev eth0'
ip -n "$POD" route add blackhole 198.51.100.0/24
