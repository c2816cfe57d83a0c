# Symptom: a pod passes on the packets of others
# Asked: slash32 check default/web-0
# Says: setting net/ipv4/ip_forward in the sandbox is 1, should be 0
# Mend: nsenter --net=… sh -c 'echo 0 > /proc/sys/net/ipv4/ip_forward'
ip netns exec "$POD" sysctl -qw net.ipv4.ip_forward=1
