# Symptom: a pod has lost its IPv6 address
# Asked: slash32 check default/web-0
# Says: setting net/ipv6/conf/all/disable_ipv6 in the sandbox is 1, should be 0
# Mend: slash32 check default/web-0 --repair
ip netns exec "$POD" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
